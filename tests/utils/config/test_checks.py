"""Checks of an experiment's data, setting and optimizer: every guard with its message, and what must pass."""

from pathlib import Path

import pytest

from dataset.labels import label_set
from tests.helpers.config_examples import adaptation, baseline, errors, load, padnet, supervised, video
from utils.config.checks import N_CLASSES
from utils.errors import UserError

TASKS = "setup.model.tasks"


# --- data ---

STRIDE_16 = "not divisible by 16, the output stride of resnet101 with use_dilation True"
STRIDE_32 = "not divisible by 32, the output stride of resnet101 with use_dilation False"


def test_label_sets_are_those_of_the_datasets():
    for dataset, known in N_CLASSES.items():
        for n_classes in range(1, 64):
            if n_classes in known:
                assert len(label_set(dataset, n_classes).names) == n_classes
            else:
                with pytest.raises(UserError):
                    label_set(dataset, n_classes)


def test_unknown_label_set(tmp_path: Path):
    found = errors(tmp_path, supervised(), "data.n_classes=17", f"{TASKS}.semseg.kwargs.num_out_ch=17")
    assert found == ["data.n_classes: cityscapes has label sets of 19 or 16 or 13 or 8 or 7 classes, got 17"]


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (["data.height=72"], [f"data.height: 72 is {STRIDE_16}; 64 would be"]),
        (["setup.model.use_dilation=False", "data.width=112"], [f"data.width: 112 is {STRIDE_32}; 128 would be"]),
        # trained on the crop, validated on the whole image
        (
            ["data.crop_w=100", "data.width=200"],
            [f"data.crop_w: 100 is {STRIDE_16}; 96 would be", f"data.width: 200 is {STRIDE_16}; 192 would be"],
        ),
    ],
)
def test_sizes_fit_the_output_stride(tmp_path: Path, overrides: list[str], lines: list[str]):
    assert errors(tmp_path, supervised(), *overrides) == lines


def test_only_what_the_network_sees_must_fit(tmp_path: Path):
    load(tmp_path, supervised(), "data.width=200", "data.crop_w=96", "data.crop_center=True")
    load(tmp_path, adaptation(), "data.source.width=200", "data.source.crop_w=128")  # no validation on the source


def test_batch_of_one_image(tmp_path: Path):
    message = "pools it to one pixel, over which batch norm has no variance; set it to 2 or more"
    aspp = [f"{TASKS}.depth.kwargs.intermediate_aspp=True", "data.train_bs=1"]
    found = errors(tmp_path, supervised(), *aspp)
    assert found == [f"data.train_bs: 1 image cannot train depth: its ASPP (aspp_pooling) {message}"]
    assert errors(tmp_path, baseline(), "data.train_bs=1") == [
        f"data.train_bs: 1 image cannot train semseg: its deeplab head {message}"
    ]
    load(tmp_path, supervised(), *aspp, purpose="evaluate")
    load(tmp_path, supervised(), *aspp, f"{TASKS}.depth.kwargs.aspp_pooling=False")
    load(tmp_path, supervised(), *aspp, "training.sync_bn=True")
    load(tmp_path, supervised(), "data.train_bs=1")
    load(tmp_path, padnet(), *aspp)


# --- video ---


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "data.load_sequences=False",
            "data.load_sequences: 'ours-cxatt_monodepth' learns depth from video: must be True",
        ),
        (
            "data.frame_ids=[0]",
            "data.frame_ids: 'ours-cxatt_monodepth' needs neighbouring frames beside frame 0, such as [0, -1, 1], "
            "got [0]",
        ),
        ("data.num_scales=3", "data.num_scales: disp has scales up to 3: must be at least 4, got 3"),
        (
            f"{TASKS}.disp.kwargs.is_regression=False",
            f"{TASKS}.disp.kwargs.is_regression: disparity is a sigmoid's output: must be True",
        ),
        (
            "setup.model.pose_kwargs={frame_ids: [0, -2]}",
            "setup.model.pose_kwargs.frame_ids: the frames [-2] are not among data.frame_ids [0, -1, 1]",
        ),
        (
            "loss.tasks.disp.kwargs.frame_ids=[0, 2]",
            "loss.tasks.disp.kwargs.frame_ids: the frames [2] are not among data.frame_ids [0, -1, 1]",
        ),
        (
            "setup.model.pose_kwargs={frame_ids: [0, -1]}",
            "loss.tasks.disp.kwargs.frame_ids: the frames [1] are not among setup.model.pose_kwargs.frame_ids [0, -1]: "
            "no pose for them",
        ),
        ("loss.tasks.disp.name=berhu", "loss.tasks.disp.name: the loss of disp is ssde, got berhu"),
        (
            "data.dataset=synthia",
            "data.load_sequences: synthia has no video sequences, cityscapes has",
        ),
    ],
)
def test_video_depth(tmp_path: Path, override: str, line: str):
    assert errors(tmp_path, video(), override) == [line]


def test_the_loss_may_warp_fewer_frames_than_have_poses(tmp_path: Path):
    load(tmp_path, video(), "loss.tasks.disp.kwargs.frame_ids=[0, -1]")
    load(tmp_path, video(), "setup.model.pose_kwargs={frame_ids: [0, -1]}", "loss.tasks.disp.kwargs.frame_ids=[-1]")


def test_disparity_and_its_suffix_belong_together(tmp_path: Path):
    found = errors(tmp_path, video(), "setup.name=ours", "setup.lr={default: 1}")
    message = "disparity is learned from video only: setup.name needs the suffix _monodepth (or name the task depth)"
    assert found == [f"{TASKS}.disp: {message}, got 'ours'"]
    found = errors(
        tmp_path, supervised(), "setup.name=ours_monodepth", "data.load_sequences=True", "data.frame_ids=[0, 1]"
    )
    message = "'ours_monodepth' learns disparity from video and needs a task disp, got semseg, depth"
    assert found == [f"{TASKS}: {message}"]


def test_disparity_of_the_baseline_comes_from_a_decoder(tmp_path: Path):
    load(tmp_path, video(), "setup.name=baseline_monodepth")
    kwargs = "{num_out_ch: 1, is_regression: True}"
    found = errors(
        tmp_path, video(), "setup.name=baseline_monodepth", "loss.tasks.disp.scales=[0]",
        f"{TASKS}.disp={{head: deeplab, kwargs: {kwargs}}}",
    )  # fmt: skip
    message = "a deeplab head gives no disparity, which is a sigmoid's output: must be padnet+"
    assert found == [f"{TASKS}.disp.head: {message}"]


# --- domain adaptation ---


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (
            ["training.da=null"],
            [
                "training.da: data.target is given: say how to adapt (training.da: {doda: True, ...}) "
                "or not to (doda: False)"
            ],
        ),
        (
            ["data.target.n_classes=13"],
            ["data.target.n_classes: source and target share their classes: 16 and 13 differ"],
        ),
        (
            ["data.target.width=256"],
            ["data.target: source and target samples must have one size (height x width), got 64x128 and 64x256"],
        ),
        (
            ["training.da.ent_align=[0, 2]"],
            [
                f"training.da.ent_align: the scales [2] are not among those of {task}, [0, 1]"
                for task in ("semseg", "depth")
            ],
        ),
        (["data.target.dataset=vkitti2"], ["data.n_classes: vkitti2 has label sets of 14 or 8 classes, got 16"]),
    ],
)
def test_adaptation(tmp_path: Path, overrides: list[str], lines: list[str]):
    assert errors(tmp_path, adaptation(), *overrides) == lines


def test_adaptation_without_a_target(tmp_path: Path):
    (line,) = errors(tmp_path, supervised(), "training.da={doda: True}")
    assert line == "training.da: adapts to data.target, which is missing; give it or remove training.da"


def test_source_only_aligns_nothing(tmp_path: Path):
    config = load(tmp_path, adaptation(), "training.da={doda: False, ent_align: [4]}").config
    assert config.training.da.start is None


def test_adaptation_and_video_exclude_each_other(tmp_path: Path):
    config = video()
    shared = adaptation()
    config["data"] |= {"source": {}, "target": shared["data"]["target"]}
    config["training"]["da"] = shared["training"]["da"]
    message = "'ours-cxatt_monodepth' learns depth from video, which does not go with data.target"
    assert errors(tmp_path, config, "training.da.ent_align=[0]") == [f"setup.name: {message}"]


# --- learning rates ---


@pytest.mark.parametrize(
    "key",
    [
        "backbone",
        "main.backbone",
        "heads.depth",
        "main.heads.depth",
        "params.semseg",
        "main.params.semseg",
        "backbone.layer4",
    ],
)
def test_names_of_parameter_groups(tmp_path: Path, key: str):
    load(tmp_path, supervised(), f"setup.lr={{default: 1, {key}: 1}}")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("bakbone", "did you mean 'backbone'?"),
        ("heads.dept", "did you mean 'heads.depth'?"),
        ("heads.normals", "valid here: default, backbone, heads.semseg, heads.depth, params.semseg, params.depth"),
        ("params.detph", "did you mean 'params.depth'?"),
        ("monodepth.pose_net", "valid here: default, backbone"),
    ],
)
def test_unknown_parameter_groups(tmp_path: Path, key: str, hint: str):
    (line,) = errors(tmp_path, supervised(), f"setup.lr={{default: 1, {key}: 1}}")
    assert line.startswith(f"setup.lr.{key}: no such group of parameters; {hint}")


def test_a_group_named_twice(tmp_path: Path):
    found = errors(tmp_path, supervised(), "setup.lr={default: 1, backbone: 1, main.backbone: 2}")
    assert found == ["setup.lr.main.backbone: names the same parameters as 'backbone'"]


# --- optimizer, scheduler ---


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (
            ["optim.name=Adam"],
            ["optim.kwargs.momentum: Adam has no such option; it takes betas, eps, weight_decay, amsgrad"],
        ),
        (
            ["optim.kwargs={betas: [0.9, 0.98], eps: 1e-8}"],
            [
                f"optim.kwargs.{name}: SGD has no such option; it takes momentum, dampening, nesterov, weight_decay"
                for name in ("betas", "eps")
            ],
        ),
        (["optim.kwargs={nesterov: True}"], ["optim.kwargs.nesterov: needs a momentum above 0 and no dampening"]),
        (
            ["optim.kwargs={nesterov: True, momentum: 0.9, dampening: 0.1}"],
            ["optim.kwargs.nesterov: needs a momentum above 0 and no dampening"],
        ),
        (["scheduler.kwargs={gamma: 0.1}"], ["scheduler.kwargs.step_size: missing; the scheduler 'step' needs it"]),
        (
            ["scheduler={name: multistep, kwargs: {step_size: 1}}"],
            [
                "scheduler.kwargs.step_size: 'multistep' has no such option; it takes milestones, gamma",
                "scheduler.kwargs.milestones: missing; the scheduler 'multistep' needs it",
            ],
        ),
        (
            ["scheduler.name=constant"],
            ["scheduler.kwargs.step_size: 'constant' has no such option; it takes no options"],
        ),
        (
            ["scheduler.name=poly"],
            ["scheduler.kwargs.step_size: 'poly' has no such option; it takes max_iterations, power"],
        ),
        (
            ["scheduler.name=cosine"],
            ["scheduler.kwargs.step_size: 'cosine' has no such option; it takes max_iterations"],
        ),
    ],
)
def test_optimizer_and_scheduler_options(tmp_path: Path, overrides: list[str], lines: list[str]):
    assert errors(tmp_path, supervised(), *overrides) == lines


@pytest.mark.parametrize(
    "overrides",
    [
        ["optim={name: AdamW, kwargs: {betas: [0.9, 0.98], eps: 1e-8, weight_decay: 0.1, amsgrad: True}}"],
        ["optim.kwargs={momentum: 0.9, nesterov: True, weight_decay: 5e-4}"],
        ["scheduler={name: poly, kwargs: {max_iterations: 5, power: 0.9}}"],
        ["scheduler={name: multistep, kwargs: {milestones: [3, 6], gamma: 0.5}}"],
        ["scheduler={name: cosine}"],
        ["scheduler={name: constant}"],
    ],
)
def test_valid_optimizers_and_schedulers(tmp_path: Path, overrides: list[str]):
    load(tmp_path, supervised(), *overrides)

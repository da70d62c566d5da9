"""Mistakes in an experiment file: each is found, where it was written, with what matters about it; all at once."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from dataset.labels import label_set
from tests.helpers.config_examples import (
    adaptation,
    baseline,
    errors,
    load,
    nyudv2,
    padnet,
    supervised,
    video,
    with_tasks,
)
from utils.config.schema import Config
from utils.config.schema.data import DATASETS
from utils.console import LOGGER

TASKS, LOSSES, ABLATION = "setup.model.tasks", "setup.loss.tasks", "setup.kwargs.ablation"
LOAD_ASPP = f"{TASKS}.depth.kwargs.intermediate_aspp=True"
SHALLOW = [f"{TASKS}.{task}.kwargs.n_upconv=" for task in ("semseg", "depth")]
DEEPLAB = "{head: deeplab, kwargs: {num_out_ch: 1, is_regression: True}}"

# (example, overrides, {path: a keyword of its message}): exactly these paths are complained of.
MISTAKES: list[tuple[Any, list[str], dict[str, str]]] = [
    # values
    (supervised, ["data.train_bs=two"], {"data.train_bs": "integer.*'two'"}),
    (supervised, ["data.train_bs=0"], {"data.train_bs": "greater than 0"}),
    (supervised, ["data.train_bs=2.5"], {"data.train_bs": "2.5"}),
    (supervised, ["data.train_bs=true"], {"data.train_bs": "not true or false"}),
    (supervised, ["data.train_bs="], {"data.train_bs": "nothing"}),
    (supervised, ["data.path=3"], {"data.path": "string"}),
    (supervised, ["data.dataset=kitti"], {"data.dataset": "cityscapes.*'kitti'"}),
    (supervised, ["data.frame_ids=[0, x]"], {"data.frame_ids.1": "integer"}),
    (supervised, ["data.augmentations=1"], {"data.augmentations": "mapping.*got 1"}),
    (supervised, ["data.augmentations.random_horizontal_flip=2"], {"data.augmentations.random_horizontal_flip": "1"}),
    (supervised, ["training=[1]"], {"training": "mapping"}),
    (supervised, ["training.val_interval={0: 1, x: 2}"], {"training.val_interval.x": "integer"}),
    (supervised, ["training.resume=3"], {"training.resume": "string.*; or .*bool"}),
    (supervised, ["setup.lr.default=.inf"], {"setup.lr.default": "finite"}),
    (supervised, ["setup.lr={default: 1, 3: 1}"], {"setup.lr.3": "string"}),
    (supervised, [f"{LOSSES}={{}}"], {LOSSES: "at least 1"}),
    (supervised, [f"{TASKS}.depth.kwargs.num_ch_dec=[1, 2]"], {f"{TASKS}.depth.kwargs.num_ch_dec": "at least 5"}),
    (supervised, [f"{TASKS}.depth.kwargs.active_scales=[0, 0]"], {f"{TASKS}.depth.kwargs.active_scales": "twice"}),
    (supervised, [f"{TASKS}.depth.kwargs.aspp_rates=[]"], {f"{TASKS}.depth.kwargs.aspp_rates": "at least 1"}),
    (supervised, [f"{TASKS}.depth.kwargs.n_project_skip_ch=0"], {f"{TASKS}.depth.kwargs.n_project_skip_ch": "or -1"}),
    (video, ["setup.model.pose_kwargs={frame_ids: [0, 1, 1]}"], {"setup.model.pose_kwargs.frame_ids": "twice"}),
    (video, [f"{LOSSES}.disp.kwargs.frame_ids=[1, 1]"], {f"{LOSSES}.disp.kwargs.frame_ids": "twice"}),
    (supervised, ["optim.kwargs.betas=[0.9]", "optim.name=Adam"], {"optim.kwargs.momentum": "betas, eps",
                                                                   "optim.kwargs.betas.1": "missing"}),
    (supervised, [f"{LOSSES}.semseg.kwargs.weight=[1, high]"], {f"{LOSSES}.semseg.kwargs.weight": "number",
                                                                f"{LOSSES}.semseg.kwargs.weight.1": "number"}),
    (supervised, ["setup.loss.kwargs.gammas.depth=2"], {"setup.loss.kwargs.gammas.depth": "0 or 1"}),
    (supervised, [f"data.path={[1] * 40}"], {"data.path": re.escape(str([1] * 40)[:77] + "...") + "$"}),
    # keys
    (supervised, ["trainng={}"], {"trainng": "did you mean 'training'"}),
    (supervised, ["data.load_sequence=true"], {"data.load_sequence": "did you mean 'load_sequences'"}),
    (supervised, ["setup.loss.kwargs.baselines={depht: 1}"], {"setup.loss.kwargs.baselines.depht": "'depth'"}),
    (supervised, [f"{TASKS}.segmentation={{kwargs: {{num_out_ch: 1}}}}"], {f"{TASKS}.segmentation": "'semseg'"}),
    (supervised, ["optim.3=9"], {"optim.3": "string"}),
    (supervised, ["optim.name=SDG"], {"optim": "name.*'SGD', 'Adam', 'AdamW'.*'SDG'"}),
    (supervised, ["optim={}"], {"optim": "name: missing"}),
    (supervised, ["scheduler.kwargs={gamma: 0.1}"], {"scheduler.kwargs.step_size": "missing"}),
    (supervised, ["scheduler={name: multistep, kwargs: {step_size: 1}}"], {
        "scheduler.kwargs.milestones": "missing", "scheduler.kwargs.step_size": "valid here: milestones, gamma"}),
    (supervised, ["scheduler.name=cosine"], {"scheduler.kwargs.step_size": "max_iterations"}),
    (supervised, ["optim.kwargs={nesterov: True}"], {"optim.kwargs": "momentum"}),
    (nyudv2, [f"{LOSSES}.edges.kwargs.pos_wieght=1"], {f"{LOSSES}.edges.kwargs.pos_wieght": "'pos_weight'"}),
    (nyudv2, [f"{LOSSES}.semseg.kwargs.no_ssim=1"], {f"{LOSSES}.semseg.kwargs.no_ssim": "scales, weight, n_classes"}),
    # within a section
    (supervised, ["setup.lr={backbone: 1}"], {"setup": "lr needs 'default'"}),
    (supervised, ["training.val_interval={10: 1}"], {"training": "from step 0"}),
    (supervised, ["training.compile=true", "training.activation_checkpointing=true"], {"training": "compile"}),
    (supervised, ["data.frame_ids=[1]"], {"data": "frame_ids must hold 0"}),
    (supervised, ["data.crop_w=256"], {"data": "crop 256x64 is larger"}),
    (supervised, ["data.restrict_to_subset={mode: fixed}"], {"data.restrict_to_subset": "needs subset"}),
    (supervised, ["data.restrict_to_subset={}"], {"data.restrict_to_subset": "needs n_subset"}),
    (supervised, [f"{LOSSES}.semseg.kwargs.weight=[1]"], {f"{LOSSES}.semseg.kwargs": "1 values for the 2 scales"}),
    (supervised, [f"{LOSSES}.depth.kwargs={{min_depth: 5, max_depth: 5}}"], {f"{LOSSES}.depth.kwargs": "below"}),
    (video, [f"{LOSSES}.disp.kwargs.test_min_depth=90"], {f"{LOSSES}.disp.kwargs": "below"}),
    (supervised, [f"{ABLATION}=[CxTAM, SA]"], {ABLATION: "CxTAM: .*without a working definition"}),
    (supervised, [f"{ABLATION}=[sxtam, SA]"], {f"{ABLATION}.0": "'SxTAM'.*'sxtam'"}),
    (supervised, [f"{ABLATION}=[add]"], {"setup.kwargs": "at least one of SxTAM and SA"}),
    (supervised, [f"{ABLATION}=[SA, add, prod]"], {"setup.kwargs": "exclude each other"}),
    (supervised, ["setup.model.use_dilation=True"], {"setup.model.use_dilation": r"\[False, False, True\]"}),
    # source and target: one mistake, one line, where it was written
    (adaptation, ["data.width=x"], {"data.width": "integer"}),
    (adaptation, ["data.widht=1"], {"data.widht": "did you mean 'width'"}),
    (adaptation, ["data.augmentations.color_agu=1"], {"data.augmentations.color_agu": "did you mean 'color_aug'"}),
    (adaptation, ["data.source.height=x"], {"data.source.height": "integer"}),
    (adaptation, ["data.source=3"], {"data.source": "mapping"}),
    (adaptation, ["data.target.crop_h=128"], {"data.target": "larger"}),
    # data
    (supervised, ["data.n_classes=17", f"{TASKS}.semseg.kwargs.num_out_ch=17"], {"data.n_classes": "19 or 16.*got 17"}),
    (supervised, ["data.height=72"], {"data.height": "not divisible by 16.*64 would be"}),
    (supervised, ["setup.model.use_dilation=False", "data.width=112"], {"data.width": "divisible by 32.*128 would be"}),
    (supervised, ["data.crop_w=100", "data.width=200"], {"data.crop_w": "96 would", "data.width": "192 would"}),
    (supervised, ["data.train_bs=1", LOAD_ASPP], {"data.train_bs": "depth: its ASPP"}),
    (baseline, ["data.train_bs=1"], {"data.train_bs": "semseg: its deeplab head"}),
    (lambda: with_tasks(semseg=(16, "cross_entropy"), edges=(2, "edges")), [], {f"{TASKS}.edges": "nyudv2 only"}),
    # video
    (video, ["data.load_sequences=False"], {"data.load_sequences": "must be True"}),
    (video, ["data.frame_ids=[0]"], {"data.frame_ids": "neighbouring"}),
    (video, ["data.num_scales=3"], {"data.num_scales": "at least 4"}),
    (video, [f"{TASKS}.disp.kwargs.is_regression=False"], {f"{TASKS}.disp.kwargs.is_regression": "True"}),
    (video, ["setup.model.pose_kwargs={frame_ids: [0, -2]}"], {"setup.model.pose_kwargs.frame_ids": r"\[-2\] are not"}),
    (video, ["setup.model.pose_kwargs={frame_ids: [-1, 1]}"], {"setup.model.pose_kwargs.frame_ids": "hold frame 0"}),
    (video, [f"{LOSSES}.disp.kwargs.frame_ids=[0, 2]"], {f"{LOSSES}.disp.kwargs.frame_ids": r"\[2\] are not"}),
    (video, [f"{LOSSES}.disp.kwargs.frame_ids=[0]"], {f"{LOSSES}.disp.kwargs.frame_ids": "neighbouring"}),
    (video, ["setup.model.pose_kwargs={frame_ids: [0, -1]}"], {f"{LOSSES}.disp.kwargs.frame_ids": "no pose"}),
    (video, [f"{LOSSES}.disp={{loss: berhu}}"], {f"{LOSSES}.disp.loss": "ssde, got berhu"}),
    (video, ["data.dataset=synthia"], {"data.load_sequences": "no video sequences, cityscapes has"}),
    (video, ["setup.name=ours", "setup.lr={default: 1}"], {f"{TASKS}.disp": "suffix _monodepth"}),
    (supervised, ["setup.name=ours_monodepth", "data.load_sequences=True", "data.frame_ids=[0, 1]"], {TASKS: "disp"}),
    (video, ["setup.name=baseline_monodepth", f"{LOSSES}.disp.kwargs.scales=[0]", f"{TASKS}.disp={DEEPLAB}"], {
        f"{TASKS}.disp.head": "padnet+"}),
    (video, ["setup.name=padnet_monodepth", *(f"{LOSSES}.{t}.kwargs.scales=[0, 2]" for t in ("semseg", "disp"))], {
        f"{LOSSES}.disp.kwargs.scales": "too coarse"}),
    # domain adaptation
    (adaptation, ["training.da=null"], {"training.da": "how to adapt"}),
    (adaptation, ["data.target.n_classes=13"], {"data.target.n_classes": "16 and 13 differ"}),
    (adaptation, ["data.target.width=256"], {"data.target": "one size"}),
    (adaptation, ["training.da.ent_align=[0, 2]"], {"training.da.ent_align": r"\[2\]"}),
    (adaptation, ["data.target.dataset=vkitti2"], {"data.n_classes": "14 or 8"}),
    (supervised, ["training.da={doda: True}"], {"training.da": "data.target, which is missing"}),
    # tasks, heads, scales
    (nyudv2, [f"{TASKS}.semseg.kwargs.num_out_ch=7"], {f"{TASKS}.semseg.kwargs.num_out_ch": "40, data.n_classes"}),
    (nyudv2, [f"{TASKS}.normals.kwargs.num_out_ch=7"], {f"{TASKS}.normals.kwargs.num_out_ch": "must be 3"}),
    (supervised, [f"{LOSSES}.semseg.kwargs.n_classes=19"], {f"{LOSSES}.semseg.kwargs.n_classes": "must be 16"}),
    (supervised, [f"{LOSSES}.depth.kwargs.scales=[0, 2]"], {f"{LOSSES}.depth.kwargs.scales": r"not at \[2\]"}),
    (supervised, [f"{LOSSES}.depth.kwargs.scales=[1]"], {f"{LOSSES}.depth.kwargs.scales": "must hold 0"}),
    (supervised, [f"{TASKS}.depth.kwargs.active_scales=[1, 2]", f"{LOSSES}.depth.kwargs.scales=[1]"], {
        f"{TASKS}.depth.kwargs.active_scales": "must hold 0"}),
    (supervised, [f"{key}2" for key in SHALLOW] + [f"{TASKS}.depth.kwargs.active_scales=[0, 1, 3]"], {
        f"{TASKS}.depth.kwargs.active_scales": "starts at level 2"}),
    (supervised, [f"{TASKS}.depth.head=deeplab", "setup.name=baseline", f"{LOSSES}.depth.kwargs.scales=[0]"], {
        f"{TASKS}.depth.kwargs.active_scales": "scale 0 only"}),
    (supervised, [f"{TASKS}.depth={{head: deeplab, kwargs: {{num_out_ch: 1}}}}", f"{LOSSES}.depth.kwargs.scales=[0]"], {
        f"{TASKS}.depth.head": "must be padnet+"}),
    (padnet, [f"{LOSSES}.semseg.kwargs.scales=[0, 1]"], {f"{LOSSES}.semseg.kwargs.scales": r"not at \[1\]"}),
    (padnet, [f"{TASKS}.semseg.auxiliary=True", f"{LOSSES}.semseg.kwargs.scales=[2]"], {TASKS: "every task"}),
    (supervised, ["setup.model.backbone=resnet18", "setup.model.use_dilation=[False, False, True]"], {
        "setup.model.use_dilation": "no dilated form"}),
    # sections, exchanges
    *((supervised, [f"setup.kwargs.enc_layers={levels}"], {"setup.kwargs.enc_layers": "in this order"}) for levels in (
        "[[4, 3, 2, 1]]", "[[4, 3], [3, 2, 1, 0]]", "[[0], [4, 3, 2, 1]]", "[[4, 3, 2, 1, 0], []]", "[]")),
    *((supervised, [f"setup.kwargs.stages={stages}"], {"setup.kwargs.stages": r"must be \[1\]"}) for stages in (
        "[2]", "[1, 0]", "[]")),
    (supervised, [f"{TASKS}.depth.kwargs.num_ch_dec=[64, 32, 128, 256, 256]"], {TASKS: "level 1 .*depth 32"}),
    (supervised, ["setup.name=3ways", f"{TASKS}.depth.kwargs.num_ch_dec=[64, 128, 32, 256, 256]"], {TASKS: "level 2"}),
    (supervised, [f"{SHALLOW[1]}3"], {TASKS: "must agree on kwargs.n_upconv"}),
    (supervised, ["setup.name=3ways", *(f"{key}1" for key in SHALLOW)], {TASKS: "n_upconv must be 2 or more"}),
    (nyudv2, ["setup.kwargs.source_order={semseg: [edges, depth], disp: [semseg]}"], {
        "setup.kwargs.source_order.semseg": "depth, normals, edges", "setup.kwargs.source_order.disp": "no such task"}),
    # losses, learning rates
    (nyudv2, [f"{LOSSES}.semseg={{loss: berhu}}"], {f"{LOSSES}.semseg.loss": "cross_entropy, got berhu"}),
    (nyudv2, [f"{LOSSES}.normals.loss=normals"], {f"{LOSSES}.normals.loss": "gt_normals"}),
    (nyudv2, [f"{LOSSES}.edges.loss=edge"], {f"{LOSSES}.edges": "'ssde'.*'edge'"}),
    (supervised, ["setup.lr={default: 1, bakbone: 1}"], {"setup.lr.bakbone": "did you mean 'backbone'"}),
    (supervised, ["setup.lr={default: 1, heads.dept: 1}"], {"setup.lr.heads.dept": "did you mean 'heads.depth'"}),
    (supervised, ["setup.lr={default: 1, monodepth.pose_net: 1}"], {"setup.lr.monodepth.pose_net": "valid here"}),
    (supervised, ["setup.lr={default: 1, backbone: 1, main.backbone: 2}"], {"setup.lr.main.backbone": "same"}),
]  # fmt: skip

# (example, overrides) that a check might take for mistakes.
VALID: list[tuple[Any, list[str]]] = [
    *((example, []) for example in (supervised, video, adaptation, nyudv2, baseline, padnet)),
    *((supervised, [f"setup.name={name}"]) for name in ("3ways", "padnet+", "ours", "baseline")),
    (lambda: with_tasks(semseg=(16, "cross_entropy"), normals=(3, "normals")), []),
    (supervised, ["data.width=200", "data.crop_w=96", "data.crop_center=True"]),
    (adaptation, ["data.source.width=200", "data.source.crop_w=128"]),  # no validation on the source
    (adaptation, ["training.da={doda: False, ent_align: [4]}"]),
    (supervised, [LOAD_ASPP, "data.train_bs=1", f"{TASKS}.depth.kwargs.aspp_pooling=False"]),
    (supervised, [LOAD_ASPP, "data.train_bs=1", "training.sync_bn=True"]),
    (padnet, [LOAD_ASPP, "data.train_bs=1"]),
    (video, [f"{LOSSES}.disp.kwargs.frame_ids=[0, -1]"]),
    (video, ["setup.model.pose_kwargs={frame_ids: [0, -1]}", f"{LOSSES}.disp.kwargs.frame_ids=[-1]"]),
    (video, ["setup.name=baseline_monodepth"]),
    (video, ["setup.name=padnet_monodepth", f"{LOSSES}.semseg.kwargs.scales=[0, 2]",
             f"{LOSSES}.disp.kwargs.scales=[0]", "data.num_scales=1"]),
    *((supervised, [f"setup.kwargs.enc_layers={levels}", f"setup.kwargs.stages={stages}"]) for levels, stages in (
        ("[[4, 3, 2], [1], [0]]", "[2, 1]"), ("[[4, 3, 2, 1, 0]]", "[]"), ("[[4], [3, 2, 1, 0]]", "[4]"))),
    (supervised, [f"{TASKS}.depth.kwargs.num_ch_dec=[8, 128, 128, 256, 256]"]),  # no exchange at level 0
    (supervised, [f"{key}3" for key in SHALLOW]),
    *((supervised, [f"{ABLATION}={words}"]) for words in ("[SxTAM]", "[SA, prod]", "[SxTAM, SA, no_alpha, full_sa]")),
    (nyudv2, ["setup.kwargs.source_order={semseg: [edges, depth, normals]}"]),
    (supervised, ["setup.model.backbone=resnet18", "data.width=96"]),
    (supervised, ["setup.model.use_dilation=[False, True, True]", "data.width=104"]),
    *((supervised, [f"setup.lr={{default: 1, {key}: 1}}"]) for key in (
        "main.backbone", "heads.depth", "main.params.semseg", "backbone.layer4", "heads")),
    (supervised, ["optim={name: AdamW, kwargs: {betas: [0.9, 0.98], eps: 1e-8, weight_decay: 0.1, amsgrad: True}}"]),
    (supervised, ["optim.kwargs={momentum: 0.9, nesterov: True, weight_decay: 5e-4}"]),
    *((supervised, [f"scheduler={section}"]) for section in (
        "{name: poly, kwargs: {max_iterations: 5}}", "{name: multistep, kwargs: {milestones: [3, 6]}}",
        "{name: cosine}", "{name: constant}")),
    (supervised, ["training.iterations=4e4", f"{LOSSES}.semseg.kwargs.n_classes=16"]),
]  # fmt: skip


@pytest.mark.parametrize(("example", "overrides", "expected"), MISTAKES)
def test_mistakes(tmp_path: Path, example: Any, overrides: list[str], expected: dict[str, str]):
    found = [line.partition(": ") for line in errors(tmp_path, example(), *overrides)]
    assert {path for path, _, _ in found} == set(expected)
    for path, _, message in found:
        assert re.search(expected[path], message), (path, message)


@pytest.mark.parametrize(("example", "overrides"), VALID)
def test_what_is_no_mistake(tmp_path: Path, example: Any, overrides: list[str]):
    load(tmp_path, example(), *overrides)


def test_all_mistakes_are_reported_together(tmp_path: Path):
    config = supervised()
    config["data"]["widht"] = config["data"].pop("width")
    config["setup"]["modle"] = config["setup"].pop("model")
    paths = [line.split(":")[0] for line in errors(tmp_path, config)]
    assert sorted(paths) == ["data.widht", "data.width", "setup.model", "setup.modle"]
    wide = [f"{TASKS}.depth.kwargs.num_out_ch=2", "data.height=65"]
    paths = [line.split(":")[0] for line in errors(tmp_path, supervised(), *wide)]
    assert paths == [f"{TASKS}.depth.kwargs.num_out_ch", "data.height"]


def test_tasks_of_network_loss_and_baselines_agree(tmp_path: Path):
    config = supervised()
    tasks = config["setup"]["loss"]["tasks"]
    tasks["normals"] = {"loss": "normals"}
    del tasks["depth"]
    config["setup"]["loss"]["kwargs"] = {"baselines": {"semseg": 1, "edges": 1}, "gammas": {"disp": 1}}
    paths = {line.split(":")[0].removeprefix("setup.loss.") for line in errors(tmp_path, config)}
    assert paths == {
        "tasks.depth", "tasks.normals", "kwargs.baselines.edges", "kwargs.gammas.disp", "kwargs.baselines.depth",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["ours-cxatt", "3ways", "padnet"])
def test_an_exchange_needs_two_tasks(tmp_path: Path, name: str):
    config = with_tasks(semseg=(16, "cross_entropy"))
    config["setup"]["loss"]["tasks"]["semseg"]["kwargs"]["scales"] = [0]
    (line,) = errors(tmp_path, config, f"setup.name={name}")
    assert line.startswith(f"{TASKS}: ") and "'baseline'" in line


def test_adaptation_and_video_exclude_each_other(tmp_path: Path):
    config, shared = video(), adaptation()
    config["data"] |= {"source": {}, "target": shared["data"]["target"]}
    config["training"]["da"] = {"ent_align": [0]}
    (line,) = errors(tmp_path, config)
    assert line.startswith("setup.name: ") and "data.target" in line


def test_missing_keys_stand_where_they_are_looked_for(tmp_path: Path):
    config = adaptation()
    del config["data"]["height"], config["data"]["target"]["path"]
    paths = [line.split(":")[0] for line in errors(tmp_path, config)]
    assert paths == ["data.source.height", "data.target.path", "data.target.height"]
    config = supervised()
    del config["data"]["path"], config["optim"]
    assert [line.split(":")[0] for line in errors(tmp_path, config)] == ["data.path", "optim"]


def test_an_empty_subsection_is_its_default(tmp_path: Path):
    empty = ("data.augmentations=", "setup.kwargs=", "setup.loss.kwargs=", "optim.kwargs=", "scheduler=")
    config = load(tmp_path, supervised(), *empty).config
    assert config.setup.kwargs.stages == [1]
    assert config.scheduler.name == "constant"
    assert config.data.source.augmentations.random_horizontal_flip == 0


@pytest.mark.parametrize(
    ("example", "overrides", "warned"),
    [
        (adaptation, ["optim.clip_grad_norm=10"], "optim.clip_grad_norm: applies"),
        (adaptation, ["optim.clip_grad_norm=10", "training.da.doda=False"], None),
        (adaptation, [], None),
        (supervised, ["optim.clip_grad_norm=10"], None),
    ],
)
def test_what_the_published_code_never_did_is_warned_of_once(tmp_path, caplog, example, overrides, warned):
    with caplog.at_level("WARNING", logger=LOGGER.name):
        load(tmp_path, example(), *overrides)
    assert len(caplog.messages) == (warned is not None)
    assert warned is None or warned in caplog.messages[0]


def test_label_sets_are_those_of_the_datasets():
    for dataset, facts in DATASETS.items():
        for n_classes in facts.n_classes:
            assert len(label_set(dataset, n_classes).names) == n_classes


def test_every_field_of_the_schema_is_described():
    def sections(kind: Any) -> set[type[BaseModel]]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return {kind}.union(*(sections(field.annotation) for field in kind.model_fields.values()))
        return set().union(*(sections(inner) for inner in getattr(kind, "__args__", ())))

    found = sections(Config)
    assert len(found) > 30
    undescribed = [f"{s.__name__}.{name}" for s in found for name, f in s.model_fields.items() if not f.description]
    assert undescribed == []

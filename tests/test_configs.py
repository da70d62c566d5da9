"""Every experiment file under `configs/`: it loads, says only what differs from its base, holds the paper's values."""

import os
import re
from pathlib import Path

import pytest
import torch

from models.build import build_model
from optim.groups import parameter_groups
from utils.config.load import Experiment, load_experiment
from utils.config.yaml_io import read_mapping, write_mapping

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
ENV_CONFIG = CONFIGS / "env_config.yml"
BASES = sorted(CONFIGS.rglob("fs_bs*.yml"))
EXPERIMENTS = sorted(path for path in CONFIGS.rglob("*.yml") if path not in BASES and path != ENV_CONFIG)
DATASET_VARIABLES = ("CITYSCAPES_DIR", "SYNTHIA_DIR", "VKITTI2_DIR", "NYUDV2_DIR")

# dataset: (height, width), classes, learning rates of ours (default, backbone)
FULLY_SUPERVISED = {
    "cityscapes": ((512, 1024), 16, (1e-4, 1e-5)),
    "synthia": ((512, 1024), 16, (3e-4, 2e-4)),
    "vkitti2": ((320, 1024), 14, (3e-4, 2e-4)),
    "nyudv2": ((448, 576), 40, (3e-4, 2e-4)),
}
TASKS = {
    "SD": ("semseg", "depth"),
    "SDN": ("semseg", "depth", "normals"),
    "SDNE": ("semseg", "depth", "normals", "edges"),
}
LETTERS = {"semseg": "S", "depth": "D", "normals": "N", "edges": "E"}
CHANNELS = {"depth": 1, "normals": 3, "edges": 2}


def short(path: Path) -> str:
    return str(path.relative_to(CONFIGS).with_suffix(""))


def base_of(path: Path) -> Path | None:
    base = next(path.parent.glob("fs_bs*.yml"), None)
    return base


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dummy dataset folders, in a process environment of the test's own."""
    own = {name: f"/data/{name}" for name in DATASET_VARIABLES}
    monkeypatch.setattr(os, "environ", {"HOME": "/home/me", **own})


def load(name: str) -> Experiment:
    path = CONFIGS / f"{name}.yml"
    return load_experiment(path, base=base_of(path), env_config=ENV_CONFIG)


def test_all_files_are_there():
    """So that a file that the glob misses, or one nobody meant to add, shows."""
    assert len(BASES) == 8
    assert len(EXPERIMENTS) == 36
    expected = [f"{dataset}/resnet101_STL_{letter}" for dataset in FULLY_SUPERVISED for letter in "SDN"]
    expected += [f"{dataset}/resnet101_ours_{kind}" for dataset in FULLY_SUPERVISED for kind in ("SD", "SDN")]
    expected += ["nyudv2/resnet101_STL_E", "nyudv2/resnet101_ours_SDNE"]
    expected += ["cityscapes/monodepth/resnet101_ours_SD", "demo/monodepth/resnet18_ours_SD", "demo/resnet18_ours_SDNE"]
    expected += [f"demo/da/resnet18_{variant}" for variant in ("ours_SD", "source_only_SD", "oracle_SD")]
    variants = ("ours_SD", "ours_SDN", "source_only_SD", "oracle_SD")
    expected += [f"da/{pair}/resnet101_{variant}" for pair in ("sy2cs", "vk2cs") for variant in variants]
    assert sorted(map(short, EXPERIMENTS)) == sorted(expected)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=short)
def test_experiment_loads_and_so_does_what_is_saved_of_it(path: Path, tmp_path: Path):
    experiment = load(short(path))
    assert experiment.name == path.stem
    assert experiment.config.training.logdir == "logs"
    assert experiment.config.data.validation.path.startswith("/data/")
    write_mapping(experiment.raw, tmp_path / "cfg.yml")
    assert load_experiment(tmp_path / "cfg.yml").config == experiment.config


@pytest.mark.parametrize("path", EXPERIMENTS, ids=short)
def test_experiment_builds_at_its_real_size(path: Path):
    """Every network, and a learning rate for every parameter; on the meta device, which has shapes but no memory."""
    config = load(short(path)).config
    with torch.device("meta"):
        network = build_model(config.setup, pretrained=False, frame_ids=config.data.source.frame_ids)
    assert network.tasks == config.setup.tasks
    groups = parameter_groups(network, config.setup.lr)
    assert len(groups) == len(config.setup.lr)
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=short)
def test_experiment_opens_with_its_command(path: Path):
    opening = re.match(r"(#.*\n)+", path.read_text())
    assert opening, "no opening comment"
    base = base_of(path)
    arguments = f"--base {base.relative_to(ROOT)} " if base else ""
    assert f"#   python main.py {arguments}--config {path.relative_to(ROOT)}\n" in opening[0]


@pytest.mark.parametrize("path", [path for path in EXPERIMENTS if base_of(path)], ids=short)
def test_no_section_repeats_the_base(path: Path):
    base, own = read_mapping(base_of(path)), read_mapping(path)
    assert [name for name, section in own.items() if base.get(name) == section] == []


@pytest.mark.parametrize("base", BASES, ids=short)
def test_every_section_of_a_base_is_used(base: Path):
    users = [read_mapping(path) for path in EXPERIMENTS if base_of(path) == base]
    assert [name for name in read_mapping(base) if all(name in user for user in users)] == []


def test_environment_file():
    assert read_mapping(ENV_CONFIG) == {
        "LOG_DIR": "logs",
        "DOWNLOAD_DIR": "downloads",
        "MODELS": None,
        **dict.fromkeys(DATASET_VARIABLES),
    }
    used = {name for path in [*BASES, *EXPERIMENTS] for name in re.findall(r"\$ENV:(\w+)", path.read_text())}
    assert used == {"LOG_DIR", *DATASET_VARIABLES}


@pytest.mark.parametrize("dataset", FULLY_SUPERVISED)
def test_fully_supervised_base(dataset: str):
    (height, width), classes, _ = FULLY_SUPERVISED[dataset]
    config = load(f"{dataset}/resnet101_STL_S").config
    data, training = config.data, config.training
    assert (data.source.dataset, data.source.path) == (dataset, f"/data/{dataset.upper()}_DIR")
    assert (data.source.height, data.source.width, data.source.n_classes) == (height, width, classes)
    assert (data.train_bs, data.source.augmentations.random_horizontal_flip) == (2, 0.5)
    assert (training.seed, data.source.dataset_seed) == (42, 42)
    assert (training.iterations, training.n_workers, training.print_interval) == (40_000, 4, 100)
    assert training.val_interval == {0: 100, 100: 200, 1000: 2500, 30000: 1000}
    assert (config.scheduler.name, config.scheduler.kwargs.step_size, config.scheduler.kwargs.gamma) == (
        "step",
        30_000,
        0.1,
    )


@pytest.mark.parametrize(
    ("dataset", "task"),
    [(dataset, task) for dataset in FULLY_SUPERVISED for task in TASKS["SDN"]] + [("nyudv2", "edges")],
)
def test_single_task(dataset: str, task: str):
    config = load(f"{dataset}/resnet101_STL_{LETTERS[task]}").config
    head = config.setup.model.tasks[task]
    assert (config.setup.name, config.setup.tasks, head.head) == ("baseline", (task,), "deeplab")
    assert head.kwargs.num_out_ch == CHANNELS.get(task, FULLY_SUPERVISED[dataset][1])
    assert config.setup.lr == {"default": 1e-2, "backbone": 1e-3}
    assert (config.optim.name, config.optim.clip_grad_norm) == ("SGD", 10)
    assert (config.optim.kwargs.momentum, config.optim.kwargs.weight_decay) == (0.9, 5e-4)
    loss = config.setup.loss.tasks[task]
    normals = "gt_normals" if dataset == "nyudv2" else "normals"
    names = {"semseg": "cross_entropy", "depth": "berhu", "normals": normals, "edges": "edges"}
    assert (loss.loss, loss.kwargs.scales) == (names[task], [0])
    assert task != "depth" or loss.kwargs.median_scaling is False


@pytest.mark.parametrize(
    ("dataset", "kind", "weights", "baselines"),
    [
        *((dataset, "SD", (50, 1), (78, 5.33)) for dataset in ("cityscapes", "synthia", "vkitti2")),
        ("nyudv2", "SD", (50, 1), (76, 15)),
        *((dataset, "SDN", (100, 1, 100), (76, 15, 10)) for dataset in FULLY_SUPERVISED),
        ("nyudv2", "SDNE", (100, 1, 100, 50), (76, 15, 10, 10)),
    ],
)
def test_ours_fully_supervised(dataset: str, kind: str, weights: tuple[float, ...], baselines: tuple[float, ...]):
    config = load(f"{dataset}/resnet101_ours_{kind}").config
    _, classes, (default, backbone) = FULLY_SUPERVISED[dataset]
    setup, tasks = config.setup, TASKS[kind]
    assert (setup.name, setup.tasks, setup.model.backbone, setup.model.use_dilation) == (
        "ours-cxatt", tasks, "resnet101", (False, False, True),
    )  # fmt: skip
    for task, head in setup.model.tasks.items():
        kwargs = head.kwargs
        assert (head.head, kwargs.num_out_ch) == ("padnet+", CHANNELS.get(task, classes))
        assert (kwargs.num_ch_dec, kwargs.aspp_rates) == ([64, 128, 128, 256, 256], [6, 12, 18])
        assert (kwargs.intermediate_aspp, kwargs.active_scales) == (True, [0, 1])
    assert (setup.kwargs.ablation, setup.kwargs.enc_layers, setup.kwargs.stages) == (
        ["SxTAM", "SA", "add"], [[4, 3, 2, 1], [0]], [1],
    )  # fmt: skip
    assert setup.lr == {"default": default, "backbone": backbone}
    assert (config.optim.name, config.optim.kwargs.betas, config.optim.clip_grad_norm) == ("Adam", (0.9, 0.98), 10)
    loss = config.setup.loss
    assert tuple(loss.tasks[task].kwargs.weight for task in tasks) == weights
    assert all(section.kwargs.scales == [0, 1] for section in loss.tasks.values())
    assert loss.tasks["depth"].kwargs.median_scaling is False
    assert loss.kwargs.baselines == dict(zip(tasks, baselines, strict=True))
    assert loss.kwargs.gammas == {task: int(task in ("depth", "normals")) for task in tasks}


def test_video_depth():
    config = load("cityscapes/monodepth/resnet101_ours_SD").config
    setup, data, loss = config.setup, config.data.source, config.setup.loss
    assert (setup.name, setup.tasks) == ("ours-cxatt_monodepth", ("semseg", "disp"))
    scales = {
        task: (head.kwargs.active_scales, loss.tasks[task].kwargs.scales) for task, head in setup.model.tasks.items()
    }
    assert scales == {"semseg": ([0, 2], [0, 2]), "disp": ([0, 1, 2, 3], [0, 1, 2, 3])}
    assert (data.n_classes, setup.model.tasks["semseg"].kwargs.num_out_ch) == (16, 16)
    assert [head.kwargs.is_regression for head in setup.model.tasks.values()] == [False, True]
    assert (data.height, data.width, data.output_size) == (512, 1024, (512, 512))
    assert (data.frame_ids, data.num_scales, data.load_sequences) == ([0, -1, 1], 4, True)
    assert setup.lr == {"default": 5e-5, "backbone": 1e-5, "monodepth.pose_net": 1e-6}
    assert (config.optim.name, config.optim.kwargs.betas) == ("Adam", (0.9, 0.999))
    assert config.training.val_interval == {0: 100, 100: 2500, 30000: 1000}
    assert [section.kwargs.weight for section in loss.tasks.values()] == [1, 1]
    ssde = loss.tasks["disp"].kwargs
    assert (ssde.min_depth, ssde.max_depth, ssde.test_min_depth, ssde.test_max_depth) == (0.1, 100, 1e-3, 80)
    assert ssde.disparity_smoothness == 1e-3
    assert (loss.kwargs.baselines, loss.kwargs.gammas) == ({"semseg": 78, "disp": 5.33}, {"semseg": 0, "disp": 1})


@pytest.mark.parametrize(("pair", "source", "classes"), [("sy2cs", "synthia", 16), ("vk2cs", "vkitti2", 8)])
def test_domain_adaptation(pair: str, source: str, classes: int):
    config = load(f"da/{pair}/resnet101_ours_SD").config
    data, training, setup = config.data, config.training, config.setup
    assert (data.source.dataset, data.target.dataset) == (source, "cityscapes")
    assert (data.source.n_classes, data.target.n_classes) == (classes, classes)
    assert data.source.output_size == data.target.output_size == (512, 1024)
    assert (data.source.height, data.source.width) == ((512, 1696) if pair == "vk2cs" else (512, 1024))
    assert (data.src_split, data.tgt_split, data.train_bs) == ("all", "train", 2)
    assert (training.iterations, training.print_interval) == (90_000, 50)
    assert training.val_interval == {0: 500, 1000: 2500, 30000: 1000}
    assert training.da.model_dump() == {
        "doda": True, "lr_D": 1e-4, "ent_align": [1, 0], "lambda_adv_ent": 0.005, "lambda_disc_ent": 1,
    }  # fmt: skip
    assert config.scheduler.kwargs.step_size == 100_000
    assert (config.optim.name, config.optim.kwargs.betas, config.optim.clip_grad_norm) == ("Adam", (0.9, 0.98), None)
    assert setup.lr == {"default": 2.5e-4, "backbone": 1.5e-5}
    assert {task: head.kwargs.active_scales for task, head in setup.model.tasks.items()} == {
        "semseg": [1, 0], "depth": [1, 0],
    }  # fmt: skip
    assert [section.kwargs.weight for section in config.setup.loss.tasks.values()] == [50, 1]
    assert config.setup.loss.tasks["depth"].kwargs.median_scaling is True
    normals = load(f"da/{pair}/resnet101_ours_SDN").config
    assert normals.setup.tasks == TASKS["SDN"]
    assert [section.kwargs.weight for section in normals.setup.loss.tasks.values()] == [100, 1, 100]


@pytest.mark.parametrize("pair", ["sy2cs", "vk2cs"])
def test_bounds_of_domain_adaptation_differ_in_their_data_alone(pair: str):
    ours, source_only, oracle = (
        load(f"da/{pair}/resnet101_{name}_SD").raw for name in ("ours", "source_only", "oracle")
    )
    for bound in (source_only, oracle):
        assert [bound[name] for name in ("setup", "optim", "scheduler")] == [
            ours[name] for name in ("setup", "optim", "scheduler")
        ]
    assert source_only["data"] == ours["data"]
    assert source_only["training"].pop("da") == {"doda": False}
    ours["training"].pop("da")
    assert source_only["training"] == oracle["training"] == ours["training"]
    data = oracle["data"]
    target = ours["data"]["target"]
    assert {name: data[name] for name in target} == target
    assert data["n_classes"] == ours["data"]["n_classes"]
    assert "source" not in data
    assert "target" not in data


def test_demo_is_small():
    config = load("demo/resnet18_ours_SDNE").config
    assert (config.setup.model.backbone, config.setup.model.pretrain) == ("resnet18", "none")
    assert config.setup.tasks == TASKS["SDNE"]
    assert (config.data.source.dataset, config.data.source.n_classes) == ("nyudv2", 40)
    assert config.data.source.height * config.data.source.width <= 128 * 160

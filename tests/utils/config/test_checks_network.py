"""Checks of an experiment's network and losses: every guard with its message, and what must pass."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.config_examples import baseline, errors, load, nyudv2, padnet, supervised, video, with_tasks

TASKS = "setup.model.tasks"
DEEPLAB = "{head: deeplab, kwargs: {num_out_ch: %d}}"


@pytest.mark.parametrize("config", [nyudv2(), baseline(), padnet()])
def test_more_examples_are_valid(tmp_path: Path, config: dict[str, Any]):
    load(tmp_path, config)


@pytest.mark.parametrize("name", ["3ways", "padnet+", "ours", "baseline"])
def test_one_setup_under_many_names(tmp_path: Path, name: str):
    load(tmp_path, supervised(), f"setup.name={name}")


# --- tasks, heads, scales ---


def test_mistakes_of_several_checks_are_reported_together(tmp_path: Path):
    found = errors(tmp_path, supervised(), f"{TASKS}.depth.kwargs.num_out_ch=2", "data.height=65", "scheduler.kwargs=3")
    assert found == ["scheduler.kwargs: expected a mapping (`key: value` lines), got 3"]  # sections come first
    found = errors(
        tmp_path, supervised(), f"{TASKS}.depth.kwargs.num_out_ch=2", "data.height=65", "scheduler.kwargs={}"
    )
    assert [line.split(":")[0] for line in found] == [
        f"{TASKS}.depth.kwargs.num_out_ch",
        "data.height",
        "scheduler.kwargs.step_size",
    ]


def test_tasks_of_network_loss_and_baselines_agree(tmp_path: Path):
    config = supervised()
    config["loss"]["tasks"]["normals"] = {"name": "normals"}
    del config["loss"]["tasks"]["depth"]
    config["loss"]["kwargs"] = {"baselines": {"semseg": 1, "edges": 1}, "gammas": {"disp": 1}}
    assert errors(tmp_path, config) == [
        "loss.tasks.depth: missing: the network has this task, the loss does not",
        "loss.tasks.normals: the network has no such task, it has semseg, depth (setup.model.tasks)",
        "loss.kwargs.baselines.edges: the network has no such task, it has semseg, depth",
        "loss.kwargs.gammas.disp: the network has no such task, it has semseg, depth",
        "loss.kwargs.baselines.depth: missing: delta_m compares every task with its baseline",
    ]


@pytest.mark.parametrize(
    ("task", "needed", "why"),
    [
        ("semseg", 40, "data.n_classes"),
        ("depth", 1, "what depth needs"),
        ("normals", 3, "what normals needs"),
        ("edges", 2, "what edges needs"),
    ],
)
def test_output_channels(tmp_path: Path, task: str, needed: int, why: str):
    path = f"{TASKS}.{task}.kwargs.num_out_ch"
    assert errors(tmp_path, nyudv2(), f"{path}=7") == [f"{path}: must be {needed}, {why}, got 7"]


SCALES = f"{TASKS}.depth.kwargs.active_scales"


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (
            ["loss.tasks.depth.scales=[0, 2, 3]"],
            ["loss.tasks.depth.scales: the network predicts depth at the scales [0, 1], not at [2, 3]"],
        ),
        (["loss.tasks.depth.scales=[1]"], ["loss.tasks.depth.scales: must hold 0, the final output, got [1]"]),
        (
            [f"{SCALES}=[1, 2]", "loss.tasks.depth.scales=[1]"],
            [f"{SCALES}: must hold 0, the final output, got [1, 2]"],
        ),
        (
            [f"{TASKS}.{task}.kwargs.n_upconv=2" for task in ("semseg", "depth")] + [f"{SCALES}=[0, 1, 3]"],
            [f"{SCALES}: the decoder starts at level 2 (n_upconv) and has no scale above, got [0, 1, 3]"],
        ),
        (
            [f"{TASKS}.depth.head=deeplab", "setup.name=baseline", "loss.tasks.depth.scales=[0]"],
            [f"{SCALES}: a deeplab head predicts at scale 0 only: must be [0], got [0, 1]"],
        ),
        (
            [f"{TASKS}.depth={DEEPLAB % 1}", "loss.tasks.depth.scales=[0]"],
            [f"{TASKS}.depth.head: 'ours-cxatt' exchanges features between decoders: must be padnet+, got deeplab"],
        ),
    ],
)
def test_scales(tmp_path: Path, overrides: list[str], lines: list[str]):
    assert errors(tmp_path, supervised(), *overrides) == lines


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "loss.tasks.semseg.scales=[0, 1]",
            "loss.tasks.semseg.scales: the network predicts semseg at the scales [2, 0], not at [1]",
        ),
        (
            "loss.tasks.depth.scales=[0, 2]",
            "loss.tasks.depth.scales: the network predicts depth at the scales [2], not at [0]",
        ),
        (f"{TASKS}.semseg.auxiliary=True", None),
    ],
)
def test_padnet(tmp_path: Path, override: str, line: str | None):
    if line is None:
        line = f"{TASKS}: every task is auxiliary; at least one must be predicted in the end"
        assert errors(tmp_path, padnet(), override, "loss.tasks.semseg.scales=[2]") == [line]
    else:
        assert errors(tmp_path, padnet(), override) == [line]


@pytest.mark.parametrize("name", ["ours-cxatt", "3ways", "padnet"])
def test_an_exchange_needs_two_tasks(tmp_path: Path, name: str):
    config = with_tasks(semseg=(16, "cross_entropy"))
    config["loss"]["tasks"]["semseg"]["scales"] = [0]
    message = f"'{name}' exchanges features between tasks and has semseg alone; a single task is setup.name 'baseline'"
    assert errors(tmp_path, config, f"setup.name={name}") == [f"{TASKS}: {message}"]


def test_dilation(tmp_path: Path):
    message = "resnet18 has no dilated form: must be False (or take resnet50, resnet101)"
    assert errors(tmp_path, supervised(), "setup.model.backbone=resnet18") == [f"setup.model.use_dilation: {message}"]
    load(tmp_path, supervised(), "setup.model.backbone=resnet18", "setup.model.use_dilation=False")


# --- sections, exchanges ---


@pytest.mark.parametrize(
    ("sections", "stages"),
    [("[[4, 3, 2], [1], [0]]", "[2, 1]"), ("[[4, 3, 2, 1, 0]]", "[]"), ("[[4], [3, 2, 1, 0]]", "[4]")],
)
def test_valid_sections(tmp_path: Path, sections: str, stages: str):
    load(tmp_path, supervised(), f"setup.kwargs.enc_layers={sections}", f"setup.kwargs.stages={stages}")


@pytest.mark.parametrize(
    "sections", ["[[4, 3, 2, 1]]", "[[4, 3], [3, 2, 1, 0]]", "[[0], [4, 3, 2, 1]]", "[[4, 3, 2, 1, 0], []]", "[]"]
)
def test_sections_hold_all_levels_once_in_order(tmp_path: Path, sections: str):
    message = f"must be the levels [4, 3, 2, 1, 0] in this order, cut into sections, got {sections}"
    assert errors(tmp_path, supervised(), f"setup.kwargs.enc_layers={sections}") == [
        f"setup.kwargs.enc_layers: {message}"
    ]


@pytest.mark.parametrize("stages", ["[2]", "[1, 0]", "[]"])
def test_stages_are_the_ends_of_sections(tmp_path: Path, stages: str):
    message = f"must be [1], the last level of each section but the last of [[4, 3, 2, 1], [0]], got {stages}"
    assert errors(tmp_path, supervised(), f"setup.kwargs.stages={stages}") == [f"setup.kwargs.stages: {message}"]


@pytest.mark.parametrize(("name", "level"), [("ours-cxatt", 1), ("3ways", 2)])
def test_widths_agree_where_features_are_exchanged(tmp_path: Path, name: str, level: int):
    widths = [64, 128, 128, 256, 256]
    widths[level] = 32
    (line,) = errors(tmp_path, supervised(), f"setup.name={name}", f"{TASKS}.depth.kwargs.num_ch_dec={widths}")
    message = f"the tasks exchange features at level {level} and must agree on kwargs.num_ch_dec[{level}]"
    assert line == f"{TASKS}: {message}, got semseg 128, depth 32"
    widths[level] = 128
    widths[0] = 8  # no exchange at level 0
    load(tmp_path, supervised(), f"setup.name={name}", f"{TASKS}.depth.kwargs.num_ch_dec={widths}")


def test_decoders_of_an_exchange_have_one_depth(tmp_path: Path):
    (line,) = errors(tmp_path, supervised(), f"{TASKS}.depth.kwargs.n_upconv=3")
    assert line == f"{TASKS}: decoders that exchange features must agree on kwargs.n_upconv, got semseg 4, depth 3"
    shallow = [f"{TASKS}.{task}.kwargs.n_upconv=%d" for task in ("semseg", "depth")]
    load(tmp_path, supervised(), *[override % 3 for override in shallow])
    (line,) = errors(tmp_path, supervised(), "setup.name=3ways", *[override % 1 for override in shallow])
    assert line == f"{TASKS}: the decoders exchange features at level 2: n_upconv must be 2 or more"


ABLATION = "setup.kwargs.ablation"


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (
            "[CxTAM, SA]",
            ["'CxTAM' is named by the published code without a working definition; valid here: SxTAM, SA, add"],
        ),
        ("[SxTAM, split]", ["'split' is named by the published code without a working definition; valid here: SxTAM"]),
        ("[sxtam, SA]", ["unknown word 'sxtam'; valid here: SxTAM, SA, add, prod, no_alpha, full_sa"]),
        ("[SxTAM, no_alfa]", ["unknown word 'no_alfa'; did you mean 'no_alpha'?"]),
        ("[add]", ["the exchange needs at least one of SxTAM and SA, got ['add']"]),
        ("[SA, add, prod]", ["'add' and 'prod' exclude each other"]),
    ],
)
def test_ablation_words(tmp_path: Path, words: str, messages: list[str]):
    found = errors(tmp_path, supervised(), f"{ABLATION}={words}")
    assert len(found) == len(messages)
    for line, message in zip(found, messages, strict=True):
        assert line.startswith(f"{ABLATION}: {message}")


@pytest.mark.parametrize("words", ["[SxTAM]", "[SA, prod]", "[SxTAM, SA, add, no_alpha, full_sa]"])
def test_valid_ablations(tmp_path: Path, words: str):
    load(tmp_path, supervised(), f"{ABLATION}={words}")


def test_source_order(tmp_path: Path):
    order = "setup.kwargs.source_order"
    load(tmp_path, nyudv2(), f"{order}={{semseg: [edges, depth, normals]}}")
    assert errors(tmp_path, nyudv2(), f"{order}={{semseg: [edges, depth], disp: [semseg]}}") == [
        f"{order}.semseg: must list the other tasks (depth, normals, edges) in their order, got ['edges', 'depth']",
        f"{order}.disp: the network has no such task, it has semseg, depth, normals, edges",
    ]


# --- losses ---


def test_edges_are_for_nyudv2(tmp_path: Path):
    config = with_tasks(semseg=(16, "cross_entropy"), edges=(2, "edges"))
    assert errors(tmp_path, config) == [f"{TASKS}.edges: edges are labelled on nyudv2 only, the dataset is cityscapes"]


@pytest.mark.parametrize(
    ("task", "loss", "fitting"),
    [
        ("semseg", "berhu", "semseg is cross_entropy"),
        ("depth", "cross_entropy", "depth is berhu or L1_depth"),
        ("normals", "normals", "normals on nyudv2 is gt_normals"),
        ("edges", "cross_entropy", "edges is edges"),
    ],
)
def test_losses_fit_their_tasks(tmp_path: Path, task: str, loss: str, fitting: str):
    path = f"loss.tasks.{task}.name"
    assert errors(tmp_path, nyudv2(), f"{path}={loss}") == [f"{path}: the loss of {fitting}, got {loss}"]


def test_normals_outdoors_come_from_depth(tmp_path: Path):
    config = with_tasks(semseg=(16, "cross_entropy"), normals=(3, "normals"))
    load(tmp_path, config)
    path = "loss.tasks.normals.name"
    message = "the loss of normals on cityscapes is normals, got gt_normals"
    assert errors(tmp_path, config, f"{path}=gt_normals") == [f"{path}: {message}"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("semseg.kwargs.pos_weight=0.5", "'cross_entropy' has no such option; it takes no options"),
        ("depth.kwargs.no_ssim=True", "'berhu' has no such option; it takes median_scaling, min_depth, max_depth"),
        ("normals.kwargs.median_scaling=True", "'gt_normals' has no such option; it takes no options"),
        ("edges.kwargs.max_depth=1", "'edges' has no such option; it takes pos_weight"),
    ],
)
def test_loss_options_fit_the_loss(tmp_path: Path, override: str, message: str):
    key = override.split("=")[0]
    assert errors(tmp_path, nyudv2(), f"loss.tasks.{override}") == [f"loss.tasks.{key}: {message}"]


def test_depth_limits_are_in_order(tmp_path: Path):
    overrides = ["loss.tasks.disp.kwargs={min_depth: 5, max_depth: 5, test_min_depth: 9, test_max_depth: 8}"]
    assert errors(tmp_path, video(), *overrides) == [
        "loss.tasks.disp.kwargs.min_depth: must be below max_depth, got 5 and 5",
        "loss.tasks.disp.kwargs.test_min_depth: must be below test_max_depth, got 9 and 8",
    ]


def test_padnet_learns_disparity_at_its_final_scale_alone(tmp_path: Path):
    name = "setup.name=padnet_monodepth"
    semseg = "loss.tasks.semseg.scales=[0, 2]"
    load(tmp_path, video(), name, semseg, "loss.tasks.disp.scales=[0]", "data.num_scales=1")
    message = "the first of PAD-Net's predictions, scale 2, is too coarse for depth from video: must be [0]"
    found = errors(tmp_path, video(), name, semseg, "loss.tasks.disp.scales=[0, 2]")
    assert found == [f"loss.tasks.disp.scales: {message}, got [0, 2]"]

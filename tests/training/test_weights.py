"""A network that starts from another's weights: what it loads, what stays untrained, what is refused."""

import logging

import pytest
import torch

from models.build import build_model
from models.published import to_published
from tests.helpers.model_setups import baseline_setup, narrow_setup
from training.weights import load_network_weights, start_from
from utils.config.schema.setup import SetupConfig
from utils.errors import UserError

VIDEO = {"tasks": ["semseg", "disp"], "name": "ours-cxatt_monodepth", "is_regression": True}
SD, SDN = ["semseg", "depth"], ["semseg", "depth", "normals"]


def with_classes(setup: SetupConfig, n: int) -> SetupConfig:
    """The same network for n classes."""
    section = setup.model_dump(exclude_unset=True)
    section["model"]["tasks"]["semseg"]["kwargs"]["num_out_ch"] = n
    return SetupConfig.model_validate(section)


def start(source: SetupConfig, target: SetupConfig, *, published: bool = False, partial: bool = False):
    """A network of `target` that starts from one of `source`: what started untrained, as a set of names, checked."""
    given = {name: torch.randn_like(v) if v.is_floating_point() else v + 7 for name, v in network(source).items()}
    model = build_model(target, pretrained=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    untrained = start_from(
        model,
        to_published(given, build_model(source, pretrained=False)) if published else given,
        target,
        partial=partial,
    )
    for name, value in model.state_dict().items():
        is_new = any(name.startswith(f"{module}.") for module in untrained)
        assert torch.equal(value, (before if is_new else given)[name]), name
    return untrained


def network(setup: SetupConfig) -> dict[str, torch.Tensor]:
    return build_model(setup, pretrained=False).state_dict()


@pytest.mark.parametrize(
    ("setup", "published", "untrained"),
    [
        (narrow_setup(), False, ["heads.semseg.predictions"]),
        (narrow_setup(), True, ["heads.semseg.predictions"]),
        (narrow_setup(**VIDEO), True, ["main.heads.semseg.predictions"]),
        (baseline_setup(["semseg", "depth"]), True, ["heads.semseg.predict"]),
        (narrow_setup(name="3ways"), False, ["heads.semseg.predictions"]),
        (narrow_setup(name="padnet"), False, ["heads.semseg.predict_initial", "heads.semseg.predict_final"]),
    ],
    ids=["ours", "published", "video", "deeplab", "3ways", "padnet"],
)
def test_only_prediction_layers_of_other_classes_stay_untrained(setup, published, untrained):
    assert start(setup, with_classes(setup, 7), published=published) == untrained
    assert start(setup, setup, published=published) == []


@pytest.mark.parametrize("published", [False, True])
def test_partial_takes_over_what_both_tasks_have(published):
    to_three = start(narrow_setup(SD), narrow_setup(SDN), published=published, partial=True)
    assert to_three == [
        "heads.normals",
        "exchanges.1.semseg.directions.normals",
        "exchanges.1.semseg.fuse",
        "exchanges.1.depth.directions.normals",
        "exchanges.1.depth.fuse",
        "exchanges.1.normals",
    ]
    fuses = ["exchanges.1.semseg.fuse", "exchanges.1.depth.fuse"]
    assert start(narrow_setup(SDN), narrow_setup(SD), published=published, partial=True) == fuses
    other = start(narrow_setup(SD), with_classes(narrow_setup(["semseg", "normals"]), 7), partial=True)
    assert other == ["heads.semseg.predictions", "heads.normals", "exchanges"]
    alone = start(narrow_setup(["semseg"], name="baseline"), narrow_setup(SD), published=published, partial=True)
    assert alone == ["heads.depth", "exchanges"]


@pytest.mark.parametrize(
    ("source", "target", "partial", "message"),
    [
        (narrow_setup(SD), narrow_setup(SDN), False, "semseg, depth, the config has .*normals; with --weights-partial"),
        (narrow_setup(SDN), narrow_setup(SD), False, "--weights-partial"),
        (narrow_setup(num_ch_dec=[4, 8, 8, 8, 16]), narrow_setup(), True, r"(?s)other widths.*RUN/cfg\.yml"),
        (narrow_setup(model={"backbone": "resnet50"}), narrow_setup(), False, "encoder is another"),
        (narrow_setup(), narrow_setup(model={"backbone": "resnet50"}), True, "encoder is another"),
        (narrow_setup(SDN, use_skips=False), narrow_setup(SD), True, "heads.semseg.levels.4.merge"),
    ],
)
def test_what_else_differs_is_refused(source, target, partial, message):
    model = build_model(target, pretrained=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=message):
        start_from(model, network(source), target, partial=partial)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_classifiers_weights_are_no_start():
    with pytest.raises(UserError, match="missing: backbone"):
        start_from(
            build_model(narrow_setup(), pretrained=False), {"fc.bias": torch.ones(2)}, narrow_setup(), partial=True
        )


def test_unknown_order_of_sources_is_warned_of(caplog):
    caplog.set_level(logging.WARNING, logger="densemtl")
    tasks = ["semseg", "depth", "normals"]
    plain = narrow_setup(tasks)
    turned = narrow_setup(tasks, kwargs={"source_order": {"semseg": ["normals", "depth"]}})
    model = build_model(turned, pretrained=False)
    published = to_published(model.state_dict(), model)

    load_network_weights(build_model(plain, pretrained=False), published, plain)
    assert "published weights of 3 tasks" in caplog.text
    assert (
        "setup.kwargs.source_order: {semseg: [normals, depth], depth: [semseg, normals], normals: [semseg, depth]}"
        in caplog.text
    )

    caplog.clear()
    load_network_weights(model, published, turned)
    assert "source_order: {depth: [semseg, normals], normals: [semseg, depth]}" in caplog.text

    caplog.clear()
    said = narrow_setup(tasks, kwargs={"source_order": {t: [s for s in tasks if s != t] for t in tasks}})
    load_network_weights(model, published, said)
    load_network_weights(model, model.state_dict(), plain)  # our own weights follow the config
    pair = narrow_setup()
    load_network_weights(
        build_model(pair, pretrained=False), to_published(network(pair), build_model(pair, pretrained=False)), pair
    )  # one source has one order
    assert caplog.text == ""

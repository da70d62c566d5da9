import pytest
import torch
from torch import nn

from models.build import build_model
from models.published import from_published, is_published, load_weights, to_published
from models.weights import read_weights
from tests.helpers.model_setups import baseline_setup, narrow_setup, paper_setup, single_task_setup, video_setup
from tests.helpers.published_listing import densemtl, digest, single_task, video_depth
from utils.errors import UserError

SD = {"semseg": 16, "depth": 1}
SDN = {"semseg": 16, "depth": 1, "normals": 3}
SDNE = {"semseg": 40, "depth": 1, "normals": 3, "edges": 2}

# Listing, setup, and what shows that the listing is the published one: the digest of the file's names and shapes.
PUBLISHED = {
    "STL": (single_task(n_classes=16), single_task_setup(), "3106e3fdf2920c85"),
    "SD": (densemtl(SD), paper_setup(list(SD)), "dfae63c0e651a535"),
    "SDN": (densemtl(SDN), paper_setup(list(SDN)), "2dce2fb6f6af4e12"),
    "SDNE": (densemtl(SDNE), paper_setup(list(SDNE), n_classes=40), "cbde15dc0ae9a871"),
    "SDE": (video_depth({"semseg": 16, "disp": 1}), video_setup(), "1f9d51301244b2ec"),
}


def meta_model(setup) -> nn.Module:
    with torch.device("meta"):
        return build_model(setup, pretrained=False)


def random_published(setup, *, aliases: bool = True) -> dict[str, torch.Tensor]:
    """Random weights under the published names of a small network."""
    network = build_model(setup, pretrained=False)
    state = to_published(network.state_dict(), network, aliases=False)
    for name, value in state.items():
        state[name] = torch.randn_like(value) if value.is_floating_point() else torch.tensor(7)
    # An alias is the same tensor, as torch.save keeps it.
    return to_published(from_published(state, network), network, aliases=aliases)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_names_and_shapes_are_the_published_ones(kind):
    listing, setup, expected_digest = PUBLISHED[kind]
    assert digest(listing) == expected_digest
    network = meta_model(setup)
    own = network.state_dict()
    exported = to_published(own, network)
    assert {name: tuple(value.shape) for name, value in exported.items()} == listing
    back = from_published(exported, network)
    assert list(back) == list(own) and all(back[name] is own[name] for name in own)


@pytest.mark.parametrize(
    "setup",
    [
        baseline_setup(["semseg"]),
        baseline_setup(["semseg", "depth"]),
        narrow_setup(name="baseline"),
        narrow_setup(),
        narrow_setup(["depth", "semseg", "normals", "edges"]),
        narrow_setup(["semseg", "disp"], name="ours-cxatt_monodepth", is_regression=True),
        narrow_setup(kwargs={"ablation": ["SA", "full_sa"], "enc_layers": [[4, 3], [2, 1], [0]], "stages": [3, 1]}),
        narrow_setup(use_skips=False, batch_norm=True, intermediate_aspp=False),
        narrow_setup(n_project_skip_ch=2, aspp_rates=[2, 3], aspp_pooling=False, active_scales=[2, 0]),
        narrow_setup(n_upconv=3, kwargs={"enc_layers": [[3, 2, 1], [0]]}),
    ],
)
def test_round_trip_is_exact(setup, tmp_path):
    published = random_published(setup)
    assert is_published(published)
    torch.save(published, tmp_path / "w.pkl")
    model = build_model(setup, pretrained=False)
    load_weights(model, read_weights(tmp_path / "w.pkl"))
    assert not is_published(model.state_dict())
    exported = to_published(model.state_dict(), model)
    assert list(exported) == list(published)
    assert all(torch.equal(exported[name], published[name]) for name in published)

    twin = build_model(setup, pretrained=False)
    load_weights(twin, model.state_dict())
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in twin.state_dict().items())


def test_positions_in_the_published_decoder():
    """Each number of the published decoder, and each letter of its attention, stands for the right module."""
    setup = narrow_setup(active_scales=[0, 1])
    model = build_model(setup, pretrained=False)
    exported = to_published(model.state_dict(), model)
    head = model.heads["depth"]
    direction = model.exchanges["1"]["depth"].directions["semseg"]
    modules = {
        "heads.depth.decoder": {
            "0.convs.4.1.weight": head.levels["4"].enter.pooled.conv.weight,
            "2.block.0.conv.weight": head.levels["4"].merge.conv.weight,
            "9.block.0.conv.bias": head.levels["1"].enter.conv.bias,
            "13.block.0.conv.weight": head.levels["0"].merge.conv.weight,
            "14.weight": head.predictions["0"].weight,
            "15.weight": head.predictions["1"].weight,
        },
        "m.depth.1": {
            "extract_semseg.0.bias": direction.extract.bias,
            "SA_semseg.attention.0.weight": direction.self_attention.gate.weight,
            "SA_semseg.conv.weight": direction.self_attention.conv.weight,
            "SxTAM_semseg.alpha": direction.attention.alpha,
            "SxTAM_semseg.conv_b.0.weight": direction.attention.query.conv.weight,
            "SxTAM_semseg.conv_c.0.weight": direction.attention.key.conv.weight,
            "SxTAM_semseg.conv_d.1.running_var": direction.attention.value.norm.running_var,
            "proj_semseg.0.weight": direction.project.conv.weight,
            "post.0.weight": model.exchanges["1"]["depth"].fuse.conv.weight,
        },
    }
    aliases = {"heads.depth.decoder": "params.depth.0.decoder", "m.depth.1": "params.depth.1.1"}
    for module, weights in modules.items():
        for name, value in weights.items():
            assert torch.equal(exported[f"{module}.{name}"], value), name
            assert torch.equal(exported[f"{aliases[module]}.{name}"], value), name


def test_aliases_may_be_absent_but_not_unknown():
    setup = narrow_setup()
    model = build_model(setup, pretrained=False)
    load_weights(model, random_published(setup, aliases=False))
    state = random_published(setup) | {"params.depth.2.weight": torch.zeros(1)}
    with pytest.raises(UserError, match="1 unexpected: params.depth.2.weight"):
        load_weights(model, state)


@pytest.mark.parametrize("naming", ["published", "ours"])
def test_misfits_are_listed_and_nothing_is_loaded(naming):
    model = build_model(narrow_setup(), pretrained=False)
    state = random_published(narrow_setup())
    gone, new, odd = "m.depth.1.post.0.weight", "backbone.encoder.layer9.weight", "heads.semseg.decoder.14.bias"
    if naming == "ours":
        state = from_published(state, model)
        gone, new, odd = "exchanges.1.depth.fuse.conv.weight", "backbone.layer9", "heads.semseg.predictions.0.bias"
    del state[gone]
    state |= {new: torch.zeros(1), odd: torch.zeros(19)}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    listed = [f"1 missing: {gone}", f"1 unexpected: {new}", rf"1 of another shape: {odd} \(\(19,\) .* \(16,\)"]
    with pytest.raises(UserError, match="(?s)DenseMTL.*" + ".*".join(listed)):
        load_weights(model, state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_of_other_tasks_are_named_as_such():
    weights = random_published(narrow_setup(["semseg", "depth"]))
    setup = narrow_setup(["semseg", "depth", "normals"])
    with pytest.raises(UserError, match="weights of the tasks semseg, depth; the config has semseg, depth, normals"):
        load_weights(build_model(setup, pretrained=False), weights)


def test_a_file_of_this_networks_own_names_with_an_unknown_module_cannot_be_exported():
    with pytest.raises(UserError, match="unknown weight 'tail.weight'"):
        to_published({"tail.weight": torch.zeros(1)}, meta_model(narrow_setup()))


@pytest.mark.parametrize(("name", "kind"), [("padnet", "PADNet"), ("3ways", "ThreeWays")])
def test_networks_that_were_never_published_have_no_published_names(name, kind):
    setup = narrow_setup(name=name)
    model = build_model(setup, pretrained=False)
    load_weights(model, model.state_dict())
    with pytest.raises(UserError, match=f"no published weights.*{kind}"):
        load_weights(model, random_published(narrow_setup()))

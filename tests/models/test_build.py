import pytest
import torch
from torch import nn

from models.attention import ExchangeDesign
from models.build import build_model, exchange_design
from models.densemtl import DenseMTL
from models.encoder import Encoder
from models.padnet import PADNet
from models.video_depth import VideoDepth
from tests.helpers.model_setups import narrow_setup, paper_setup, single_task_setup, video_setup
from utils.errors import UserError


def count(setup) -> int:
    with torch.device("meta"):
        model = build_model(setup, pretrained=False)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    "setup, expected",
    [
        (single_task_setup(), 58_629_712),
        (paper_setup(["semseg", "depth"]), 87_399_458),
        (paper_setup(["semseg", "depth", "normals"]), 111_006_952),
        (paper_setup(["semseg", "depth", "normals", "edges"], n_classes=40), 135_391_516),
        (video_setup(), 99_904_944),
    ],
    ids=["STL", "SD", "SDN", "SDNE", "SDE"],
)
def test_parameter_counts_of_the_paper(setup, expected):
    assert count(setup) == expected


@pytest.mark.parametrize(
    "words, design",
    [
        (["SxTAM", "SA", "add"], ExchangeDesign()),
        (["SA", "add"], ExchangeDesign(attention=False)),
        (["SxTAM", "add"], ExchangeDesign(self_attention=False)),
        (["SxTAM", "SA", "prod"], ExchangeDesign(combine="prod")),
        (["SxTAM", "SA"], ExchangeDesign(combine="concat")),
        (["SxTAM", "SA", "add", "no_alpha"], ExchangeDesign(alpha=False)),
        (["SxTAM", "SA", "add", "full_sa"], ExchangeDesign(full_self_attention=True)),
    ],
)
def test_ablation_words_build_and_run(words, design):
    assert exchange_design(words) == design
    setup = narrow_setup(["semseg", "depth", "normals"], kwargs={"ablation": words})
    predictions = build_model(setup, pretrained=False)(torch.rand(2, 3, 64, 64))
    assert predictions["normals"][0].shape == (2, 3, 64, 64)


def test_head_options_reach_the_decoders():
    setup = narrow_setup(
        n_upconv=3,
        use_skips=True,
        n_project_skip_ch=2,
        batch_norm=True,
        dropout=0.25,
        aspp_rates=[2, 4],
        aspp_pooling=False,
        kwargs={"enc_layers": [[3, 2, 1], [0]]},
    )
    head = build_model(setup, pretrained=False).heads["depth"]
    assert head.level_order == (3, 2, 1, 0)
    top = head.levels["3"]
    assert [branch.conv.dilation[0] for branch in top.enter.dilated] == [2, 4] and top.enter.pooled is None
    assert top.skip.conv.out_channels == 2
    assert isinstance(top.merge.norm, nn.BatchNorm2d) and top.merge.dropout.p == 0.25


@pytest.mark.parametrize(
    "name, kind", [("ours", DenseMTL), ("ours-cxatt", DenseMTL), ("padnet", PADNet), ("ours_monodepth", VideoDepth)]
)
def test_names_of_the_networks(name, kind):
    tasks = ["semseg", "disp" if name.endswith("monodepth") else "depth"]
    assert type(build_model(narrow_setup(tasks, name=name), pretrained=False)) is kind


def test_source_order_reaches_the_exchange():
    order = {"semseg": ["normals", "depth"]}
    model = build_model(narrow_setup(["semseg", "depth", "normals"], kwargs={"source_order": order}), pretrained=False)
    assert list(model.exchanges["1"]["semseg"].directions) == ["normals", "depth"]
    assert list(model.exchanges["1"]["normals"].directions) == ["semseg", "depth"]


def test_frozen_backbone():
    model = build_model(narrow_setup(model={"freeze_backbone": True}), pretrained=False).train()
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    assert not model.backbone.training and model.heads.training
    model(torch.rand(2, 3, 64, 64))["depth"][0].sum().backward()
    assert model.heads["depth"].levels["0"].merge.conv.weight.grad is not None


def test_nothing_is_loaded_unless_asked_for(monkeypatch, tmp_path):
    def touched(*args, **kwargs):
        raise AssertionError("weights were asked for")

    monkeypatch.setattr(Encoder, "load_imagenet", touched)
    monkeypatch.setattr(Encoder, "load_classifier", touched)
    build_model(narrow_setup(model={"pretrain": "imnet"}), pretrained=False)
    build_model(narrow_setup(model={"pretrain": "none"}), pretrained=True)
    with pytest.raises(AssertionError, match="weights were asked for"):
        build_model(narrow_setup(model={"pretrain": "imnet"}), pretrained=True)


def test_pretrain_takes_a_file(tmp_path):
    state = {**Encoder(name="resnet18").state_dict(), "fc.weight": torch.zeros(10, 512)}
    torch.save(state, tmp_path / "r18.pth")
    model = build_model(narrow_setup(model={"pretrain": str(tmp_path / "r18.pth")}), pretrained=True)
    assert all(torch.equal(value, state[name]) for name, value in model.backbone.state_dict().items())
    del state["conv1.weight"]
    torch.save(state, tmp_path / "r18.pth")
    with pytest.raises(UserError, match="(?s)r18.pth does not fit the model.*1 missing: conv1.weight"):
        build_model(narrow_setup(model={"pretrain": str(tmp_path / "r18.pth")}), pretrained=True)


def test_pretrain_of_an_unknown_name():
    setup = narrow_setup(model={"pretrain": "imagenet"})
    with pytest.raises(UserError, match="setup.model.pretrain: 'imagenet' is neither 'imnet' nor 'none' nor a weights"):
        build_model(setup, pretrained=True)

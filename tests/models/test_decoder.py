import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.decoder import ConvBlock, Decoder, MergeBlock
from models.deeplab import DeepLabHead
from vendor.three_ways.aspp import ASPP

ENCODER = (5, 6, 7, 8, 9)
WIDTHS = (2, 3, 4, 5, 6)
STRIDES = {"resnet18": (2, 4, 8, 16, 32), "resnet101 dilated": (2, 4, 8, 16, 16)}


def make(**options) -> Decoder:
    defaults = {"encoder_channels": ENCODER, "num_out_ch": 3, "active_scales": [0, 1], "num_ch_dec": WIDTHS}
    return Decoder(**(defaults | options))


def features(strides=STRIDES["resnet101 dilated"], height=64, width=96, batch=2) -> list[torch.Tensor]:
    return [torch.randn(batch, c, height // s, width // s) for c, s in zip(ENCODER, strides, strict=True)]


def by_hand(head: Decoder, feats: list[torch.Tensor]) -> dict[int, torch.Tensor]:
    """The skip decoder spelled out from its description, with PyTorch's own modules."""
    pad, double = nn.ReflectionPad2d(1), nn.Upsample(scale_factor=2, mode="nearest")

    def block(module, x):
        return module(x) if isinstance(module, ASPP) else F.elu(F.conv2d(pad(x), module.conv.weight, module.conv.bias))

    x, out = feats[-1], {}
    for i in (4, 3, 2, 1, 0):
        level = head.levels[str(i)]
        x = block(level.enter, x)
        if i == 0 or feats[i - 1].shape[-1] > x.shape[-1]:
            x = double(x)
        if i > 0:
            x = torch.cat([x, feats[i - 1]], dim=1)
        x = block(level.merge, x)
        if i in head.active_scales:
            out[i] = F.conv2d(x, head.predictions[str(i)].weight, head.predictions[str(i)].bias)
    return out


@pytest.mark.parametrize("backbone", STRIDES)
@pytest.mark.parametrize("with_aspp", [True, False])
def test_equals_its_description(backbone, with_aspp):
    aspp = ASPP(in_channels=9, out_channels=6, rates=(1, 2, 3)) if with_aspp else None
    head = make(aspp=aspp, active_scales=[0, 1, 3]).eval()
    feats = features(STRIDES[backbone])
    expected = by_hand(head, feats)
    result = head(feats)
    assert set(result) == {0, 1, 3}
    for scale, prediction in result.items():
        assert prediction.shape == (2, 3, 64 // 2**scale, 96 // 2**scale)
        torch.testing.assert_close(prediction, expected[scale])


@pytest.mark.parametrize("sections", [[[4, 3, 2, 1], [0]], [[4], [3, 2], [1, 0]], [[4], [3], [2], [1], [0]]])
def test_sections_one_after_the_other_equal_one_run(sections):
    head, feats = make(active_scales=[0, 1, 2, 3, 4]).eval(), features()
    x, predictions = feats[-1], {}
    for levels in sections:
        x, made = head.run(x, feats, levels)
        assert list(made) == levels
        assert x.shape[1] == WIDTHS[levels[-1]]
        predictions |= made
    whole = head(feats)
    assert all(torch.equal(predictions[scale], whole[scale]) for scale in range(5))


@pytest.mark.parametrize("size", [(12, 16), (6, 8), (11, 15), (24, 30)], ids=["doubled", "same", "odd", "other"])
@pytest.mark.parametrize("with_skip", [True, False])
def test_merge_is_upsampling_concatenation_and_convolution(size, with_skip):
    block = MergeBlock(in_channels=7 if with_skip else 4, out_channels=3, batch_norm=False, dropout=0.0)
    x, skip = torch.randn(2, 4, 6, 8), torch.randn(2, 3, *size) if with_skip else None
    merged = F.interpolate(x, size=size, mode="nearest")
    if with_skip:
        merged = torch.cat([merged, skip], dim=1)
    padded = F.pad(merged, (1, 1, 1, 1), mode="reflect")
    torch.testing.assert_close(block(x, skip, size), F.elu(F.conv2d(padded, block.conv.weight, block.conv.bias)))


def test_sizes_no_multiple_of_the_stride_follow_the_encoder():
    strided = [torch.randn(2, c, -(-45 // s), -(-70 // s)) for c, s in zip(ENCODER, STRIDES["resnet18"], strict=True)]
    result = make(active_scales=[0, 1, 2])(strided)
    assert [tuple(result[s].shape[-2:]) for s in (2, 1, 0)] == [(12, 18), (23, 35), (46, 70)]


def test_without_skips_the_encoder_only_sets_the_size():
    head, feats = make(use_skips=False).eval(), features()
    changed = [torch.randn_like(f) for f in feats[:-1]] + feats[-1:]
    assert torch.equal(head(feats)[0], head(changed)[0])
    assert head.levels["1"].merge.conv.in_channels == WIDTHS[1]


def test_projected_skips():
    head, feats = make(n_project_skip_ch=2).eval(), features()
    skip = head.levels["2"].skip
    assert skip(feats[1]).shape == (2, 2, *feats[1].shape[-2:]) and skip(feats[1]).min() == 0
    assert [head.levels[str(i)].merge.conv.in_channels for i in range(5)] == [2, 5, 6, 7, 8]
    assert head(feats)[0].shape == (2, 3, 64, 96)


def test_batch_norm_and_dropout_of_channels_in_every_block():
    block = ConvBlock(in_channels=3, out_channels=40, batch_norm=True, dropout=0.5)
    x = torch.randn(4, 3, 8, 8) * 5 + 2
    out = block(x)
    dropped = (out == 0).flatten(2).all(dim=2)  # whole channels
    assert 0.25 < dropped.float().mean() < 0.75
    assert ((out == 0).flatten(2).any(dim=2) == dropped).all()
    normalised = block.norm(block.conv(F.pad(x, (1, 1, 1, 1), mode="reflect")))
    torch.testing.assert_close(out[~dropped], (F.elu(normalised) * 2)[~dropped])
    head = make(batch_norm=True, dropout=0.1)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in head.modules()) == 10
    assert sum(isinstance(m, nn.Dropout2d) for m in head.modules()) == 10


def test_regression_is_a_sigmoid_of_a_padded_convolution():
    head, feats = make(is_regression=True, num_out_ch=1, active_scales=[0, 2]).eval(), features()
    x, _ = head.run(feats[-1], feats, [4, 3, 2])
    conv = head.predictions["2"].conv
    expected = torch.sigmoid(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), conv.weight, conv.bias))
    torch.testing.assert_close(head(feats)[2], expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert head(feats)[2].dtype == torch.float32


def test_deeplab_head_upsamples_bilinearly_to_the_image():
    head = DeepLabHead(in_channels=9, num_out_ch=3, upsampling=16).eval()
    feats = features()
    (scale, prediction), *others = head(feats).items()
    assert scale == 0 and not others
    coarse = head.predict(head.refine(head.aspp(feats[-1])))
    expected = F.interpolate(coarse, size=(64, 96), mode="bilinear", align_corners=False)
    torch.testing.assert_close(prediction, expected)
    assert [branch.conv.dilation[0] for branch in head.aspp.dilated] == [12, 24, 36]

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.build import build_model
from models.decoder import Decoder
from models.densemtl import DenseMTL
from models.encoder import Encoder
from tests.helpers.model_setups import narrow_setup

TASKS = ("semseg", "depth", "normals")


class Shift(nn.Module):
    """An exchange that adds a number to every feature."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, features):
        return {task: feature + self.value for task, feature in features.items()}


class MemoryRecorder(TorchDispatchMode):
    """Notes maps that are not channels_last, and copies made to change a map's layout or type."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        outputs = func(*args, **(kwargs or {}))
        for value in outputs if isinstance(outputs, tuple | list) else [outputs]:
            if isinstance(value, torch.Tensor) and value.dim() == 4 and value.shape[1] > 1 and value[0, 0].numel() > 16:
                converts = any(word in str(func) for word in ("clone", "contiguous", "_to_copy"))
                if converts or (value.stride(1) != 1 and any(value.stride())):
                    self.found.append(f"{func} {tuple(value.shape)} {value.stride()}")
        return outputs


def make(**options) -> nn.Module:
    model = build_model(narrow_setup(TASKS, **options), pretrained=False)
    for name, parameter in model.named_parameters():
        if name.endswith("alpha"):
            nn.init.normal_(parameter)  # so that the attention has a say
    return model


def parts(sections, exchanges) -> DenseMTL:
    backbone = Encoder(name="resnet18")
    heads = {
        task: Decoder(
            encoder_channels=backbone.channels, num_out_ch=2, active_scales=[0, 1, 2, 3], num_ch_dec=(4, 4, 4, 4, 4)
        )
        for task in ("a", "b")
    }
    return DenseMTL(backbone=backbone, heads=heads, sections=sections, exchanges=exchanges).eval()


def test_exchange_stands_between_the_sections_after_the_intermediate_prediction():
    image = torch.rand(1, 3, 64, 64)
    plain = parts([[4, 3, 2, 1, 0]], {})
    exchanging = parts([[4, 3, 2, 1], [0]], {1: Shift(2.0)})
    exchanging.load_state_dict(plain.state_dict())
    before, after = plain(image), exchanging(image)
    for task in ("a", "b"):
        assert all(torch.equal(before[task][scale], after[task][scale]) for scale in (1, 2, 3))
        features = plain.backbone(image)
        x, _ = plain.heads[task].run(features[-1], features, [4, 3, 2, 1])
        _, made = plain.heads[task].run(x + 2.0, features, [0])
        torch.testing.assert_close(after[task][0], made[0])
        assert not torch.allclose(after[task][0], before[task][0])


def test_built_stages_have_an_exchange_each():
    model = make(kwargs={"enc_layers": [[4, 3], [2, 1], [0]], "stages": [3, 1]})
    assert list(model.exchanges) == ["3", "1"]
    assert model.exchanges["3"]["depth"].directions["semseg"].attention.downscale == 1
    assert model.exchanges["1"]["depth"].directions["semseg"].attention.downscale == 4
    assert model(torch.rand(2, 3, 64, 64))["depth"][0].shape == (2, 1, 64, 64)


def test_channels_last_goes_all_the_way_without_copies():
    model = make().to(memory_format=torch.channels_last)
    image = torch.rand(2, 3, 64, 96).to(memory_format=torch.channels_last)
    recorder = MemoryRecorder()
    with recorder:
        predictions = model(image)
        outputs = [prediction for by_scale in predictions.values() for prediction in by_scale.values()]
        weights = [torch.randn_like(output) for output in outputs]
        sum((output * weight).sum() for output, weight in zip(outputs, weights, strict=True)).backward()
    assert recorder.found == []

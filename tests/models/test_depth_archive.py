from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.build import build_model
from models.depth_archive import FILES, PUBLISHED_ARCHIVE
from models.published import decoder_names, rename
from models.video_depth import VideoDepth
from tests.helpers.model_setups import narrow_setup
from utils.config.schema.setup import SetupConfig
from utils.errors import UserError

NAME = "mono_tiny"


def make_setup(name: str = "ours-cxatt_monodepth", pretrain: str = NAME, width: int = 16) -> SetupConfig:
    widths = {"num_ch_dec": [8, 8, 8, width, width], "active_scales": [0, 1, 2, 3], "is_regression": True}
    return narrow_setup(("semseg", "disp"), name=name, model={"pretrain": pretrain}, **widths)


def random_state(module: nn.Module, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(value.shape, generator=generator).to(value.dtype)
        for name, value in module.state_dict().items()
    }


@pytest.fixture
def archive(tmp_path: Path) -> dict[str, dict[str, Tensor]]:
    """An archive of random weights under tmp_path; gives what is in each file, by our own names."""
    model = build_model(make_setup(pretrain="none"), pretrained=False)
    parts = {
        "encoder": random_state(model.main.backbone, 1),
        "pose_encoder": random_state(model.pose_net.encoder, 2),
        "pose": random_state(model.pose_net.decoder, 3),
        "depth": random_state(model.main.heads["disp"], 4),
    }
    names = decoder_names(model.main.heads["disp"])
    classifier = {"encoder.fc.weight": torch.rand(1000, 512), "encoder.fc.bias": torch.rand(1000)}
    sizes = {"height": 512, "width": 1024, "use_stereo": False}
    files = {
        "encoder": {f"encoder.{name}": value for name, value in parts["encoder"].items()} | classifier | sizes,
        "pose_encoder": {f"encoder.{name}": value for name, value in parts["pose_encoder"].items()} | classifier,
        "pose": parts["pose"],
        "depth": {rename(name, names): value for name, value in parts["depth"].items()},
    }
    assert "decoder.0.convs.0.0.weight" in files["depth"] and "decoder.17.conv.bias" in files["depth"]
    (tmp_path / NAME).mkdir()
    for file, state in files.items():
        torch.save(state, tmp_path / NAME / f"{file}.pth")
    return parts


def build(tmp_path: Path, setup: SetupConfig) -> VideoDepth:
    return build_model(setup, pretrained=True, download_dir=tmp_path, frame_ids=(0, -1, 1))


def assert_equal(module: nn.Module, expected: dict[str, Tensor]) -> None:
    state = module.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in state.items())


@pytest.mark.parametrize("name", ["ours-cxatt_monodepth", "3ways_monodepth", "baseline_monodepth"])
def test_everything_is_loaded_but_the_predictions(tmp_path: Path, archive: dict[str, dict[str, Tensor]], name: str):
    model = build(tmp_path, make_setup(name))
    assert_equal(model.main.backbone, archive["encoder"])
    assert_equal(model.pose_net.encoder, archive["pose_encoder"])
    assert_equal(model.pose_net.decoder, archive["pose"])
    for head in model.main.heads.values():
        for weight, value in head.state_dict().items():
            if not weight.startswith("predictions."):
                assert torch.equal(value, archive["depth"][weight]), weight
    predictions = model.main.heads["disp"].predictions
    assert not torch.equal(predictions["0"].conv.weight, archive["depth"]["predictions.0.conv.weight"])


def test_a_decoder_takes_only_what_has_its_shape(tmp_path: Path, archive: dict[str, dict[str, Tensor]]):
    torch.manual_seed(5)
    untouched = build(tmp_path, make_setup(pretrain="none", width=12)).main.heads["semseg"].state_dict()
    torch.manual_seed(5)
    loaded = build(tmp_path, make_setup(width=12)).main.heads["semseg"].state_dict()
    changed = [name for name in loaded if not torch.equal(loaded[name], untouched[name])]
    # Levels 4 and 3 are narrower here, and so is what level 2 takes from them: not even its bias is loaded.
    layers = ("levels.2.merge", "levels.1.enter", "levels.1.merge", "levels.0.enter", "levels.0.merge")
    assert changed == [f"{layer}.conv.{weight}" for layer in layers for weight in ("weight", "bias")]


def test_missing_files_name_themselves_their_source_and_the_way_without(
    tmp_path: Path, archive: dict[str, dict[str, Tensor]]
):
    (tmp_path / NAME / "pose.pth").unlink()
    with pytest.raises(UserError, match=f"lacks pose.pth in {tmp_path / NAME}.*{PUBLISHED_ARCHIVE}.*imnet"):
        build(tmp_path, make_setup())
    with pytest.raises(UserError, match=f"lacks {', '.join(FILES)} in"):
        build(tmp_path, make_setup(pretrain="elsewhere"))


def test_damaged_and_foreign_files_are_errors(tmp_path: Path, archive: dict[str, dict[str, Tensor]]):
    file = tmp_path / NAME / "depth.pth"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"depth\.pth cannot be read as weights"):
        build(tmp_path, make_setup())
    torch.save([1, 2], file)
    with pytest.raises(UserError, match=r"depth\.pth holds a list"):
        build(tmp_path, make_setup())


def test_weights_that_do_not_fit_are_listed(tmp_path: Path, archive: dict[str, dict[str, Tensor]]):
    state = archive["pose"] | {"net.3.weight": torch.zeros(6, 256, 1, 1)}
    del state["net.0.bias"]
    torch.save(state, tmp_path / NAME / "pose.pth")
    with pytest.raises(UserError, match=r"(?s)pose\.pth does not fit.*missing: net\.0\.bias.*net\.3\.weight \(\(6,"):
        build(tmp_path, make_setup())

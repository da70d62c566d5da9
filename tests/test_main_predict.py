"""`--predict` on one's own images: which files it writes, that they are right, and what it says of bad input."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from dataset.labels import label_set
from tests.helpers.runs import arguments, fails, few_threads, files_below, run_here, small_experiment, weights_of
from training.build import build_network

SIZE = (64, 64)  # of the network's input (height, width)
# Upright (height, width) of the images that the fixture `photos` draws.
PHOTOS = {
    "wide.jpg": (37, 53),
    "banner.png": (91, 200),
    "grey.png": SIZE,
    "clear.png": (80, 50),
    "phone.jpg": (60, 40),
    "below/deeper/grey16.png": (35, 33),
}
CHANNELS = {"semseg": 40, "depth": 1, "normals": 3, "edges": 2}
# File -> (type, whether it is a picture of three channels)
MAPS = {
    "semseg": (np.uint8, False),
    "semseg_color": (np.uint8, True),
    "depth": (np.uint16, False),
    "depth_color": (np.uint8, True),
    "normals": (np.uint8, True),
    "edges": (np.uint8, False),
}


@pytest.fixture(scope="module")
def weights(trained, tmp_path_factory) -> Path:
    """Weights of a network that has learned a little, its depth brought from infinity to that of a room."""
    state = weights_of(trained / "best_model.pkl")
    state["heads.depth.predictions.0.weight"] *= 100
    state["heads.depth.predictions.0.bias"] += 150  # of inverse depth: 4.4 m
    path = tmp_path_factory.mktemp("models") / "room.pkl"
    torch.save(state, path)
    return path


def draw(height: int, width: int, channels: int) -> np.ndarray:
    """A smooth colourful picture, uint8 [height, width, channels]."""
    coarse = np.random.default_rng(height).integers(0, 256, (4, 5, channels), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder with an image of every kind, and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "below" / "deeper").mkdir(parents=True)
    (folder / "notes.txt").write_text("not an image")
    Image.fromarray(draw(37, 53, 3)).save(folder / "wide.jpg")
    Image.fromarray(draw(91, 200, 3)).save(folder / "banner.png")
    Image.fromarray(draw(*SIZE, 1)[..., 0]).save(folder / "grey.png")
    Image.fromarray(draw(80, 50, 4)).save(folder / "clear.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright: to be turned by 90 degrees clockwise
    Image.fromarray(draw(40, 60, 3)).save(folder / "phone.jpg", exif=turned)
    Image.fromarray(draw(35, 33, 1)[..., 0].astype(np.uint16) * 257).save(folder / "below" / "deeper" / "grey16.png")
    return folder


@pytest.fixture(scope="module")
def predicted(weights, photos, tmp_path_factory) -> Path:
    """The results of `--predict photos --raw`."""
    output = tmp_path_factory.mktemp("predicted") / "new" / "folder"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NYUDV2_DIR", raising=False)
        words = ("--predict", str(photos), "--weights", str(weights), "--output", str(output), "--raw")
        assert run_here(patch, *arguments(*words)) == 0
    return output


def stem(output: Path, photo: str) -> str:
    """What the results of a photo begin with."""
    return str(output / Path(photo).with_suffix(""))


def read(output: Path, photo: str, suffix: str) -> np.ndarray:
    """A result as an array, RGB where it has channels."""
    array = cv2.imread(f"{stem(output, photo)}_{suffix}.png", cv2.IMREAD_UNCHANGED)
    return array if array.ndim == 2 else array[..., ::-1]


def raw(output: Path, photo: str) -> dict[str, np.ndarray]:
    with np.load(f"{stem(output, photo)}.npz", allow_pickle=False) as file:
        return dict(file)


def test_every_image_gets_every_file_and_nothing_else_is_written(predicted):
    expected = {f"{stem(Path(), photo)}_{suffix}.png" for photo in PHOTOS for suffix in (*MAPS, "panel")}
    expected |= {f"{stem(Path(), photo)}.npz" for photo in PHOTOS}
    assert set(files_below(predicted)) == expected


@pytest.mark.parametrize("photo", PHOTOS)
def test_maps_have_the_size_of_the_image_and_are_what_the_raw_output_means(predicted, photo):
    for suffix, (dtype, is_picture) in MAPS.items():
        array = read(predicted, photo, suffix)
        assert (array.dtype, array.shape) == (dtype, PHOTOS[photo] + ((3,) if is_picture else ())), suffix
    panel = read(predicted, photo, "panel")
    assert panel.dtype == np.uint8 and panel.shape[1] >= 5 * PHOTOS[photo][1]  # the image and four tasks

    full = {
        task: F.interpolate(torch.from_numpy(array)[None], PHOTOS[photo], mode="bilinear", align_corners=True)[
            0
        ].numpy()
        for task, array in raw(predicted, photo).items()
    }
    ids = read(predicted, photo, "semseg")
    assert np.array_equal(ids, full["semseg"].argmax(0)) and ids.max() < 40
    assert np.array_equal(read(predicted, photo, "semseg_color"), label_set("nyudv2", 40).colors[ids])
    metres = 655.36 / full["depth"][0] - 0.01
    np.testing.assert_allclose(read(predicted, photo, "depth"), metres * 256, rtol=1e-5, atol=0.51)
    normals = full["normals"] / np.linalg.norm(full["normals"], axis=0)
    np.testing.assert_allclose(read(predicted, photo, "normals"), (normals.transpose(1, 2, 0) + 1) * 127.5, atol=0.51)
    _, edge = np.exp(full["edges"]) / np.exp(full["edges"]).sum(0)
    np.testing.assert_allclose(read(predicted, photo, "edges"), edge * 255, atol=0.51)


def test_the_network_sees_different_things(predicted):
    """So that the other tests compare something: neither maps nor images are all alike."""
    assert len({raw(predicted, photo)["depth"].tobytes() for photo in PHOTOS}) == len(PHOTOS)
    assert all(np.ptp(read(predicted, "banner.png", suffix)) > 0 for suffix in MAPS)


@pytest.fixture(scope="module")
def network(weights):
    return build_network(small_experiment("predict"), torch.device("cpu"), weights=weights)


@pytest.mark.parametrize("photo", PHOTOS)
def test_raw_is_bit_for_bit_what_the_network_puts_out(predicted, photos, network, photo):
    with Image.open(photos / photo) as file:
        picture = ImageOps.exif_transpose(file)
    if picture.mode == "I;16":  # 257 times an 8 bit value: see `photos`
        picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    picture = picture.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode(), few_threads():
        outputs = network(image.contiguous(memory_format=torch.channels_last))
    arrays = raw(predicted, photo)
    assert {task: array.shape for task, array in arrays.items()} == {t: (c, *SIZE) for t, c in CHANNELS.items()}
    for task, array in arrays.items():
        assert array.dtype == np.float32 and np.array_equal(array, outputs[task][0][0].numpy()), task


def test_globs_and_files_and_weights_below_MODELS(weights, photos, predicted, tmp_path, monkeypatch):
    monkeypatch.setenv("MODELS", str(weights.parent))
    inputs = (str(photos / "*.jpg"), str(photos / "banner.png"), str(photos / "banner.png"))
    words = ("--predict", *inputs, "--weights", weights.name, "--output", str(tmp_path))
    assert run_here(monkeypatch, *arguments(*words)) == 0
    names = {f"{name}_{suffix}.png" for name in ("wide", "phone", "banner") for suffix in (*MAPS, "panel")}
    assert set(files_below(tmp_path)) == names  # no .npz without --raw
    for name in names:
        assert (tmp_path / name).read_bytes() == (predicted / name).read_bytes()


@pytest.fixture
def inputs(photos, tmp_path) -> Path:
    """A folder of what cannot be predicted."""
    folder = tmp_path / "inputs"
    (folder / "empty").mkdir(parents=True)
    (folder / "twice").mkdir()
    for suffix in ("jpg", "png"):
        Image.fromarray(draw(20, 20, 3)).save(folder / "twice" / f"view.{suffix}")
    (folder / "text.png").write_text("not an image")
    whole = (photos / "wide.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.mark.parametrize(
    ("name", "output", "expected"),
    [
        ("nowhere.png", "new", "inputs/nowhere.png: no such file, folder or glob match"),
        ("*.tiff", "new", "inputs/*.tiff: no such file, folder or glob match"),
        ("empty", "new", "inputs/empty: no image in this folder"),
        ("text.png", "new", "inputs/text.png: cannot be read as an image"),
        ("cut.jpg", "new", "inputs/cut.jpg: cannot be read as an image"),
        ("twice", "new", "would both be written"),
        ("twice/view.jpg", "inputs/text.png/new", "inputs/text.png/new: cannot be created"),
    ],
)
def test_what_cannot_be_read_or_written_is_named_before_anything_is_written(
    weights, photos, inputs, monkeypatch, capsys, name, output, expected
):
    before = [photos / "wide.jpg"] if "no such file" in expected else []  # all inputs are looked for first
    words = ("--predict", *map(str, before), str(inputs / name), "--weights", str(weights))
    message = fails(monkeypatch, capsys, *arguments(*words, "--output", str(inputs.parent / output)))
    assert expected in message and not (inputs.parent / "new").exists()
    assert name != "twice" or all(f"twice/view.{suffix}" in message for suffix in ("jpg", "png"))

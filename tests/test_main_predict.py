"""`--predict` on one's own images: which files it writes, that they are right, and what it says of bad input."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from dataset.labels import label_set
from tests.helpers.runs import arguments, fails, few_threads, files_below, only_run_folder, run_here, small_experiment
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


@pytest.fixture(autouse=True)
def _no_dataset(monkeypatch):
    """Prediction needs no dataset on disk."""
    monkeypatch.delenv("NYUDV2_DIR", raising=False)


@pytest.fixture(scope="module")
def weights(demo_nyudv2, tmp_path_factory) -> Path:
    """Weights of a network that has learned for a step, its depth brought from infinity to that of a room."""
    logs = tmp_path_factory.mktemp("logs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NYUDV2_DIR", str(demo_nyudv2))
        patch.setenv("LOG_DIR", str(logs))
        assert run_here(patch, *arguments(training__iterations=1)) == 0
    state = torch.load(only_run_folder(logs) / "best_model.pkl", weights_only=True)
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
def test_maps_have_the_size_of_the_image_and_their_type(predicted, photo):
    for suffix, (dtype, is_picture) in MAPS.items():
        array = read(predicted, photo, suffix)
        assert (array.dtype, array.shape) == (dtype, PHOTOS[photo] + ((3,) if is_picture else ())), suffix
    panel = read(predicted, photo, "panel")
    assert panel.dtype == np.uint8 and panel.shape[1] >= 5 * PHOTOS[photo][1]  # the image and four tasks


@pytest.mark.parametrize("photo", PHOTOS)
def test_maps_are_what_the_raw_output_means(predicted, photo):
    outputs = {task: torch.from_numpy(array)[None] for task, array in raw(predicted, photo).items()}
    full = {
        task: F.interpolate(value, PHOTOS[photo], mode="bilinear", align_corners=True)[0].numpy()
        for task, value in outputs.items()
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
def complaint(weights, tmp_path, monkeypatch, capsys):
    """The message that `--predict` of some inputs ends with; nothing may have been written."""

    def complaint(*inputs: object, output: Path = tmp_path / "output") -> str:
        words = ("--predict", *map(str, inputs), "--weights", str(weights), "--output", str(output))
        message = fails(monkeypatch, capsys, *arguments(*words))
        assert not output.exists()
        return message

    return complaint


def test_an_input_that_is_not_there_is_named(complaint, photos, tmp_path):
    for name in (tmp_path / "nowhere.png", photos / "*.tiff"):
        assert f"{name}: no such file, folder or glob match" in complaint(photos / "wide.jpg", name)


def test_a_folder_without_images_is_named(complaint, tmp_path):
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path / 'empty'}: no image in this folder" in complaint(tmp_path / "empty")


def test_a_file_that_is_no_whole_image_is_named(complaint, photos, tmp_path):
    text, cut = tmp_path / "text.png", tmp_path / "cut.jpg"
    text.write_text("not an image")
    whole = (photos / "wide.jpg").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    for path in (text, cut):
        assert f"{path}: cannot be read as an image" in complaint(path)


def test_images_whose_results_would_overwrite_each_other_are_named(complaint, tmp_path):
    first, second = tmp_path / "view.jpg", tmp_path / "view.png"
    for path in (first, second):
        Image.fromarray(draw(20, 20, 3)).save(path)
    message = complaint(tmp_path)
    assert str(first) in message and str(second) in message and "would both be written" in message


def test_an_output_that_cannot_be_created_is_named(complaint, photos, tmp_path):
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file' / 'output'}: cannot be created" in complaint(
        photos / "wide.jpg", output=tmp_path / "file" / "output"
    )


@pytest.mark.parametrize("given", [("--weights", "w.pkl"), ("--output", "folder"), ()])
def test_weights_and_output_are_needed(given, photos, monkeypatch, capsys):
    assert run_here(monkeypatch, *arguments("--predict", str(photos), *given)) == 2
    assert "--predict needs --weights WEIGHTS and --output DIR" in capsys.readouterr().err

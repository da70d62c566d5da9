import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image

from dataset.build import DatasetUse, build_dataset
from dataset.labels import label_set
from tests.helpers.dataset_files import (
    BASELINE,
    FX,
    FY,
    U0,
    V0,
    config,
    smooth_rgb,
    write_camera,
    write_cityscapes,
    write_image,
)  # fmt: skip
from utils.errors import UserError

TRAIN, VAL = "train/aachen/aachen_000000_000019", "val/bonn/bonn_000000_000019"
VIDEO = {"load_sequences": True, "frame_ids": [0, -1, 1]}


def build(root, *, split="train", tasks=("semseg", "depth"), training=True, size=(64, 32), **options):
    cfg = config("cityscapes", root, 19, size, **options)
    return build_dataset(DatasetUse(cfg=cfg, split=split, tasks=tasks, training=training), seed=0)


def names_of(samples):
    return [samples.filename(i) for i in range(len(samples))]


def test_reads_what_is_on_disk(tmp_path):
    written = write_cityscapes(tmp_path)
    samples = build(tmp_path)
    assert names_of(samples) == [TRAIN]
    assert names_of(build(tmp_path, split="val")) == [VAL]
    assert names_of(build(tmp_path, split="all")) == [TRAIN, VAL]
    assert names_of(build(tmp_path, split="val", val_split="train")) == [TRAIN]
    sample, arrays = samples[0], written[TRAIN]
    np.testing.assert_array_equal(sample["image"].permute(1, 2, 0).mul(255).round().numpy(), arrays["image"])
    np.testing.assert_array_equal(sample["semseg"], label_set("cityscapes", 19).table[arrays["semseg"]])
    p = arrays["disparity"].astype(np.float64)
    np.testing.assert_array_equal(sample["depth_mask"][0], p > 1)
    expected = np.divide(BASELINE * FX, (p - 1) / 256, out=np.zeros_like(p), where=p > 1)
    np.testing.assert_allclose(sample["depth"][0], expected, rtol=1e-6)
    assert not sample["depth_mask"][0, 0, :2].any()  # 0: unmeasured, 1: no disparity


def test_depth_of_a_known_disparity(tmp_path):
    """p = 1 + 256 * 4 is a disparity of 4 pixels: 0.2 m * 2000 px / 4 px = 100 m."""
    write_cityscapes(tmp_path, names=(TRAIN,))
    write_image(tmp_path / "disparity" / f"{TRAIN}_disparity.png", np.full((32, 64), 1025, np.uint16))
    assert torch.equal(build(tmp_path)[0]["depth"], torch.full((1, 32, 64), 100.0))


def test_resizes_image_with_lanczos_and_maps_on_the_centred_grid(tmp_path):
    arrays = write_cityscapes(tmp_path)[TRAIN]
    sample = build(tmp_path, size=(16, 8))[0]
    expected = Image.fromarray(arrays["image"]).resize((16, 8), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(sample["image"].permute(1, 2, 0).mul(255).round(), np.asarray(expected))
    ids = arrays["semseg"][2::4, 2::4]  # the pixel under the centre of each 4x4 block
    np.testing.assert_array_equal(sample["semseg"], label_set("cityscapes", 19).table[ids])
    np.testing.assert_array_equal(sample["depth_mask"][0], arrays["disparity"][2::4, 2::4] > 1)


def test_intrinsics_come_from_the_camera_file_for_2048x1024(tmp_path):
    write_cityscapes(tmp_path)
    expected = [[FX / 32, 0, U0 / 32], [0, FY / 32, V0 / 32], [0, 0, 1]]
    np.testing.assert_allclose(build(tmp_path)[0]["intrinsics"], expected, rtol=1e-6)
    wide = build(tmp_path, size=(128, 32))[0]["intrinsics"]
    np.testing.assert_allclose(wide[0], [FX / 16, 0, U0 / 16], rtol=1e-6)


def test_intrinsics_without_camera_file_are_the_defaults(tmp_path):
    write_cityscapes(tmp_path)
    (tmp_path / "camera" / f"{TRAIN}_camera.json").unlink()
    intrinsics = build(tmp_path, tasks=("semseg",))[0]["intrinsics"]
    np.testing.assert_allclose(intrinsics[0], [2262.52 / 32, 0, 1096.98 / 32], rtol=1e-6)
    np.testing.assert_allclose(intrinsics[1], [0, 2265.3017905988554 / 32, 513.137 / 32], rtol=1e-6)
    with pytest.raises(UserError, match=rf"{TRAIN}_camera.json: no such file; depth .* camera_trainvaltest.zip"):
        build(tmp_path)[0]


@pytest.mark.parametrize("content", ["{", "[]", '{"intrinsic": {"fx": 1}}', json.dumps({"intrinsic": None})])
def test_a_broken_camera_file_is_named(tmp_path, content):
    write_cityscapes(tmp_path)
    (tmp_path / "camera" / f"{TRAIN}_camera.json").write_text(content)
    with pytest.raises(UserError, match=rf"{TRAIN}_camera.json: .*sample {TRAIN}"):
        build(tmp_path)[0]


def test_small_images_are_preferred_when_large_enough(tmp_path):
    write_cityscapes(tmp_path, size=(64, 32))
    small = smooth_rgb(np.random.default_rng(9), 32, 16)
    write_image(tmp_path / "leftImg8bit_small" / f"{TRAIN}_leftImg8bit.png", small)
    sample = build(tmp_path, size=(32, 16))[0]
    np.testing.assert_array_equal(sample["image"].permute(1, 2, 0).mul(255).round(), small)
    assert (sample["semseg"] != 250).any() and sample["depth_mask"].any()  # maps stay at their size
    large = build(tmp_path, size=(64, 32))[0]["image"].permute(1, 2, 0).mul(255).round().numpy()
    assert large.shape == (32, 64, 3) and np.abs(large[::2, ::2] - small).mean() > 5  # the original was read
    # another split has no small images
    assert names_of(build(tmp_path, split="val", size=(32, 16))) == [VAL]
    assert build(tmp_path, split="val", size=(32, 16))[0]["image"].shape == (3, 16, 32)


def test_small_images_alone_are_enough(tmp_path):
    write_cityscapes(tmp_path, image_folder="leftImg8bit_small")
    assert build(tmp_path)[0]["image"].shape == (3, 32, 64)


def test_a_map_of_another_aspect_than_a_small_image_is_an_error(tmp_path):
    write_cityscapes(tmp_path, image_folder="leftImg8bit_small")
    write_image(tmp_path / "gtFine" / f"{TRAIN}_gtFine_labelIds.png", np.zeros((40, 64), np.uint8))
    with pytest.raises(UserError, match=r"labelIds.png: 64x40 pixels, but the image of sample .* has 64x32"):
        build(tmp_path)[0]


def test_a_missing_root_names_the_section_it_was_configured_in(tmp_path):
    cfg = config("cityscapes", tmp_path / "nowhere", 19, (64, 32))
    with pytest.raises(
        UserError, match=rf"^data\.target\.path: {tmp_path}/nowhere: no such file or folder. Cityscapes"
    ):
        build_dataset(DatasetUse(cfg=cfg, split="val", tasks=(), training=False, section="data.target"), seed=0)


def test_a_label_of_another_size_than_the_image_is_an_error(tmp_path):
    write_cityscapes(tmp_path)
    write_image(tmp_path / "gtFine" / f"{TRAIN}_gtFine_labelIds.png", np.zeros((16, 32), np.uint8))
    with pytest.raises(UserError, match=r"labelIds.png: 32x16 pixels, but the image of sample .* has 64x32"):
        build(tmp_path)[0]


def test_files_of_the_wrong_kind_are_refused(tmp_path):
    write_cityscapes(tmp_path)
    write_image(tmp_path / "gtFine" / f"{TRAIN}_gtFine_labelIds.png", np.zeros((32, 64, 3), np.uint8))
    with pytest.raises(UserError, match="label ids are one channel, this file has RGB"):
        build(tmp_path, tasks=("semseg",))[0]
    write_image(tmp_path / "disparity" / f"{TRAIN}_disparity.png", np.zeros((32, 64), np.uint8))
    with pytest.raises(UserError, match="expected 16 bit values, found uint8"):
        build(tmp_path, tasks=("depth",))[0]


def test_images_with_other_colour_modes_become_rgb(tmp_path):
    write_cityscapes(tmp_path)
    path = tmp_path / "leftImg8bit" / f"{TRAIN}_leftImg8bit.png"
    with Image.open(path) as image:
        image.convert("L").save(path)
    image = build(tmp_path)[0]["image"]
    assert image.shape == (3, 32, 64) and torch.equal(image[0], image[2])


def frames(recording, numbers):
    return tuple(f"{recording}_{number:06d}" for number in numbers)


def test_sequences_give_the_neighbours_by_frame_number(tmp_path):
    written = write_cityscapes(tmp_path, offsets=(-2, -1, 0, 1))
    sample = build(tmp_path, tasks=("semseg",), load_sequences=True, frame_ids=[0, -2, 1])[0]
    for offset in (-2, 0, 1):
        stored = sample[f"frame_{offset}"].permute(1, 2, 0).mul(255).round().numpy()
        np.testing.assert_array_equal(stored, written[TRAIN][f"frame_{offset}"])


def test_samples_without_neighbours_are_left_out_and_counted(tmp_path, caplog):
    names = frames("train/ulm/ulm_000001", (19, 49)) + frames("train/ulm/ulm_000002", (19,))
    write_cityscapes(tmp_path, names=names, offsets=(-1, 0, 1))
    # frame 20 of recording 1 is gone; the first frame of recording 2 has no past, whatever recording 1 ends with
    (tmp_path / "leftImg8bit_sequence" / "train/ulm/ulm_000001_000020_leftImg8bit.png").unlink()
    with caplog.at_level(logging.WARNING):
        samples = build(tmp_path, **VIDEO)
    assert names_of(samples) == [names[1], names[2]]
    assert "1 of 3 samples left out" in caplog.text and "[0, -1, 1]" in caplog.text


def test_all_frames_of_the_sequences_can_be_samples(tmp_path):
    write_cityscapes(tmp_path, names=(TRAIN,), offsets=range(-2, 3))
    write_camera(tmp_path / "camera" / f"{TRAIN}_camera.json", fx=1000.0)
    options = {**VIDEO, "only_sequences_with_segmentation": False}
    samples = build(tmp_path, tasks=("semseg", "depth"), **options)
    assert names_of(samples) == list(frames("train/aachen/aachen_000000", (18, 19, 20)))
    for index, annotated in enumerate((False, True, False)):
        sample = samples[index]
        assert bool((sample["semseg"] != 250).any()) == annotated
        assert bool(sample["depth_mask"].any()) == annotated
        assert sample["intrinsics"][0, 0] == 1000 / 32  # the labelled frame's camera serves its whole recording
    assert names_of(build(tmp_path, load_unlabeled=False, **options)) == [TRAIN]
    unlabelled = names_of(build(tmp_path, load_labeled=False, **options))
    assert unlabelled == list(frames("train/aachen/aachen_000000", (18, 20)))
    # the subset is counted among labelled frames
    subset = build(tmp_path, restrict_to_subset={"mode": "fixed", "subset": [0]}, load_unlabeled=False, **options)
    assert names_of(subset) == [TRAIN]


def test_frames_of_another_recording_use_the_default_camera(tmp_path):
    write_cityscapes(tmp_path, names=(TRAIN,), offsets=(-1, 0, 1))
    for number in range(3):
        path = tmp_path / "leftImg8bit_sequence" / f"train/aachen/aachen_000007_{number:06d}_leftImg8bit.png"
        write_image(path, smooth_rgb(np.random.default_rng(0), 64, 32))
    samples = build(tmp_path, tasks=(), only_sequences_with_segmentation=False, **VIDEO)
    assert names_of(samples) == [TRAIN, "train/aachen/aachen_000007_000001"]
    assert samples[1]["intrinsics"][0, 0] == pytest.approx(2262.52 / 32)


def test_sequences_alone_serve_without_single_images(tmp_path):
    written = write_cityscapes(tmp_path, offsets=(-1, 0, 1), sequence_folder="leftImg8bit_sequence_small")
    (tmp_path / "leftImg8bit").rename(tmp_path / "away")
    samples = build(tmp_path, **VIDEO)
    assert names_of(samples) == [TRAIN]
    image = samples[0]["image"].permute(1, 2, 0).mul(255).round().numpy()
    np.testing.assert_array_equal(image, written[TRAIN]["frame_0"])


def test_the_single_image_stands_in_for_a_sequence_without_frame_zero(tmp_path):
    written = write_cityscapes(tmp_path, offsets=(-1, 1))
    image = build(tmp_path, **VIDEO)[0]["frame_0"].permute(1, 2, 0).mul(255).round().numpy()
    np.testing.assert_array_equal(image, written[TRAIN]["image"])


def test_no_sequences_on_disk_names_the_folder_and_the_archive(tmp_path):
    write_cityscapes(tmp_path)
    with pytest.raises(UserError) as error:
        build(tmp_path, **VIDEO)
    message = str(error.value)
    assert f"{tmp_path}/leftImg8bit_sequence/train" in message and "leftImg8bit_sequence_trainvaltest.zip" in message
    assert "load_sequences" in message


def test_no_sample_with_all_neighbours_is_an_empty_split(tmp_path):
    write_cityscapes(tmp_path, offsets=(0, 1))
    with pytest.raises(UserError, match="no sample of the split 'train'"):
        build(tmp_path, **VIDEO)

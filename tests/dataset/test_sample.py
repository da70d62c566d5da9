"""The documented sample, asserted on every dataset, and what holds for samples of any dataset."""

import numpy as np
import pytest
import torch

import dataset.base
from dataset.base import sample_rng
from dataset.build import DatasetUse, build_dataset
from tests.helpers.dataset_files import config, write_cityscapes, write_datasets, write_image

W, H = 32, 16
STREET = ("train/aachen/aachen_000000_000019", "val/bonn/bonn_000000_000019")
IMAGE = {"image": (torch.float32, (3, H, W)), "intrinsics": (torch.float32, (3, 3))}
SEMSEG = {"semseg": (torch.int64, (H, W))}
DEPTH = {"depth": (torch.float32, (1, H, W)), "depth_mask": (torch.bool, (1, H, W))}
NORMALS = {"normals": (torch.float32, (3, H, W)), "normals_mask": (torch.bool, (1, H, W))}
EDGES = {"edges": (torch.int64, (H, W))}
FRAMES = {f"frame_{o}{suffix}": (torch.float32, (3, H, W)) for o in (0, -1, 1) for suffix in ("", "_aug")}
SCALES = {f"frame_0_s{k}": (torch.float32, (3, H >> k, W >> k)) for k in (1, 2)}
VIDEO = {"load_sequences": True, "frame_ids": [0, -1, 1], "num_scales": 3}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    return write_datasets(tmp_path_factory.mktemp("datasets"), streets=STREET)


CLASSES = {"cityscapes": 19, "synthia": 16, "vkitti2": 14, "nyudv2": 40}


def build(roots, name, *, split="train", tasks=("semseg", "depth"), training=True, seed=0, **options):
    cfg = config(name, roots / name, CLASSES[name], options.pop("size", (W, H)), **options)
    return build_dataset(DatasetUse(cfg=cfg, split=split, tasks=tasks, training=training), seed=seed)


SDN = ("semseg", "depth", "normals")


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(
    ("name", "tasks", "options", "expected"),
    [
        ("cityscapes", SDN, {}, SEMSEG | DEPTH),
        ("cityscapes", ("semseg", "disp"), VIDEO, SEMSEG | FRAMES | SCALES),
        ("cityscapes", ("normals",), {}, DEPTH),
        ("cityscapes", (), {}, {}),
        ("synthia", SDN, {}, SEMSEG | DEPTH),
        ("vkitti2", SDN, {}, SEMSEG | DEPTH),
        ("nyudv2", (*SDN, "edges"), {}, SEMSEG | DEPTH | NORMALS | EDGES),
        ("nyudv2", ("normals",), {}, NORMALS),
        ("nyudv2", ("semseg",), {}, SEMSEG),
        ("nyudv2", ("edges",), {}, EDGES),
    ],
)
def test_sample_is_as_documented(roots, name, tasks, options, expected, split):
    training = split == "train"
    samples = build(roots, name, split=split, tasks=tasks, training=training, **options)
    if "disp" in tasks and not training:  # which needs no video, but depth to be measured against
        expected = SEMSEG | DEPTH
    expected = IMAGE | expected
    for index in range(len(samples)):
        sample = samples[index]
        assert sample.pop("index") == index
        filename = sample.pop("filename")
        assert isinstance(filename, str) and filename == samples.filename(index)
        assert {key: (value.dtype, tuple(value.shape)) for key, value in sample.items()} == expected
        _check_values(sample, CLASSES[name])


def _check_values(sample, n_classes):
    for key, value in sample.items():
        if key == "image" or key.startswith("frame"):
            assert 0 <= value.min() and value.max() <= 1 and value.max() > 0.2
    if "semseg" in sample:
        assert set(sample["semseg"].unique().tolist()) <= {*range(n_classes), 250}
        assert (sample["semseg"] != 250).any()
    if "depth" in sample:
        mask = sample["depth_mask"]
        assert mask.any() and (sample["depth"][mask] > 0).all() and sample["depth"].isfinite().all()
        assert (sample["depth"][~mask] == 0).all()
    if "normals" in sample:
        mask = sample["normals_mask"][0]
        lengths = sample["normals"].norm(dim=0)
        torch.testing.assert_close(lengths, mask.float(), atol=1e-6, rtol=0)
        assert mask.any()
    if "edges" in sample:
        assert set(sample["edges"].unique().tolist()) == {0, 1}


def test_the_documentation_lists_every_key():
    documented = [line.split("`")[1] for line in dataset.base.__doc__.splitlines() if line.startswith("| `")]
    generic = {key.replace("-1", "<o>") for key in (*IMAGE, *SEMSEG, *DEPTH, *NORMALS, *EDGES, "index", "filename")}
    generic |= {"frame_<o>", "frame_<o>_aug", "frame_0_s<k>", "frame_<o>_pose"}
    assert sorted(documented) == sorted(generic)


AUGMENT = {
    "size": (W, H),
    "crop_w": 20,
    "crop_h": 12,
    "augmentations": {"random_horizontal_flip": 0.5, "color_aug": True},
}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) if torch.is_tensor(a[k]) else a[k] == b[k] for k in a)


def test_a_sample_is_a_function_of_seed_epoch_and_index(roots):
    first, again = (build(roots, "cityscapes", **AUGMENT) for _ in range(2))
    other_seed = build(roots, "cityscapes", seed=1, **AUGMENT)
    assert equal(first[0, 0], again[0, 0]) and equal(first[0], first[0, 0])
    first[5, 0]  # what was asked for before does not matter
    torch.rand(3), np.random.rand(3)
    assert equal(first[3, 0], again[3, 0])
    images = [first[epoch, 0]["image"] for epoch in range(4)] + [other_seed[0, 0]["image"]]
    assert not any(torch.equal(images[i], images[j]) for i in range(5) for j in range(i))


def test_generators_of_different_samples_differ():
    keys = [(seed, epoch, index) for seed in (0, 1, -1) for epoch in (0, 1) for index in (0, 1)]
    draws = [sample_rng(*key).random() for key in keys]
    assert len(set(draws)) == len(keys)


def test_crops_and_flips_cut_all_maps_and_intrinsics_alike(roots):
    """The crop and flip that explain the image must explain every map and the intrinsics."""
    whole = build(roots, "nyudv2", tasks=(*SDN, "edges"), training=False)[1]
    options = AUGMENT | {"augmentations": {"random_horizontal_flip": 0.5}}
    cut = build(roots, "nyudv2", tasks=(*SDN, "edges"), **options)
    flips = set()
    for epoch in range(12):
        sample = cut[epoch, 1]
        u0, v0 = sample["intrinsics"][0, 2], sample["intrinsics"][1, 2]
        top = round(float(whole["intrinsics"][1, 2] - v0))
        candidates = [(left, flip) for left in range(W - 20 + 1) for flip in (False, True)]

        def cropped(value, left, flip, top=top):
            part = value[..., top : top + 12, left : left + 20]
            return part.flip(-1) if flip else part

        [(left, flip)] = [c for c in candidates if torch.equal(cropped(whole["image"], *c), sample["image"])]
        flips.add(flip)
        for key in ("semseg", "depth", "depth_mask", "edges", "normals_mask"):
            assert torch.equal(cropped(whole[key], left, flip), sample[key]), key
        sign = torch.tensor([-1.0 if flip else 1.0, 1, 1])[:, None, None]
        torch.testing.assert_close(cropped(whole["normals"], left, flip) * sign, sample["normals"])
        expected = whole["intrinsics"][0, 2] - left
        torch.testing.assert_close(u0, 19 - expected if flip else expected)
        assert sample["image"].is_contiguous() and sample["semseg"].is_contiguous() and sample["depth"].is_contiguous()
    assert flips == {False, True}


def test_validation_is_neither_cropped_at_random_nor_flipped_nor_jittered(roots):
    options = AUGMENT | {"augmentations": {"random_horizontal_flip": 1.0, "color_aug": True}}
    plain = build(roots, "synthia", split="val", training=False)
    assert equal(plain[0], build(roots, "synthia", split="val", training=False, **options)[5, 0])
    central = build(roots, "synthia", split="val", training=False, crop_center=True, **options)[0]
    assert torch.equal(central["image"], plain[0]["image"][:, 2:14, 6:26])
    assert torch.equal(central["semseg"], plain[0]["semseg"][2:14, 6:26])


def test_all_frames_of_a_sample_share_crop_flip_and_jitter(roots, tmp_path):
    rng = np.random.default_rng(0)
    written = write_cityscapes(tmp_path / "cityscapes", names=STREET, size=(W, H), offsets=(-1, 0, 1))
    same = rng.integers(60, 200, (H, W, 3), dtype=np.uint8)
    for name in written:
        recording = name[:-6]
        for number in (18, 19, 20):
            path = tmp_path / "cityscapes" / "leftImg8bit_sequence" / f"{recording}{number:06d}_leftImg8bit.png"
            write_image(path, same)
    frames = build(tmp_path, "cityscapes", tasks=("semseg", "disp"), **VIDEO, **AUGMENT)
    sample = frames[0]
    assert torch.equal(sample["frame_0"], sample["frame_-1"]) and torch.equal(sample["frame_0"], sample["frame_1"])
    assert torch.equal(sample["image"], sample["frame_0_aug"])
    assert torch.equal(sample["image"], sample["frame_1_aug"]) and torch.equal(sample["image"], sample["frame_-1_aug"])
    assert not torch.equal(sample["frame_0"], sample["frame_0_aug"])
    shrunk = torch.nn.functional.avg_pool2d(sample["frame_0"][None], 2)[0]
    torch.testing.assert_close(sample["frame_0_s1"], shrunk, atol=1 / 255, rtol=0)
    assert sample["frame_0_s2"].shape == (3, 3, 5)
    plain = build(tmp_path, "cityscapes", tasks=("semseg", "disp"), **VIDEO)[0]
    assert torch.equal(plain["image"], plain["frame_0"]) and torch.equal(plain["frame_0"], plain["frame_0_aug"])


def test_indices_beyond_the_end_stop_iteration(roots):
    samples = build(roots, "nyudv2", tasks=())
    assert len(list(samples)) == len(samples) == 2
    with pytest.raises(IndexError, match="2 of a dataset of 2"):
        samples[2]
    with pytest.raises(IndexError):
        samples[-1]


def test_more_scales_than_a_sample_can_be_halved(roots):
    with pytest.raises(ValueError, match="num_scales 9"):
        build(roots, "cityscapes", **(VIDEO | {"num_scales": 9}))


def places(part, whole):
    """(top, left) wherever an image [3,h,w] is found in a larger one."""
    height, width = part.shape[1:]
    rows, columns = whole.shape[1] - height + 1, whole.shape[2] - width + 1
    return [
        (top, left)
        for top in range(rows)
        for left in range(columns)
        if torch.equal(whole[:, top : top + height, left : left + width], part)
    ]


def test_uncropped_frames_are_turned_as_the_crop_is(roots):
    options = VIDEO | AUGMENT | {"augmentations": {"random_horizontal_flip": 0.5}}
    cfg = config("cityscapes", roots / "cityscapes", 19, options.pop("size"), **options)
    cut = build_dataset(DatasetUse(cfg=cfg, split="train", tasks=(), training=True), seed=0, uncropped_frames=True)
    whole = build(roots, "cityscapes", tasks=(), **VIDEO)[0]
    flips = set()
    for epoch in range(6):
        sample = cut[epoch, 0]
        flip = not torch.equal(sample["frame_0_pose"], whole["frame_0"])
        flips.add(flip)
        found = set()
        for offset in (0, -1, 1):
            frame = whole[f"frame_{offset}"]
            assert torch.equal(sample[f"frame_{offset}_pose"], frame.flip(-1) if flip else frame)
            found.update(places(sample[f"frame_{offset}"], sample[f"frame_{offset}_pose"]))
        assert len(found) == 1
    assert flips == {False, True}


def test_uncropped_frames_have_the_samples_jitter(roots):
    """Without a crop they are the augmented frames."""
    options = VIDEO | {"augmentations": {"random_horizontal_flip": 0.5, "color_aug": True}}
    cfg = config("cityscapes", roots / "cityscapes", 19, (W, H), **options)
    sample = build_dataset(DatasetUse(cfg=cfg, split="train", tasks=(), training=True), seed=0, uncropped_frames=True)[
        0
    ]
    for offset in (0, -1, 1):
        assert torch.equal(sample[f"frame_{offset}_pose"], sample[f"frame_{offset}_aug"])
        assert not torch.equal(sample[f"frame_{offset}_pose"], sample[f"frame_{offset}"])

import cv2
import numpy as np
import pytest
from cityscapesscripts.helpers.labels import labels as official

from dataset.labels import VKITTI2_COLORS, label_set, vkitti2_ids

# Dataset id -> train id, as the protocols define them; written here a second time, in their own notation.
MAPS = {
    ("cityscapes", 19): "7:0 8:1 11:2 12:3 13:4 17:5 19:6 20:7 21:8 22:9 23:10 24:11 25:12 26:13 27:14 28:15 31:16 "
    "32:17 33:18",
    ("cityscapes", 16): "7:0 8:1 11:2 12:3 13:4 17:5 19:6 20:7 21:8 23:9 24:10 25:11 26:12 28:13 32:14 33:15",
    ("cityscapes", 13): "7:0 8:1 11:2 19:3 20:4 21:5 23:6 24:7 25:8 26:9 28:10 32:11 33:12",
    ("cityscapes", 8): "7:0 11:1 17:2 19:3 20:4 21:5 23:6 26:7 28:7",
    ("cityscapes", 7): "7:0 8:0 11:1 13:1 17:2 19:2 20:2 21:3 23:4 24:5 26:6 33:6",
    ("synthia", 16): "3:0 4:1 2:2 21:3 5:4 7:5 15:6 9:7 6:8 1:9 10:10 17:11 8:12 19:13 12:14 11:15",
    ("synthia", 13): "3:0 4:1 2:2 15:3 9:4 6:5 1:6 10:7 17:8 8:9 19:10 12:11 11:12",
    ("synthia", 8): "3:0 2:1 7:2 15:3 9:4 6:5 1:6 8:7 19:7",
    ("vkitti2", 14): "0:0 1:1 2:2 3:3 4:4 5:5 6:6 7:7 8:8 9:9 10:10 11:11 12:12 13:13",
    ("vkitti2", 8): "5:0 4:1 9:2 8:3 7:4 2:5 3:5 1:6 11:7 12:7 13:7",
    ("nyudv2", 40): " ".join(f"{i + 1}:{i}" for i in range(40)),
}
SYNTHIA_IDS = (
    "void,sky,building,road,sidewalk,fence,vegetation,pole,car,traffic sign,person,bicycle,motorcycle,parking-slot,"
    "road-work,traffic light,terrain,rider,truck,bus,train,wall,lanemarking"
).split(",")


@pytest.mark.parametrize(("dataset", "n_classes"), MAPS)
def test_encodes_every_id_as_the_protocol_says(dataset, n_classes):
    expected = np.full(256, 250)
    for pair in MAPS[dataset, n_classes].split():
        dataset_id, train_id = map(int, pair.split(":"))
        expected[dataset_id] = train_id
    labels = label_set(dataset, n_classes)
    ids = np.arange(256, dtype=np.uint8).reshape(16, 16)
    encoded = labels.encode(ids)
    assert encoded.dtype == np.uint8
    np.testing.assert_array_equal(encoded.ravel(), expected)
    assert len(labels.names) == n_classes == len(set(labels.names))
    assert labels.colors.shape == (n_classes, 3) and labels.colors.dtype == np.uint8
    assert len(np.unique(labels.colors, axis=0)) == n_classes


def test_ids_beyond_eight_bits_are_ignored():
    labels = label_set("synthia", 16)
    np.testing.assert_array_equal(labels.encode(np.array([[3, 256, 259, 65535]], np.uint16)), [[0, 250, 250, 250]])
    np.testing.assert_array_equal(labels.encode(np.array([[3, -1, -253]], np.int32)), [[0, 250, 250]])


def test_encoding_keeps_a_cropped_map_in_place():
    ids = np.arange(24, dtype=np.uint8).reshape(4, 6)[1:3, 2:5]
    np.testing.assert_array_equal(ids, [[8, 9, 10], [14, 15, 16]])
    np.testing.assert_array_equal(label_set("cityscapes", 19).encode(ids), [[1, 250, 250], [250, 250, 250]])


def test_cityscapes_19_is_the_official_train_id_table():
    labels = label_set("cityscapes", 19)
    evaluated = [label for label in official if 0 <= label.trainId < 255]
    assert len(evaluated) == 19
    for label in evaluated:
        assert labels.table[label.id] == label.trainId
        assert labels.names[label.trainId] == label.name
        assert tuple(labels.colors[label.trainId]) == label.color
    ignored = [label.id for label in official if label.trainId == 255 or label.id < 0]
    assert (labels.table[ignored] == 250).all()


@pytest.mark.parametrize("n_classes", [16, 13])
def test_smaller_cityscapes_sets_keep_official_ids_names_and_colours(n_classes):
    labels = label_set("cityscapes", n_classes)
    by_name = {label.name: label for label in official}
    for train_id, name in enumerate(labels.names):
        assert labels.table[by_name[name].id] == train_id
        assert tuple(labels.colors[train_id]) == by_name[name].color


def test_cityscapes_7_groups_by_the_official_categories():
    labels = label_set("cityscapes", 7)
    by_id = {label.id: label for label in official if label.id >= 0}
    members = np.flatnonzero(labels.table != 250)
    assert len(members) == 12
    assert all(by_id[i].category == labels.names[labels.table[i]] for i in members)


@pytest.mark.parametrize(("source", "n_classes"), [("synthia", 16), ("synthia", 13), ("synthia", 8), ("vkitti2", 8)])
def test_adaptation_pairs_agree_class_by_class(source, n_classes):
    source_set, target_set = label_set(source, n_classes), label_set("cityscapes", n_classes)
    assert source_set.names == target_set.names
    np.testing.assert_array_equal(source_set.colors, target_set.colors)


@pytest.mark.parametrize("n_classes", [16, 13])
def test_synthia_ids_have_the_names_of_their_classes(n_classes):
    labels = label_set("synthia", n_classes)
    for train_id, name in enumerate(labels.names):
        assert labels.table[SYNTHIA_IDS.index(name)] == train_id


def test_vkitti2_colours_become_ids_and_any_other_colour_is_no_class():
    rgb = np.array(list(VKITTI2_COLORS.values()) + [(0, 0, 0), (210, 0, 201), (200, 0, 210)], np.uint8)
    bgra = cv2.cvtColor(rgb[None], cv2.COLOR_RGB2BGRA)
    np.testing.assert_array_equal(vkitti2_ids(bgra), [[*range(14), 255, 255, 255]])
    assert (label_set("vkitti2", 14).encode(vkitti2_ids(bgra))[0, 14:] == 250).all()

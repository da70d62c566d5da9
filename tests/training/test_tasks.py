"""What people see of the tasks: laws that hold for all of them, and the units of each."""

from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dataset.labels import label_set
from tests.helpers.config_examples import build_task as task
from training.tasks import TASKS, build_tasks, decode_final
from training.tasks.base import Task
from utils.config.schema.loss import LossConfig
from utils.config.schema.types import TaskName
from utils.geometry import metres_to_inverse
from utils.visualize import color_depth

CHANNELS = {"semseg": 7, "depth": 1, "disp": 1, "normals": 3, "edges": 2}
SIZE = (6, 8)


def batch(images: int = 2) -> dict[str, torch.Tensor]:
    shape = (images, 1, *SIZE)
    return {
        "image": torch.rand(images, 3, *SIZE),
        "semseg": torch.randint(0, 7, (images, *SIZE)),
        "edges": torch.randint(0, 2, (images, *SIZE)),
        "depth": torch.rand(shape) * 20 + 1,
        "depth_mask": torch.rand(shape) > 0.2,
        "normals": F.normalize(torch.randn(images, 3, *SIZE), dim=1),
        "normals_mask": torch.rand(shape) > 0.2,
    }


def test_every_word_of_the_schema_is_a_task():
    assert set(TASKS) == set(get_args(TaskName)) == set(CHANNELS)


@pytest.mark.parametrize("name", TASKS)
class TestLaws:
    def test_headlines_are_figures_of_the_metric(self, name):
        own, labels = task(name), batch()
        for metric in own.metrics().values():
            metric.update(own.decode(torch.randn(2, CHANNELS[name], *SIZE).sigmoid()), *own.truth(labels))
            assert set(own.headlines) <= set(metric.compute())
        assert own.main == next(iter(own.headlines))

    def test_the_best_constant_beats_its_opposite(self, name):
        own, labels = task(name, **({"median_scaling": False} if name == "depth" else {})), batch()
        answer = own.constant([own.summary(labels), own.summary(batch())])
        assert answer.shape == (CHANNELS[name],)

        def score(value: torch.Tensor) -> float:
            metric = own.metrics()[""]
            metric.update(own.decode(value.view(1, -1, 1, 1).expand(2, -1, *SIZE)), *own.truth(labels))
            return metric.compute()[own.main] * (-1 if own.lower_is_better else 1)

        if name not in ("edges", "disp"):  # whose answers are any
            assert score(answer) > score(-answer if name != "depth" else answer * 5)

    def test_pictures_and_files(self, name):
        own, labels = task(name), batch()
        value = own.decode(torch.randn(2, CHANNELS[name], *SIZE).sigmoid())[0].numpy()
        truth = tuple(part[0].numpy() for part in own.truth(labels))
        known, predicted = own.pictures(value, truth)
        assert known.shape == predicted.shape == (*SIZE, 3) and known.dtype == predicted.dtype == np.uint8
        assert own.pictures(value, None)[0] is None
        files = own.files(value, predicted)
        assert files and all(picture.shape[:2] == SIZE for picture in files.values())

    def test_prediction_in_half_precision_is_decoded_in_float32_with_aligned_corners(self, name):
        coarse = torch.randn(1, CHANNELS[name], 3, 4).bfloat16()
        decoded = decode_final({name: task(name)}, {name: {1: coarse * 0, 0: coarse}}, SIZE)[name]
        full = F.interpolate(coarse.float(), size=SIZE, mode="bilinear", align_corners=True)
        assert decoded.dtype == torch.float32 and torch.equal(decoded, task(name).decode(full))


def test_a_task_that_lacks_a_part_cannot_be_made():
    forgetful = type("Forgetful", (TASKS["edges"],), {"files": Task.files})
    with pytest.raises(TypeError, match="files"):
        forgetful()
    with pytest.raises(TypeError, match="caption and headlines"):
        type("Nameless", (Task,), {})


def test_depth_comes_out_in_metres():
    metres = torch.rand(2, 1, 4, 5) * 50 + 0.5
    assert torch.allclose(task("depth").decode(metres_to_inverse(metres)), metres, rtol=1e-5)
    nonsense = task("depth").decode(torch.tensor([[[[-3.0, 0.0]]]]))  # the far plane, not infinity
    assert torch.allclose(nonsense, torch.full_like(nonsense, 655.35), rtol=1e-4)
    assert task("depth", "L1_depth").decode(torch.tensor([[[[-1.0, 7.0]]]])).tolist() == [[[[0.0, 7.0]]]]
    far = np.array([[[1.0, 300.0]]])
    assert task("depth").files(far, color_depth(far[0]))["depth"].tolist() == [[256, 65535]]


def test_disparity_ends_are_the_depth_limits():
    decoded = task("disp", min_depth=0.5, max_depth=60).decode(torch.tensor([[[[0.0, 1.0]]]]))
    assert torch.allclose(decoded, torch.tensor([[[[60.0, 0.5]]]]), rtol=1e-4)


def test_a_picture_of_disparity_has_the_scale_of_the_ground_truth():
    depth = np.random.default_rng(0).random((1, *SIZE)).astype(np.float32) + 1
    known, predicted = task("disp").pictures(depth * 7, (depth, np.ones((1, *SIZE), bool)))
    assert np.array_equal(known, predicted)


def test_normals_are_unit_vectors():
    assert torch.allclose(task("normals").decode(torch.randn(1, 3, 4, 4) * 9).norm(dim=1), torch.ones(1, 4, 4))


@pytest.mark.parametrize(
    ("name", "loss", "kwargs", "expected"),
    [
        ("depth", "berhu", {}, {"": (True, 1e-3, 80.0)}),
        ("depth", "L1_depth", {"median_scaling": False, "min_depth": 0.5, "max_depth": 10}, {"": (False, 0.5, 10)}),
        ("disp", "ssde", {"test_max_depth": 60}, {"": (True, 1e-3, 60), "_unscaled": (False, 1e-3, 60)}),
    ],
)
def test_how_depth_is_measured(name, loss, kwargs, expected):
    metrics = task(name, loss, **kwargs).metrics()
    assert {key: (m.median_scaling, m.min_depth, m.max_depth) for key, m in metrics.items()} == expected


def test_semseg_is_measured_over_13_of_16_classes_too():
    labels = label_set("cityscapes", 16)
    section = LossConfig.model_validate({"tasks": {"semseg": {"loss": "cross_entropy"}}})
    metric = build_tasks(section, labels)["semseg"].metrics()[""]
    metric.update(torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(1, 2, 2, dtype=torch.int64))
    assert metric.compute()["mIoU_13"] == 1
    thin = [name for i, name in enumerate(labels.names) if i not in labels.subsets["13"]]
    assert sorted(thin) == ["fence", "pole", "wall"]

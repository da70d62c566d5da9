"""Cross entropy against PyTorch's own, and what its own cannot: a batch without labels."""

import pytest
import torch
import torch.nn.functional as F

from loss.semseg import CrossEntropyLoss
from tests.helpers.forbid_sync import ForbidSync


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_equals_pytorch_with_ignored_pixels(memory_format):
    logits = torch.randn(2, 5, 6, 7).to(memory_format=memory_format).requires_grad_()
    labels = torch.randint(0, 5, (2, 6, 7))
    labels[torch.rand(2, 6, 7) < 0.3] = 250
    loss = CrossEntropyLoss()(logits, {"semseg": labels})
    expected = F.cross_entropy(logits, labels, ignore_index=250)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value, logits)[0] for value in (loss, expected)))


def test_two_pixels_by_hand():
    logits = torch.tensor([0.0, 0.0]).view(1, 2, 1, 1).repeat(1, 1, 1, 2)
    logits[0, 0, 0, 1] = 3.0  # the second pixel is class 0 by odds of e^3
    loss = CrossEntropyLoss()(logits, {"semseg": torch.tensor([[[1, 1]]])})
    expected = (torch.tensor(2.0).log() + (1 + torch.tensor(3.0).exp()).log()) / 2
    torch.testing.assert_close(loss, expected)


def test_unlabelled_image_changes_nothing():
    logits, labels = torch.randn(2, 5, 6, 7), torch.randint(0, 5, (2, 6, 7))
    labels[1] = 250
    both = CrossEntropyLoss()(logits, {"semseg": labels})
    torch.testing.assert_close(both, CrossEntropyLoss()(logits[:1], {"semseg": labels[:1]}))


def test_batch_without_labels_is_zero_with_zero_gradients():
    logits = torch.randn(2, 5, 6, 7, requires_grad=True)
    loss = CrossEntropyLoss()(logits, {"semseg": torch.full((2, 6, 7), 250)})
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_is_computed_in_float32_under_autocast(dtype):
    logits, labels = torch.randn(2, 5, 6, 7).to(dtype), torch.randint(0, 5, (2, 6, 7))
    with torch.autocast("cpu", torch.bfloat16):
        loss = CrossEntropyLoss()(logits, {"semseg": labels})
    assert loss.dtype == torch.float32
    assert torch.equal(loss, F.cross_entropy(logits.float(), labels, reduction="sum") / labels.numel())


def test_does_not_wait_for_the_device():
    labels = torch.full((2, 6, 7), 250)
    with ForbidSync():
        CrossEntropyLoss()(torch.randn(2, 5, 6, 7), {"semseg": labels})

"""The weighted two-class cross entropy of edges."""

import pytest
import torch
import torch.nn.functional as F

from loss.edges import EdgesLoss
from tests.helpers.forbid_sync import ForbidSync


@pytest.mark.parametrize("pos_weight", [0.95, 0.5, 0.2])
def test_equals_pytorchs_weighted_mean(pos_weight):
    logits = torch.randn(2, 2, 6, 7, requires_grad=True)
    edges = (torch.rand(2, 6, 7) < 0.2).long()
    value = EdgesLoss(pos_weight=pos_weight)(logits, {"edges": edges})
    expected = F.cross_entropy(logits, edges, weight=torch.tensor([1 - pos_weight, pos_weight]))
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(*(torch.autograd.grad(v, logits)[0] for v in (value, expected)))


def test_a_missed_edge_weighs_nineteen_times_a_false_one():
    edges = torch.tensor([[[1, 0]]])
    sure = torch.tensor([-9.0, 9.0])  # of "no edge", by pixel
    both_right = torch.stack([sure, -sure]).view(1, 2, 1, 2)
    wrong_edge, wrong_plain = both_right.clone(), both_right.clone()
    wrong_edge[..., 0] *= -1
    wrong_plain[..., 1] *= -1
    loss = EdgesLoss()
    assert loss(both_right, {"edges": edges}).item() < 1e-6
    share = loss(wrong_edge, {"edges": edges}) / loss(wrong_plain, {"edges": edges})
    assert share.item() == pytest.approx(19, rel=1e-4)


def test_unlabelled_pixels_do_not_count():
    logits, edges = torch.randn(2, 2, 6, 7), (torch.rand(2, 6, 7) < 0.2).long()
    edges[1] = 250
    torch.testing.assert_close(EdgesLoss()(logits, {"edges": edges}), EdgesLoss()(logits[:1], {"edges": edges[:1]}))


def test_nothing_labelled_is_zero_with_zero_gradients():
    logits = torch.randn(1, 2, 6, 7, requires_grad=True)
    value = EdgesLoss()(logits, {"edges": torch.full((1, 6, 7), 250)})
    value.backward()
    assert value.item() == 0 and not logits.grad.any()


def test_only_edges_at_full_weight_on_the_others():
    """pos_weight 1 leaves nothing to weigh in an image without edges: 0, not NaN."""
    logits = torch.randn(1, 2, 6, 7)
    assert EdgesLoss(pos_weight=1.0)(logits, {"edges": torch.zeros(1, 6, 7, dtype=torch.int64)}).item() == 0


def test_float32_under_autocast_and_no_waiting():
    logits, batch = torch.randn(2, 2, 6, 7).bfloat16(), {"edges": (torch.rand(2, 6, 7) < 0.2).long()}
    expected = EdgesLoss()(logits.float(), batch)
    with torch.autocast("cpu", torch.bfloat16), ForbidSync():
        value = EdgesLoss()(logits, batch)
    assert value.dtype == torch.float32 and torch.equal(value, expected)

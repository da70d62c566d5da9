import pytest
import torch
from torch import nn

from models.feature_distance import FeatureDistance


class Reference(nn.Module):
    """Gives a shallow feature and, last, given channels."""

    def __init__(self, channels: list[float]) -> None:
        super().__init__()
        self.register_buffer("values", torch.tensor(channels))
        self.conv = nn.Conv2d(3, 1, 1)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        last = self.values.view(1, -1, 1, 1).expand(image.shape[0], -1, 1, 2)
        return [self.conv(image), last]


IMAGE = torch.rand(2, 3, 2, 4)


def test_distance_by_hand():
    distance = FeatureDistance(reference=Reference([3.0, 4.0]), weight=1.0)
    feature = torch.zeros(2, 2, 1, 2)
    assert distance(feature, IMAGE).item() == pytest.approx(5.0)  # |(3, 4)| at each of four positions
    feature[0, :, 0, 0] = torch.tensor([3.0, 4.0])
    assert distance(feature, IMAGE).item() == pytest.approx(15 / 4)


def test_gradient_reaches_the_feature_only():
    reference = Reference([3.0, 4.0])
    feature = torch.zeros(2, 2, 1, 2, requires_grad=True)
    FeatureDistance(reference=reference, weight=1.0)(feature, IMAGE).backward()
    # d|r - f| / df = -(r - f) / |r - f|, over 4 positions
    torch.testing.assert_close(feature.grad, torch.tensor([-0.15, -0.2]).view(1, 2, 1, 1).expand(2, 2, 1, 2))
    assert all(p.grad is None and not p.requires_grad for p in reference.parameters())


def test_gradient_is_finite_where_the_features_agree():
    feature = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(2, 2, 1, 2).clone().requires_grad_()
    FeatureDistance(reference=Reference([3.0, 4.0]))(feature, IMAGE).backward()
    assert torch.equal(feature.grad, torch.zeros_like(feature))


def test_reference_is_neither_saved_nor_trained_but_moves_along():
    reference = Reference([3.0, 4.0])
    holder = nn.ModuleDict({"distance": FeatureDistance(reference=reference)})
    assert holder.state_dict() == {} and list(holder.parameters()) == []
    holder.train()
    assert not reference.training
    holder.to(torch.float64)
    assert reference.values.dtype == reference.conv.weight.dtype == torch.float64

import torch
import torch.nn.functional as F

from training.decode import Decoder
from utils.geometry import metres_to_inverse

decoder = Decoder(depth_in_metres=False, disparity_range=(0.1, 100.0))


def test_inverse_depth_comes_out_in_metres():
    metres = torch.rand(2, 1, 4, 5) * 50 + 0.5
    assert torch.allclose(decoder("depth", metres_to_inverse(metres), (4, 5)), metres, rtol=1e-5)


def test_nonsense_inverse_depth_is_the_far_plane_not_infinity():
    decoded = decoder("depth", torch.tensor([[[[-3.0, 0.0]]]]), (1, 2))
    assert torch.allclose(decoded, torch.full_like(decoded, 655.35), rtol=1e-4)


def test_a_head_trained_on_metres_is_only_rectified():
    metres = Decoder(depth_in_metres=True, disparity_range=(0.1, 100.0))
    assert metres("depth", torch.tensor([[[[-1.0, 7.0]]]]), (1, 2)).tolist() == [[[[0.0, 7.0]]]]


def test_disparity_ends_are_the_depth_limits():
    decoded = decoder("disp", torch.tensor([[[[0.0, 1.0]]]]), (1, 2))
    assert torch.allclose(decoded, torch.tensor([[[[100.0, 0.1]]]]), rtol=1e-4)


def test_normals_are_unit_vectors_and_logits_resized_with_aligned_corners():
    assert torch.allclose(decoder("normals", torch.randn(1, 3, 4, 4) * 9, (8, 8)).norm(dim=1), torch.ones(1, 8, 8))
    logits = torch.randn(1, 5, 3, 4)
    expected = F.interpolate(logits, size=(6, 8), mode="bilinear", align_corners=True)
    assert torch.equal(decoder("semseg", logits, (6, 8)), expected)


def test_half_precision_predictions_are_decoded_in_float32():
    assert decoder("semseg", torch.randn(1, 5, 3, 4).bfloat16(), (3, 4)).dtype == torch.float32

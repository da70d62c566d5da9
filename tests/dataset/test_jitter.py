import cv2
import numpy as np
import pytest
import torch
import torchvision.transforms.functional as oracle

from dataset.jitter import Jitter


@pytest.fixture(scope="module")
def image():
    """Smooth colours away from 0 and 255, so that nothing saturates."""
    coarse = np.random.default_rng(0).integers(70, 180, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_LINEAR)


def differences(ours, tensor):
    return np.abs(ours.astype(np.float64) - tensor.permute(1, 2, 0).numpy() * 255)


@pytest.mark.parametrize(
    ("jitter", "reference"),
    [
        (Jitter(brightness=1.2), lambda x: oracle.adjust_brightness(x, 1.2)),
        (Jitter(contrast=0.8), lambda x: oracle.adjust_contrast(x, 0.8)),
        (Jitter(contrast=1.2), lambda x: oracle.adjust_contrast(x, 1.2)),
        (Jitter(saturation=0.8), lambda x: oracle.adjust_saturation(x, 0.8)),
        (Jitter(saturation=1.2), lambda x: oracle.adjust_saturation(x, 1.2)),
    ],
)
def test_steps_agree_with_torchvision(image, jitter, reference):
    tensor = torch.from_numpy(image).permute(2, 0, 1) / 255
    assert differences(jitter(image), reference(tensor)).max() <= 1.01
    assert differences(image, reference(tensor)).max() > 3  # the step does something


@pytest.mark.parametrize("hue", [0.1, -0.1, 0.03])
def test_hue_agrees_with_torchvision_up_to_its_eight_bits(image, hue):
    expected = oracle.adjust_hue(torch.from_numpy(image).permute(2, 0, 1) / 255, hue)
    difference = differences(Jitter(hue=hue)(image), expected)
    assert difference.mean() < 1.2 and difference.max() < 6
    assert differences(image, expected).mean() > 2


def test_steps_run_in_the_drawn_order(image):
    jitter = dict(brightness=1.2, contrast=0.8, saturation=0.8, hue=0.1)
    one_by_one = image
    for name in ("hue", "saturation", "brightness", "contrast"):
        one_by_one = Jitter(**{name: jitter[name]})(one_by_one)
    together = Jitter(**jitter, order=(3, 2, 0, 1))(image)
    np.testing.assert_array_equal(together, one_by_one)
    assert (Jitter(**jitter)(image) != together).any()


def test_values_saturate():
    bright = np.full((2, 2, 3), 250, np.uint8)
    assert (Jitter(brightness=1.2)(bright) == 255).all()


def test_draws_cover_their_ranges_and_follow_the_generator():
    draws = [Jitter.draw(np.random.default_rng(seed)) for seed in range(400)]
    for name in ("brightness", "contrast", "saturation"):
        values = [getattr(draw, name) for draw in draws]
        assert 0.8 <= min(values) < 0.82 and 1.18 < max(values) <= 1.2
    hues = [draw.hue for draw in draws]
    assert -0.1 <= min(hues) < -0.09 and 0.09 < max(hues) <= 0.1
    assert len({draw.order for draw in draws}) == 24
    assert Jitter.draw(np.random.default_rng(5)) == draws[5]


def test_the_input_stays_as_it_was(image):
    before = image.copy()
    image.flags.writeable = False
    Jitter(1.1, 0.9, 1.1, 0.05)(image)
    np.testing.assert_array_equal(image, before)

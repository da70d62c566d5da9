"""Colour jitter: random brightness, contrast, saturation and hue of the network input.

In OpenCV, because torchvision's `v2.ColorJitter` takes eight times as long: 55 ms or more for 512x1024 pixels, be they
8 bit, float or a Pillow image, beside 7 ms here, in one thread.
"""

from dataclasses import dataclass

import cv2
import numpy as np

STRENGTH = 0.2  # brightness, contrast and saturation are scaled by 1 - STRENGTH to 1 + STRENGTH
HUE_SHIFT = 0.1  # of the colour circle, either way


@dataclass(frozen=True)
class Jitter:
    """One draw, applied alike to all frames of a sample.

    The steps work on 8 bit values and saturate at 0 and 255, as Pillow's do.

    Args:
        brightness, contrast, saturation: factors, 1 changes nothing.
        hue: share of the colour circle, 0 changes nothing.
        order: the order of the steps, by their position in this list.
    """

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    order: tuple[int, ...] = (0, 1, 2, 3)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Jitter":
        brightness, contrast, saturation = rng.uniform(1 - STRENGTH, 1 + STRENGTH, size=3).tolist()
        hue = float(rng.uniform(-HUE_SHIFT, HUE_SHIFT))
        return cls(brightness, contrast, saturation, hue, tuple(rng.permutation(4).tolist()))

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """uint8 [H,W,3] of uint8 [H,W,3], which stays as it was."""
        steps = (self._brightness, self._contrast, self._saturation, self._hue)
        for index in self.order:
            rgb = steps[index](rgb)
        return rgb

    def _brightness(self, rgb: np.ndarray) -> np.ndarray:
        return cv2.LUT(rgb, _table(np.arange(256) * self.brightness))

    def _contrast(self, rgb: np.ndarray) -> np.ndarray:
        mean = cv2.mean(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))[0]
        return cv2.LUT(rgb, _table(mean + self.contrast * (np.arange(256) - mean)))

    def _saturation(self, rgb: np.ndarray) -> np.ndarray:
        gray = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return cv2.addWeighted(rgb, self.saturation, gray, 1 - self.saturation, 0)

    def _hue(self, rgb: np.ndarray) -> np.ndarray:
        shift = round(self.hue * 256) % 256
        if not shift:
            return rgb  # the way to HSV and back would round
        hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV_FULL)  # hue over the whole range 0..255, so uint8 wraps around
        hsv[..., 0] += np.uint8(shift)
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def _table(values: np.ndarray) -> np.ndarray:
    """Lookup table uint8 [256]."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)

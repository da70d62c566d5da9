"""Procedural surface colour, fixed to the surface and band-limited to the pixel grid.

A texture is a colour, a sum of sine waves over the shape's own coordinates, and possibly a soft-edged pattern
(planks, tiles, windows). Every wave is attenuated by the exact response of a Gaussian lens to it: nothing aliases, a
surface looks the same from two camera positions, and one image can be warped onto another.
"""

from dataclasses import dataclass

import numpy as np

# Standard deviation of the Gaussian, in pixels.
LENS = 0.6


def _phase_rates(waves: np.ndarray, du: np.ndarray, dv: np.ndarray) -> np.ndarray:
    """How fast each wave turns across the image, squared: [N,M] in (radians per pixel)^2."""
    return (du @ waves.T) ** 2 + (dv @ waves.T) ** 2


def every(*, x: float = np.inf, y: float = np.inf, z: float = np.inf) -> tuple[float, float, float]:
    """What repeats every so many metres along a shape's own axes, infinite for not at all."""
    return x, y, z


@dataclass(frozen=True, eq=False)
class Pattern:
    """A second colour laid over the first where soft square waves agree."""

    colour: np.ndarray  # [3] the second colour, RGB in 0..1
    periods: tuple[tuple[float, float, float], ...]  # of the waves, see `every`; one for stripes, two for a grid
    phases: float | tuple[float, ...] = 0.0  # of all waves or of each, radians
    offset: float = 0.0  # the sine value above which the second colour lies, -1..1: 0 is half and half
    sharpness: float = 4.0  # slope of the edges; 1 is a sine, 6 nearly square
    alternate: bool = False  # a checkerboard (one wave or the other) instead of a grid (both waves)

    def share(self, points: np.ndarray, du: np.ndarray, dv: np.ndarray) -> np.ndarray:
        """Share of the second colour, [N,1] in 0..1."""
        waves = 2 * np.pi / np.asarray(self.periods)  # [P,3]
        rates = _phase_rates(waves, du, dv)
        swing = np.sin(points @ waves.T + self.phases) * np.exp(-0.5 * LENS**2 * rates)
        # An edge never gets steeper than about one unit a pixel, whatever the distance.
        slope = self.sharpness / np.sqrt(1 + self.sharpness**2 * rates)
        steps = 0.5 + 0.5 * np.tanh(slope * (swing - self.offset))  # [N,P]
        if self.alternate:
            first, second = steps[:, :1], steps[:, 1:]
            return first + second - 2 * first * second
        return steps.prod(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class Texture:
    """Colour of a surface as a function of the point on it."""

    colour: np.ndarray  # [3] RGB in 0..1
    waves: np.ndarray  # [M,3] wave vectors in radians per metre
    phases: np.ndarray  # [M] radians
    tints: np.ndarray  # [M,3] what each wave adds to the colour at its crest
    pattern: Pattern | None = None  # laid over the colour before the waves

    def sample(self, points: np.ndarray, du: np.ndarray, dv: np.ndarray) -> np.ndarray:
        """RGB [N,3] at points [N,3]; du, dv [N,3] are the point's movement a pixel to the right and down."""
        swing = np.sin(points @ self.waves.T + self.phases)  # [N,M]
        swing *= np.exp(-0.5 * LENS**2 * _phase_rates(self.waves, du, dv))
        colour = self.colour
        if self.pattern is not None:
            colour = colour + self.pattern.share(points, du, dv) * (self.pattern.colour - colour)
        return np.clip(colour + swing @ self.tints, 0.0, 1.0)

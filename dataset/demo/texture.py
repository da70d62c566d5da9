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


@dataclass(frozen=True, eq=False, kw_only=True)
class Pattern:
    """A second colour laid over the first where soft square waves agree.

    Args:
        waves: [P,3] wave vectors in radians per metre; one for stripes, two for a grid.
        phases: [P] radians.
        offset: the sine value above which the second colour lies, -1..1: 0 is half and half.
        sharpness: slope of the edges; 1 is a sine, 6 nearly square.
        colour: [3] the second colour, RGB in 0..1.
        alternate: a checkerboard (one wave or the other) instead of a grid (both waves).
    """

    waves: np.ndarray
    phases: np.ndarray
    offset: float
    sharpness: float
    colour: np.ndarray
    alternate: bool = False

    def share(self, points: np.ndarray, du: np.ndarray, dv: np.ndarray) -> np.ndarray:
        """Share of the second colour, [N,1] in 0..1."""
        rates = _phase_rates(self.waves, du, dv)
        swing = np.sin(points @ self.waves.T + self.phases) * np.exp(-0.5 * LENS**2 * rates)
        # An edge never gets steeper than about one unit a pixel, whatever the distance.
        slope = self.sharpness / np.sqrt(1 + self.sharpness**2 * rates)
        steps = 0.5 + 0.5 * np.tanh(slope * (swing - self.offset))  # [N,P]
        if self.alternate:
            first, second = steps[:, :1], steps[:, 1:]
            return first + second - 2 * first * second
        return steps.prod(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class Texture:
    """Colour of a surface as a function of the point on it.

    Args:
        colour: [3] RGB in 0..1.
        waves: [M,3] wave vectors in radians per metre.
        phases: [M] radians.
        tints: [M,3] what each wave adds to the colour at its crest.
        pattern: laid over the colour before the waves.
    """

    colour: np.ndarray
    waves: np.ndarray
    phases: np.ndarray
    tints: np.ndarray
    pattern: Pattern | None = None

    def sample(self, points: np.ndarray, du: np.ndarray, dv: np.ndarray) -> np.ndarray:
        """RGB [N,3] at points [N,3]; du, dv [N,3] are the point's movement a pixel to the right and down."""
        swing = np.sin(points @ self.waves.T + self.phases)  # [N,M]
        swing *= np.exp(-0.5 * LENS**2 * _phase_rates(self.waves, du, dv))
        colour = self.colour
        if self.pattern is not None:
            colour = colour + self.pattern.share(points, du, dv) * (self.pattern.colour - colour)
        return np.clip(colour + swing @ self.tints, 0.0, 1.0)


def mottled(
    rng: np.random.Generator,
    colour: np.ndarray,
    *,
    wavelengths: tuple[float, ...],
    contrast: float,
    pattern: Pattern | None = None,
) -> Texture:
    """A texture of waves in random directions, three for each wavelength (metres), fixed by `rng`.

    Args:
        contrast: crest of a wave relative to the colour; hues vary a little from wave to wave.
    """
    lengths = np.repeat(np.asarray(wavelengths), 3)
    directions = rng.normal(size=(len(lengths), 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    brightness = contrast * rng.choice([-1.0, 1.0], size=(len(lengths), 1))
    tints = colour * (brightness + contrast * rng.uniform(-0.35, 0.35, size=(len(lengths), 3)))
    return Texture(
        colour=colour,
        waves=directions * (2 * np.pi / lengths)[:, None],
        phases=rng.uniform(0, 2 * np.pi, len(lengths)),
        tints=tints,
        pattern=pattern,
    )


def grid(
    colour: np.ndarray,
    *,
    periods: tuple[tuple[float, float, float], ...],
    phases: tuple[float, ...] | None = None,
    offset: float = 0.0,
    sharpness: float = 4.0,
    alternate: bool = False,
) -> Pattern:
    """A pattern that repeats along each entry of `periods`: metres along own x, y and z, infinite for not at all."""
    waves = 2 * np.pi / np.asarray(periods, dtype=np.float64)  # [P,3]
    return Pattern(
        waves=waves,
        phases=np.zeros(len(periods)) if phases is None else np.asarray(phases),
        offset=offset,
        sharpness=sharpness,
        colour=colour,
        alternate=alternate,
    )

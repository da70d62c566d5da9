"""What a demo world looks like: light, air and palette. Two styles stand for the two sides of a domain gap."""

import colorsys
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Style:
    """One look.

    Args:
        sun_azimuth, sun_elevation: degrees; azimuth 0 shines from behind the camera, positive from its right.
        sun, sky_light: RGB strength of the direct and of the all-round light.
        hue_shift: in turns (0..1), added to every surface's hue.
        saturation, value: factors on every surface's saturation and value.
        contrast: factor on the strength of textures.
        grain: factor on the wavelengths of textures.
        haze: distance in metres at which air hides 63 % of a surface; infinite for clear air.
        zenith, horizon: RGB of the sky; haze has the horizon's colour.
    """

    sun_azimuth: float
    sun_elevation: float
    sun: tuple[float, float, float]
    sky_light: tuple[float, float, float]
    hue_shift: float
    saturation: float
    value: float
    contrast: float
    grain: float
    haze: float
    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]

    def colour(self, hue: float, saturation: float, value: float) -> np.ndarray:
        """RGB [3] in 0..1 of a surface with this hue (turns), saturation and value, as this style shows it."""
        hue = (hue + self.hue_shift) % 1.0
        saturation, value = np.clip([saturation * self.saturation, value * self.value], 0, 1)
        return np.array(colorsys.hsv_to_rgb(hue, saturation, value))

    def sun_direction(self, azimuth_offset: float = 0.0) -> np.ndarray:
        """Unit vector [3] towards the sun, world axes (y down)."""
        azimuth, elevation = np.radians([self.sun_azimuth + azimuth_offset, self.sun_elevation])
        flat = np.cos(elevation)
        return np.array([flat * np.sin(azimuth), -np.sin(elevation), -flat * np.cos(azimuth)])


STYLES = {
    # A clear, sunny afternoon with strong colours.
    "source": Style(
        sun_azimuth=40,
        sun_elevation=48,
        sun=(0.62, 0.58, 0.50),
        sky_light=(0.54, 0.56, 0.60),
        hue_shift=0.0,
        saturation=1.0,
        value=1.0,
        contrast=1.0,
        grain=1.0,
        haze=600.0,
        zenith=(0.32, 0.55, 0.90),
        horizon=(0.74, 0.85, 0.96),
    ),
    # A hazy, dull evening: light from the other side, washed-out and shifted colours, coarser textures.
    "target": Style(
        sun_azimuth=-65,
        sun_elevation=28,
        sun=(0.40, 0.33, 0.30),
        sky_light=(0.55, 0.56, 0.55),
        hue_shift=0.045,
        saturation=0.62,
        value=0.85,
        contrast=1.5,
        grain=1.6,
        haze=90.0,
        zenith=(0.62, 0.64, 0.70),
        horizon=(0.82, 0.78, 0.74),
    ),
}

"""What a demo world looks like: light, air and palette. Two styles stand for the two sides of a domain gap."""

import colorsys
from dataclasses import dataclass

import numpy as np

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Style:
    """One look; by default a clear, sunny afternoon with strong colours."""

    sun_azimuth: float = 40.0  # degrees: 0 shines from behind the camera, positive from its right
    sun_elevation: float = 48.0  # degrees
    sun: Rgb = (0.62, 0.58, 0.50)  # strength of the direct light
    sky_light: Rgb = (0.54, 0.56, 0.60)  # strength of the light from all round
    hue_shift: float = 0.0  # turns, added to every surface's hue
    saturation: float = 1.0  # factor on every surface's
    value: float = 1.0  # factor on every surface's
    contrast: float = 1.0  # factor on the strength of textures
    grain: float = 1.0  # factor on the wavelengths of textures
    haze: float = 600.0  # metres at which air hides 63 % of a surface; infinite for clear air
    zenith: Rgb = (0.32, 0.55, 0.90)  # of the sky
    horizon: Rgb = (0.74, 0.85, 0.96)  # of the sky, and of haze

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
    "source": Style(),
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

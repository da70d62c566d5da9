"""The result of a validation: its figures as JSON, as log entries and as text, and its panels."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from utils.visualize import write_png

Figures = dict[str, dict[str, Any]]  # by output, `<task>_<scale>`, and name; of single classes a mapping


@dataclass
class Evaluation:
    """The result of a validation."""

    n_images: int
    losses: dict[str, float]  # means over the images
    metrics: Figures  # in the units of `metrics.json`
    main: dict[str, float | None]  # each task's headline figure at the final scale, and `delta_m` if it has baselines
    score: float  # decides the best model; higher is better
    seconds: float
    peak_memory_mb: float  # of the device, or of the process on the CPU
    panels: dict[str, np.ndarray] = field(default_factory=dict)  # pictures of the logged samples

    def as_json(self, step: int | None) -> dict[str, Any]:
        """The content of `metrics.json`; a figure that is NaN or infinite, which JSON does not know, is null."""
        names = ("n_images", "losses", "metrics", "main", "seconds", "images_per_second", "peak_memory_mb")
        return _without_nan({"step": step} | {name: getattr(self, name) for name in names})

    @property
    def images_per_second(self) -> float:
        return self.n_images / self.seconds

    def flat(self) -> dict[str, float]:
        """Every figure by one name, `valid/<task>_<scale>/<metric>`, for logs; missing figures are left out."""
        values = {f"valid/loss/{name}": value for name, value in self.losses.items()}
        for output, figures in self.metrics.items():
            for name, figure in figures.items():
                of_class = figure.items() if isinstance(figure, Mapping) else [(None, figure)]
                for label, value in of_class:
                    if value is not None:
                        values[f"valid/{output}/{name}" + (f"/{label}" if label else "")] = value
        values |= {f"valid/main/{name}": value for name, value in self.main.items() if value is not None}
        values["valid/images_per_second"] = self.images_per_second
        return values

    def summary(self) -> str:
        """One line: loss and headline figures."""
        figures = "  ".join(f"{name} {_text(value)}" for name, value in self.main.items())
        return f"loss {self.losses.get('total', math.nan):.4g}  {figures}"

    def table(self) -> str:
        """All figures except those of single classes, one row per output."""
        width = max(map(len, self.metrics))
        lines = [f"{self.n_images} images in {self.seconds:.1f} s; {self.summary()}"]
        for output, figures in self.metrics.items():
            cells = [f"{name} {_text(value)}" for name, value in figures.items() if not isinstance(value, Mapping)]
            lines.append("  ".join([f"  {output.ljust(width)}", *cells]))
        return "\n".join(lines)

    def write_panels(self, folder: Path, step: int | None) -> None:
        """Write the panels as PNG, with the step at the start of their names."""
        if self.panels:
            folder.mkdir(exist_ok=True)
        prefix = "" if step is None else f"{step:06d}_"
        for name, picture in self.panels.items():
            write_png(folder / f"{prefix}{name}.png", picture)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

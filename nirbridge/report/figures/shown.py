"""Figures that show themselves in a notebook. It needs Matplotlib: import it inside functions."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure as Plain

from nirbridge.report.figures.style import styled

SHARP = 2  # pixels of the picture per pixel shown


class Figure(Plain):
    """Matplotlib's figure, which a notebook can show without pyplot having been imported."""

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        """The picture, and the size at which it is to be shown in pixels."""
        buffer = io.BytesIO()
        with styled():
            self.savefig(buffer, format="png", dpi=SHARP * self.dpi)
        width, height = (round(side * self.dpi) for side in self.get_size_inches())
        return buffer.getvalue(), {"width": width, "height": height}

"""Any NIR graph as a picture: boxes, folded where they are too many, placed, written as SVG."""

from nirbridge.report.drawing.svg import draw

__all__ = ["draw"]

"""Rewrites NIR → NIR, one per file, until only what a Xylo can hold remains."""

from nirbridge.passes.base import Pass
from nirbridge.passes.lower import PASSES, lower

__all__ = ["PASSES", "Pass", "lower"]

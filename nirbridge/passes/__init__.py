"""Rewrites NIR → NIR, one per file, until only what a Xylo can hold remains."""

from nirbridge.passes.base import Pass
from nirbridge.passes.lower import PASSES, Lowered, lower, passes

__all__ = ["PASSES", "Lowered", "Pass", "lower", "passes"]

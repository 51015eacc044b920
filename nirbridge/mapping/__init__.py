"""Neurons → hardware ids, weights → matrices; the typed configuration."""

from nirbridge.mapping.config import XyloConfig

__all__ = ["XyloConfig"]

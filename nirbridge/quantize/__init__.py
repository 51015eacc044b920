"""Weights, thresholds, biases and decays → integers; one file per method."""

from nirbridge.quantize.methods import METHODS, quantize

__all__ = ["METHODS", "quantize"]

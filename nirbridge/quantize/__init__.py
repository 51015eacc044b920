"""Weights, thresholds, biases and decays → integers; one file per method."""

from nirbridge.quantize.methods import METHODS, Quantized, quantize

__all__ = ["METHODS", "Quantized", "quantize"]

"""Weights, thresholds, biases and decays → integers; one file per method."""

from nirbridge.quantize.methods import DATA_FREE, METHODS, Quantized, quantize

__all__ = ["DATA_FREE", "METHODS", "Quantized", "quantize"]

"""Accuracy over several seeds, as trained and on the chip, by every method."""

"""Round trip: how far what the chip computes is from what the network was trained to compute."""

from nirbridge.check.drift import TOLERANCE, Drift, check

__all__ = ["TOLERANCE", "Drift", "check"]

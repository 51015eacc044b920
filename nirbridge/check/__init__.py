"""Round trip: is what the chip computes what the network was trained to compute?"""

from nirbridge.check.drift import Drift, check

__all__ = ["Drift", "check"]

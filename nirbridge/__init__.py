"""From a spiking network in NIR to a verified configuration of a Xylo chip."""

from nirbridge.diagnostics import Diagnostic, Refused
from nirbridge.dynamics import Dynamics
from nirbridge.graph import read, write

__all__ = ["Diagnostic", "Dynamics", "Refused", "read", "write"]
__version__ = "0.1.0"

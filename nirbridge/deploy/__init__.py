"""A configuration → a chip that is attached, and what it computes beside the simulation.

No silicon has confirmed any of this: it is tested against stand-ins for the device.
"""

from nirbridge.deploy.compare import Comparison, deploy
from nirbridge.deploy.device import Device
from nirbridge.deploy.samna import SamnaDevice, samna_config

__all__ = ["Comparison", "Device", "SamnaDevice", "deploy", "samna_config"]

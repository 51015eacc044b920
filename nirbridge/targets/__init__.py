"""The chips, as plain data, and the rules that check a configuration against one."""

from nirbridge.targets.spec import ChipSpec, Limit
from nirbridge.targets.xylo import TARGETS, XYLO_AUDIO_2, target

__all__ = ["TARGETS", "XYLO_AUDIO_2", "ChipSpec", "Limit", "target"]

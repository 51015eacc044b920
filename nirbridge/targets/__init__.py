"""The chips, as plain data, and the rules that check a configuration against one."""

from nirbridge.targets.spec import ChipSpec, Limit
from nirbridge.targets.xylo import FORMATS, TARGETS, XYLO_AUDIO_2, arithmetic, target

__all__ = ["FORMATS", "TARGETS", "XYLO_AUDIO_2", "ChipSpec", "Limit", "arithmetic", "target"]

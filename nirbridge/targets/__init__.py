"""The chips, as plain data, and the rules that check a configuration against one."""

from nirbridge.targets.spec import ChipSpec, Limit
from nirbridge.targets.xylo import (
    FORMATS,
    TARGETS,
    XYLO_1,
    XYLO_AUDIO_2,
    XYLO_AUDIO_3,
    XYLO_IMU,
    arithmetic,
    target,
)

__all__ = [
    "FORMATS",
    "TARGETS",
    "XYLO_1",
    "XYLO_AUDIO_2",
    "XYLO_AUDIO_3",
    "XYLO_IMU",
    "ChipSpec",
    "Limit",
    "arithmetic",
    "target",
]

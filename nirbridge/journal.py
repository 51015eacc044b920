"""What each stage did to the network, and how much of it is an approximation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Note:
    """One entry of the journal.

    ``stage`` is the pass or the quantiser, ``node`` the user's own name of the node (empty for
    the whole network), ``what`` a sentence, ``size`` the size of the change where it has one, in
    ``unit``. An entry with a size other than 0 is an approximation.
    """

    stage: str
    node: str
    what: str
    size: float | None = None
    unit: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The entry as plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        size = "" if self.size is None else f"  [{self.size:.3g} {self.unit}]".replace(" ]", "]")
        where = f"{self.node}: " if self.node else ""
        return f"{self.stage:<12} {where}{self.what}{size}"


Journal = tuple[Note, ...]

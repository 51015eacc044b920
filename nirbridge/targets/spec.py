"""What a chip can hold: a record of limits, each with its source."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limit:
    """One limit of a chip.

    ``standing`` says how sure it is: ``documented`` (the vendor says so), ``inferred`` (follows
    from register or memory widths), ``assumed``. ``note`` holds what another source says.
    """

    value: int
    unit: str
    source: str
    standing: str = "documented"
    note: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.unit}"


@dataclass(frozen=True)
class ChipSpec:
    """Limits of one chip of the Xylo family. Number formats are those of ``XyloConfig``.

    ``input_neurons``: how many hidden neurons, counted from the first, can take input;
    ``output_neurons``: how many, counted from the last in use, can drive outputs. ``part``: the
    vendor's number. ``arithmetic``: version of the time step, as the vendor's simulator counts
    them; ``v1`` has no biases.
    """

    name: str
    title: str
    inputs: Limit
    hidden: Limit
    outputs: Limit
    synapses: Limit
    fan_out: Limit
    entries: Limit
    bias_bits: Limit
    aliases: Limit
    input_neurons: Limit
    output_neurons: Limit
    part: str = ""
    arithmetic: str = "v2"

    def limits(self) -> dict[str, Limit]:
        """All limits by field name."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, Limit)}

    @property
    def bias_range(self) -> tuple[int, int]:
        """Lowest and highest bias; (0, 0) where the chip has none."""
        bits = self.bias_bits.value
        return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if bits else (0, 0)

    def excess(self, name: str, found: int) -> str:
        """By how much a count exceeds a limit: ``70, 6 too many``."""
        return f"{found}, {found - self.limits()[name].value} too many"

    def cite(self, name: str) -> str:
        """A limit as a diagnostic shows it: value, unit, chip, standing."""
        limit = self.limits()[name]
        return f"{limit} ({self.title}; {limit.standing})"


def named_sum(parts: dict[str, int]) -> str:
    """A total with what it is made of: ``1200 = a (1000) + b (200)``."""
    total = str(sum(parts.values()))
    if len(parts) == 1:
        return f"{total} in {next(iter(parts))}"
    return f"{total} = " + " + ".join(f"{name} ({n})" for name, n in parts.items())

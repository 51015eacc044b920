"""How the source of a network steps time: what NIR leaves open.

NIR describes neurons in continuous time. What a trained network really computes also depends on
facts that no NIR field holds: the step, the integration scheme, the reset, the number of spikes a
neuron may fire in one step. They travel as one record in the graph's metadata, under the key
``nirbridge``, as a JSON string that plain ``nir.read`` keeps.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from numbers import Real
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import diagnose, refuse, refuse_all

METADATA_KEY = "nirbridge"
LONGEST = 1e30  # seconds that no step lasts; infinity lies beyond it
MOST_STEPS = 2**16  # that a spike waits: each is kept for every neuron
LONGEST_RECORD = 4096  # characters; a complete record has about 300
GRID_KEY = "nirbridge_grid"  # of graphs that were lifted from integers: their scales

WORDS: dict[str, tuple[object, ...]] = {
    "scheme": ("euler", "exponential"),
    "reset": ("value", "subtract"),
    "comparison": (">", ">="),
    "reset_delay": (0, 1),
    "layer_delay": (0, 1),
    "residual": ("fires", "blocks"),
    "output_lag": (0, 1),
    "order": ("synapse first", "membrane first"),
}


@dataclass(frozen=True)
class Dynamics:
    """The canonical step I = A·I + gs·x; v = B·v + gm·I + c; spike; reset.

    Parameters
    ----------
    dt
        Time step in seconds, > 0.
    scheme
        ``euler``: A = 1 − dt/τ. ``exponential``: A = e^(−dt/τ). The same for B.
    reset
        ``value``: v becomes v_reset, as NIR says. ``subtract``: v loses v_threshold per spike.
    spikes_per_step
        Most spikes of one neuron in one step; None for as many as fit. More than one needs
        ``reset="subtract"``.
    comparison
        A neuron fires where v ``>`` or ``>=`` its threshold.
    reset_delay
        0: the reset acts in the step of the spike. 1: in the next one, after the leak
        (snnTorch's default; only with ``reset="subtract"`` and one spike per step).
    residual
        What a membrane that is still above its threshold after a reset by subtraction does in
        the next step. ``fires``: it is compared as it is. ``blocks``: one more threshold is held
        back from it before the comparison (snnTorch with ``reset_delay=False``).
    layer_delay
        Steps that a spike takes from one neuron population to the next: 0 in the frameworks,
        1 on the chip.
    recurrent_delay
        Steps that a spike takes which closes a loop, >= 1 (1 in all frameworks and on the chip).
    output_lag
        Steps by which an Output shows the spikes of its population late (1 in Spyx).
    order
        ``synapse first``: the membrane integrates the current that this step's input has changed.
        ``membrane first``: the current of the step before.

    Raises
    ------
    Refused
        NB304 for an unknown word, a dt that is not positive and finite, or a combination that
        has no meaning.

    """

    dt: float
    scheme: str = "euler"
    reset: str = "value"
    spikes_per_step: int | None = 1
    comparison: str = ">"
    reset_delay: int = 0
    layer_delay: int = 0
    residual: str = "fires"
    recurrent_delay: int = 1
    output_lag: int = 0
    order: str = "synapse first"

    def __post_init__(self) -> None:
        problems: list[tuple[str, str, object]] = []
        if not (_is_number(self.dt) and 0 < self.dt < LONGEST):
            problems.append(("dt", "a positive number of seconds", self.dt))
        for name, words in WORDS.items():
            value = getattr(self, name)
            if type(value) not in (str, int) or value not in words:
                problems.append((name, f"one of {', '.join(map(repr, words))}", value))
        n = self.spikes_per_step
        if n is not None and (not isinstance(n, int) or isinstance(n, bool) or n < 1):
            problems.append(("spikes_per_step", "an integer >= 1, or None for no limit", n))
        elif n != 1 and self.reset == "value":
            problems.append(("spikes_per_step", "1 with reset='value'", n))
        if self.reset_delay == 1 and (self.reset == "value" or n != 1):
            problems.append(
                ("reset_delay", "0, unless reset='subtract' and spikes_per_step=1", 1)
            )
        k = self.recurrent_delay
        if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MOST_STEPS:
            problems.append(("recurrent_delay", f"an integer 1..{MOST_STEPS}", k))
        elif k > 1 and self.layer_delay == 1:
            problems.append(("recurrent_delay", "1 with layer_delay=1", k))
        if self.residual == "blocks" and (self.reset == "value" or n != 1 or self.reset_delay):
            limit = "'fires', unless reset='subtract', spikes_per_step=1 and reset_delay=0"
            problems.append(("residual", limit, self.residual))
        refuse_all(
            diagnose("NB304", node=name, limit=limit, found=_shown(value))
            for name, limit, value in problems
        )

    def factor(self, tau: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Factor per step (A or B above) of a state with time constant ``tau`` in seconds."""
        ratio = self.dt / np.asarray(tau, np.float64)
        return 1.0 - ratio if self.scheme == "euler" else np.exp(-ratio)

    def complement(self, tau: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """1 − :meth:`factor`, without cancellation for long time constants."""
        ratio = self.dt / np.asarray(tau, np.float64)
        return ratio if self.scheme == "euler" else -np.expm1(-ratio)

    def tau(self, factor: float) -> float:
        """Time constant in seconds whose :meth:`factor` is ``factor``, 0 <= factor < 1.

        A factor of 0, no memory, has no time constant in exponential steps; there dt/64 stands
        for it, because e^−64 is nothing beside 1 in double precision.
        """
        if self.scheme == "euler":
            return self.dt / (1.0 - factor)
        return float(-self.dt / np.log(factor)) if factor > 0 else self.dt / 64

    def attach(self, graph: nir.NIRGraph) -> nir.NIRGraph:
        """The same graph with this record in its metadata (a new graph; nodes are shared)."""
        metadata = {**graph.metadata, METADATA_KEY: json.dumps({"version": 1, **asdict(self)})}
        return nir.NIRGraph(
            dict(graph.nodes), list(graph.edges), metadata=metadata, type_check=False
        )

    @classmethod
    def of(cls, graph: nir.NIRGraph) -> Dynamics | None:
        """The record in a graph's metadata, or None if it has none.

        Raises
        ------
        Refused
            NB304 if there is a record that cannot be understood.

        """
        record = _metadata_record(graph)
        if record is None:
            return None
        if "dt" not in record:
            limit = "dt, the time step in seconds"
            raise refuse("NB304", node="metadata", limit=limit, found=f"only {sorted(record)}")
        return cls(**record)

    def override(self, node: nir.NIRNode) -> Dynamics:
        """The record with the exceptions that a node carries in its own metadata."""
        record = _metadata_record(node)
        return self if record is None else replace(self, **record)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values, for JSON."""
        return asdict(self)


MEMORYLESS = {
    "reset": "value",
    "spikes_per_step": 1,
    "comparison": ">",
    "reset_delay": 0,
    "residual": "fires",
}


def memoryless(dynamics: Dynamics) -> Dynamics:
    """The record for a Threshold: one spike where the input of the step is above it."""
    return replace(dynamics, **MEMORYLESS)  # type: ignore[arg-type]


def annotate(node: nir.NIRNode, **exceptions: object) -> None:
    """Write the exceptions of one node to the graph's :class:`Dynamics` into its metadata."""
    node.metadata = {**node.metadata, METADATA_KEY: json.dumps({"version": 1, **exceptions})}


def _metadata_record(node: nir.NIRNode) -> dict[str, Any] | None:
    """Parse the JSON record of a node or graph; only known fields are accepted."""
    text = node.metadata.get(METADATA_KEY) if isinstance(node.metadata, dict) else None
    if text is None:
        return None
    try:
        if not isinstance(text, str) or len(text) > LONGEST_RECORD:
            raise TypeError
        record = json.loads(text)
        version = record.pop("version")
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        limit = f"a JSON record with a version, of at most {LONGEST_RECORD} characters"
        raise refuse("NB304", node="metadata", limit=limit, found=_shown(text)) from None
    known = {f.name for f in fields(Dynamics)}
    unknown = sorted(set(record) - known)
    if version != 1 or unknown:
        raise refuse(
            "NB304",
            node="metadata",
            limit=f"version 1 with the fields {', '.join(sorted(known))}",
            found=f"version {version!r}, unknown fields {unknown}",
        )
    return dict(record)


def _shown(value: object) -> str:
    """A value that may be huge, or of any type, in a line."""
    try:
        return repr(value)[:80]
    except ValueError:  # integers of thousands of digits
        return type(value).__name__


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)

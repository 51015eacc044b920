"""What the nodes of a Nengo network compute in a step, in single precision as all frameworks."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.adapters.base import Cell

Floats = NDArray[np.float32]


class Step:
    """A population: I = A·I + gs·x; v = B·v + gm·I + c; spike; reset, in single precision."""

    def __init__(self, cell: Cell):
        self.how, self.size = cell.how, int(np.prod(cell.shape))
        parts: dict[str, Any] = {
            n: getattr(cell, n) for n in ("A", "gs", "B", "gm", "c", "threshold", "v_reset")
        }
        self.parts: dict[str, Any] = {
            n: None if v is None else np.asarray(v, np.float32).ravel() for n, v in parts.items()
        }

    def start(self) -> dict[str, Floats]:
        """Current, membrane, and how much of the threshold is held back in the next step."""
        return {n: np.zeros(self.size, np.float32) for n in ("current", "v", "held")}

    def advance(self, state: dict[str, Floats], x: Floats) -> Floats:
        """Spikes of one step, or the membrane of neurons that do not spike; changes the state."""
        part, how = self.parts, self.how
        drive = part["gs"] * x
        if part["A"] is not None:
            before = state["current"].copy()
            state["current"][...] = part["A"] * before + drive
            drive = state["current"] if how.order == "synapse first" else before
        v: Floats = part["B"] * state["v"] + part["gm"] * drive + part["c"]
        threshold = part["threshold"]
        if threshold is None:
            state["v"][...] = v
            return v
        v = v - threshold * state["held"]
        spikes = self._count(v, threshold)
        if how.reset == "value":
            v = np.where(spikes > 0, part["v_reset"], v)
        elif not how.reset_delay:
            v = v - threshold * (spikes - state["held"])
        if how.reset_delay:
            state["held"][...] = spikes
        elif how.residual == "blocks":
            state["held"][...] = v > threshold
        state["v"][...] = v
        return spikes

    def _count(self, v: Floats, threshold: Floats) -> Floats:
        late = self.how.comparison == ">"
        above: Floats = (v > threshold if late else v >= threshold).astype(np.float32)
        most = self.how.spikes_per_step
        if most == 1:
            return above
        ratio = v / threshold
        many = np.ceil(ratio) - 1 if late else np.floor(ratio)
        counts: Floats = above * np.clip(many, 1, most)
        return counts


class Heaviside:
    """A Threshold: 1 where the input is above it."""

    def __init__(self, threshold: Floats):
        self.threshold = threshold

    def start(self) -> dict[str, Floats]:
        """It keeps nothing."""
        return {}

    def advance(self, _state: dict[str, Floats], x: Floats) -> Floats:
        """Spikes of one step."""
        spikes: Floats = (x > self.threshold).astype(np.float32)
        return spikes


class Line:
    """A Delay: each channel a number of steps late."""

    def __init__(self, steps: NDArray[np.int64]):
        self.steps = steps

    def start(self) -> dict[str, Floats]:
        """The last inputs, the newest first."""
        return {"past": np.zeros((int(self.steps.max()) + 1, len(self.steps)), np.float32)}

    def advance(self, state: dict[str, Floats], x: Floats) -> Floats:
        """What came in that many steps ago."""
        past = state["past"]
        past[1:] = past[:-1].copy()
        past[0] = x
        return past[self.steps, np.arange(len(self.steps))]


@cache
def process_class() -> Any:
    """A ``nengo.Process`` around a :class:`Step`, :class:`Heaviside` or :class:`Line`.

    Made once, because Nengo is imported only when it is needed.
    """
    import nengo

    class Canonical(nengo.Process):  # type: ignore[misc]
        """Sends in the step in which it receives; its state belongs to the simulator."""

        def __init__(self, part: Step | Heaviside | Line, size: int):
            self.part = part
            super().__init__(default_size_in=size, default_size_out=size)

        def make_state(self, *_shapes: Any, **_options: Any) -> dict[str, Floats]:
            return self.part.start()

        def make_step(
            self, _shape_in: Any, _shape_out: Any, _dt: float, _rng: Any, state: dict[str, Floats]
        ) -> Any:
            def step(_t: float, x: Any) -> Floats:
                return self.part.advance(state, np.asarray(x, np.float32))

            return step

    return Canonical

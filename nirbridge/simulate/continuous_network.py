"""The populations, delays and connections of the ideal model."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, diagnose, refuse, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.nodes import kind, parameters
from nirbridge.graph.shapes import Shape, infer
from nirbridge.graph.topology import Topology
from nirbridge.simulate.continuous_modes import Array, Modes
from nirbridge.simulate.continuous_signals import (
    CONSTANT,
    Rates,
    Signal,
    Stateless,
    add,
    change_of_rates,
    constant,
    join,
    ones,
)

FIRING = ("IF", "LIF", "CubaLIF")
GRADED = ("I", "LI", "CubaLI")
NOT_EXACT = "NB305"  # no closed form between two events
MOST_RATES = 32  # a matter of time (its cube, per neuron): rounding stays near 1e-12 beyond


class Population:
    """Parameters per bin and state of one neuron node; all arrays (n,), channels in C order.

    With a the membrane's rate, b the synapse's: v' = −a·v + leak + gain·I and
    I' = −b·I + gain_in·S; without a synapse S stands for I.
    """

    def __init__(self, node: nir.NIRNode, dt: float, reset: str, arriving: Rates):
        values = {k: np.asarray(v, np.float64).ravel() for k, v in parameters(node).items()}
        self.shape: Shape = np.shape(node.r)
        self.spiking = kind(node) in FIRING
        r = values["r"]
        zero = np.zeros_like(r)
        self.threshold = values["v_threshold"] if self.spiking else zero
        self.v_reset = values.get("v_reset", zero) if reset == "value" else zero
        tau = values.get("tau_mem", values.get("tau"))
        a = zero if tau is None else dt / tau
        self.gain = r * dt if tau is None else a * r
        self.leak = zero if tau is None else a * values["v_leak"]
        self.has_synapse = "tau_syn" in values
        self.b = dt / values["tau_syn"] if self.has_synapse else zero
        self.gain_in = self.b * values["w_in"] if self.has_synapse else zero + 1
        own = [a, self.b] if self.has_synapse else [a]
        self.modes = Modes(np.stack([*own, *(np.full_like(r, rate) for rate in arriving)]))
        self.one = ones(arriving)[:, None]
        one_here = np.concatenate([np.ones_like(r)[None], self.modes.rates[:-1]]).cumprod(axis=0)
        self._threshold_rows = self.threshold * one_here
        self.sends = CONSTANT
        if not self.spiking:
            columns = [tuple(map(float, column)) for column in self.modes.rates.T]
            self.sends = join(set(columns))
            self._change = np.stack([change_of_rates(x, self.sends) for x in columns], axis=-1)
        self.start()

    def start(self) -> None:
        """Return to the state before the first bin."""
        self.v = np.zeros_like(self.threshold)
        self.i = np.zeros_like(self.v)
        self.active = np.zeros_like(self.v)  # pulses that last
        self._signal: Signal | None = None

    def receive(self, signal: Signal) -> None:
        """Take what arrives from now on; the cascades' values are then :attr:`rows`, (K, n)."""
        n = 2 if self.has_synapse else 1
        if signal is not self._signal:
            self._signal = signal
            arriving = signal.rows.reshape(len(signal.rows), -1)
            self.into_synapse = self.gain_in * arriving
            drive = self.leak * self.one
            if self.has_synapse:
                drive = self.b * drive
            drive = drive + self.gain * self.into_synapse
            self.rows = np.concatenate([np.zeros((n, len(self.v))), drive])
        self.rows[0] = self.v
        if self.has_synapse:
            self.rows[1] = self.leak + self.gain * self.i

    def first_rises(self, h: float) -> Array:
        """Time at which each membrane reaches its threshold within ``h`` bins, inf if not, (n,)."""
        times = np.full(len(self.v), np.inf)
        rows = self.rows - self._threshold_rows
        near = np.flatnonzero((self.modes.bound(rows, h) > 0) | (rows[0] >= 0))
        if len(near):
            times[near] = self.modes.take(near).first_rise(rows[:, near], h)
        return times

    def currents(self, s: Any) -> Array:
        """Synaptic currents ``s`` bins from now; see :meth:`Modes.value`."""
        rows = np.concatenate([self.i[None], self.into_synapse])
        return self.modes.tail.value(rows, s)

    def membranes(self, s: Any) -> Array:
        """Membrane voltages ``s`` bins from now; see :meth:`Modes.value`."""
        return self.modes.value(self.rows, s)

    def advance(self, s: float) -> None:
        """Move the state on by ``s`` bins."""
        if self.has_synapse:
            self.i = self.currents(s)
        self.v = self.membranes(s)

    def sent(self) -> Signal:
        """What the population sends from now on, until the next event."""
        if self.spiking:
            return constant(self.active.copy().reshape(self.shape))
        rows = (self._change * self.rows).sum(axis=1)
        return Signal(self.sends, rows.reshape(-1, *self.shape))


class DelayLine:
    """A Delay node: each channel's changes come out as much later as its delay says.

    ``groups``: delays in bins and the channels that have them.
    """

    def __init__(self, node: nir.NIRNode, dt: float):
        bins = np.asarray(node.delay, np.float64) / dt
        whole = np.rint(bins)
        # what is meant as a whole number of bins is one, or pulses would miss their bins' borders
        bins = np.where(np.abs(bins - whole) <= 1e-9 * np.maximum(whole, 1), whole, bins)
        self.groups = [(float(d), np.nonzero(bins == d)) for d in np.unique(bins)]
        self.shape: Shape = bins.shape
        self.start()

    def start(self) -> None:
        """Return to the state before the first bin."""
        self.last = np.zeros(self.shape)
        self.value = np.zeros(self.shape)

    def put(self, where: tuple[NDArray[np.int64], ...], values: Array) -> None:
        """Let ``values`` come out at some channels."""
        self.value = self.value.copy()
        self.value[where] = values


class Network:
    """A flat graph made ready: its populations, delays, and what reaches what.

    Raises
    ------
    Refused
        For what has no closed form, see :func:`nirbridge.simulate.continuous.simulate_continuous`.

    """

    def __init__(self, flat: nir.NIRGraph, dt: float, reset: str | None):
        self.flat, self.dt = flat, dt
        self.topology = Topology(flat)
        self.shapes = infer(flat)[0]
        self.inputs = sorted(n for n, x in flat.nodes.items() if kind(x) == "Input")
        self.outputs = sorted(n for n, x in flat.nodes.items() if kind(x) == "Output")
        self._dynamics, self._reset = Dynamics.of(flat) or Dynamics(dt), reset
        self._rates: dict[str, Rates] = {}
        self.populations: dict[str, Population] = {}
        refuse_all(self._problems())
        self._populate()
        self.spiking = {n: p for n, p in sorted(self.populations.items()) if p.spiking}
        self.graded = [n for n, p in self.populations.items() if not p.spiking]  # sources first
        self.delays = {n: DelayLine(x, dt) for n, x in flat.nodes.items() if kind(x) == "Delay"}
        self._maps = {
            n: Stateless(x, self.shapes[n][0])
            for n, x in flat.nodes.items()
            if n in self.shapes and not self._is_source(n)
        }
        sources = [*self.inputs, *self.populations, *self.delays]
        self._reach = {name: self._reached(name) for name in sources}
        self.start()

    @property
    def n_in(self) -> int:
        """Input channels."""
        return int(sum(np.prod(self.shapes[name][0]) for name in self.inputs))

    def start(self) -> None:
        """Return to the state before the first bin."""
        self._arriving: dict[str, Signal] = {}
        self._passed: dict[str, Signal] = {}
        for population in self.populations.values():
            population.start()
        for line in self.delays.values():
            line.start()
        shapes = {name: self.shapes[name][1] for name in (*self.inputs, *self.delays)}
        self._sent = {name: constant(np.zeros(shape)) for name, shape in shapes.items()}
        self._sent |= {name: population.sent() for name, population in self.spiking.items()}

    def send(self, name: str, signal: Signal) -> None:
        """Let an Input, a population or a Delay send ``signal`` from now on."""
        self._sent[name] = signal
        for reached in self._reach[name]:
            self._arriving.pop(reached, None)
            self._passed.pop(reached, None)

    def settle(self) -> None:
        """Pass on what has changed: graded signals, and what arrives at the populations."""
        for name in self.graded:
            population = self.populations[name]
            population.receive(self.arriving(name))
            self.send(name, population.sent())
        for name, population in self.spiking.items():
            population.receive(self.arriving(name))

    def arriving(self, name: str) -> Signal:
        """Sum of all that arrives at a node."""
        if name not in self._arriving:
            signals = [self._value(source) for source in self.topology.sources[name]]
            self._arriving[name] = add(signals, self.shapes[name][0])
        return self._arriving[name]

    def _value(self, name: str) -> Signal:
        """What a node sends."""
        if name in self._sent:
            return self._sent[name]
        if name not in self._passed:
            self._passed[name] = self._maps[name](self.arriving(name))
        return self._passed[name]

    def _is_source(self, name: str) -> bool:
        return kind(self.flat.nodes[name]) in ("Input", "Delay") or name in self.populations

    def _reached(self, name: str) -> list[str]:
        """Nodes at which something else arrives when ``name`` sends something else."""
        found: set[str] = set()
        stack = list(self.topology.targets[name])
        while stack:
            node = stack.pop()
            if node not in found:
                found.add(node)
                if not self._is_source(node):
                    stack += self.topology.targets[node]
        return sorted(found)

    def _populate(self) -> None:
        """Make the populations; those without threshold before those that they feed."""
        for name, node in sorted(self.flat.nodes.items()):
            if kind(node) in FIRING:
                self._add_population(name, self._arriving_rates(name, ()))
            else:
                self._rates_of(name, ())
            if kind(node) in ("Delay", "Threshold") and self._arriving_rates(name, ()) != CONSTANT:
                raise _no_closed_form(
                    name,
                    f"{kind(node)} nodes receive inputs and spikes",
                    "the graded signal of a neuron without threshold",
                )

    def _rates_of(self, name: str, path: tuple[str, ...]) -> Rates:
        """Rates of what a node sends; ``path``: the nodes without threshold that asked for it."""
        node = self.flat.nodes[name]
        if kind(node) in (*FIRING, "Input", "Delay"):
            return CONSTANT
        if name in path:
            loop = ", ".join(path[path.index(name) :])
            raise _no_closed_form(
                name, f"loops pass a neuron of {', '.join(FIRING)}", f"a loop of {loop}"
            )
        if name not in self._rates:
            rates = self._arriving_rates(name, path)
            if kind(node) in GRADED:
                self._add_population(name, rates)
                rates = self.populations[name].sends
            self._rates[name] = rates
        return self._rates[name]

    def _arriving_rates(self, name: str, path: tuple[str, ...]) -> Rates:
        sources = self.topology.sources[name]
        rates = join([CONSTANT, *(self._rates_of(source, (*path, name)) for source in sources)])
        if len(rates) > MOST_RATES:
            raise _no_closed_form(
                name,
                f"graded signals with at most {MOST_RATES - 1} different time constants",
                len(rates) - 1,
            )
        return rates

    def _add_population(self, name: str, arriving: Rates) -> None:
        node = self.flat.nodes[name]
        self.populations[name] = Population(node, self.dt, self._reset_of(node), arriving)

    def _reset_of(self, node: nir.NIRNode) -> str:
        """The node's exception to the graph's record, else the caller's word, else the record."""
        own = self._dynamics.override(node).reset
        return own if own != self._dynamics.reset else self._reset or own

    def _problems(self) -> list[Diagnostic]:
        """Thresholds that a reset by subtraction cannot leave, and delays into the past."""
        problems = []
        for name, node in sorted(self.flat.nodes.items()):
            if kind(node) in FIRING and self._reset_of(node) == "subtract":
                lowest = float(np.min(np.asarray(node.v_threshold, np.float64), initial=np.inf))
                if lowest <= 0:
                    limit = "v_threshold > 0 where the reset subtracts it"
                    problems.append(diagnose("NB207", node=name, limit=limit, found=lowest))
            if kind(node) == "Delay" and np.any(node.delay < 0):
                limit, found = "delay >= 0 s", float(np.min(node.delay))
                problems.append(diagnose(NOT_EXACT, node=name, limit=limit, found=found))
        return problems


def _no_closed_form(node: str, limit: str, found: object) -> Exception:
    return refuse(
        NOT_EXACT,
        node=node,
        limit=limit,
        found=found,
        remedy="use simulate_stepped with a small dt for this network",
    )

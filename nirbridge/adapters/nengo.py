"""Nengo: a graph as a ``nengo.Network`` that computes it in a ``nengo.Simulator``.

An importer only. Measured on Nengo 4.1.0. Its LIF integrates e^(−t/τ) within a step, spikes and
rests at a time between two steps, resets to 0 and needs a threshold of 1; its rectified neurons
ignore negative currents; all of them send a step late, and none has a synaptic state. So no
population of a NIR graph is one of Nengo's neurons. Here each is a Node whose ``nengo.Process``
does the canonical step: it sends in the same step, as :func:`nirbridge.simulate_stepped` does. A
connection that closes a loop has ``synapse=0``, which in Nengo is a delay of one step.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from nirbridge.adapters.base import DIFFERS, Cell, from_node, is_cell
from nirbridge.adapters.nengo_steps import Floats, Heaviside, Line, Step, process_class
from nirbridge.diagnostics import Diagnostic, diagnose, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.apply import apply
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import is_neuron, kind
from nirbridge.graph.shapes import infer
from nirbridge.graph.topology import Topology
from nirbridge.graph.verify import verify
from nirbridge.optional import need


def build(graph: nir.NIRGraph, dynamics: Dynamics, strict: bool) -> NengoModel:
    """A graph as a Nengo network, called as the models of the other frameworks are.

    Raises
    ------
    Refused
        NB9xx without Nengo, the codes of verification for a malformed graph, and with ``strict``
        NB904 for each population, because Nengo's own neurons do not compute it.

    """
    need("nengo")
    refuse_all(verify(graph))
    model = NengoModel(inline(graph), dynamics)
    if strict:
        refuse_all(model.differences)
    return model


class NengoModel:
    """A Nengo network and its parts.

    ``network`` is the ``nengo.Network``; ``nodes`` holds the ``nengo.Node`` of each Input and
    population by its name in the graph, to be probed; ``output`` is what the Outputs receive, side
    by side; ``differences`` says which populations are none of Nengo's own neurons, and why.
    """

    def __init__(self, flat: nir.NIRGraph, dynamics: Dynamics):
        import nengo

        self.graph, self.dynamics = flat, dynamics
        self.shapes, _ = infer(flat)
        self.topology = Topology(flat, dynamics.layer_delay)
        self.differences: list[Diagnostic] = []
        self.nodes: dict[str, Any] = {}
        self._signals: dict[Any, Any] = {}
        self._rows: Floats = np.zeros((0, 0), np.float32)
        self.inputs = sorted(n for n, x in flat.nodes.items() if kind(x) == "Input")
        self.network = nengo.Network(label="nirbridge", add_to_container=False)
        with self.network:
            self._build()
            self.probe = nengo.Probe(self.output, synapse=None)

    def _build(self) -> None:
        """Nodes first, because loops lead back; then what arrives at each."""
        offset = 0
        for name in self.inputs:
            size = int(np.prod(self.shapes[name][0]))
            self.nodes[name] = self._node(name, self._reader(offset, size), None, size)
            offset += size
        self.width = offset
        for name in self.topology.neurons:
            size = int(np.prod(self.shapes[name][0]))
            process = process_class()(self._step(name), size)
            self.nodes[name] = self._node(name, process, size, size)
        for name in self.topology.neurons:
            feeders = self.topology.feeders[name]
            late = frozenset(a for a in feeders if self.topology.delayed(a, name))
            self._feed(name, self.nodes[name], late)
        outputs = sorted(n for n, x in self.graph.nodes.items() if kind(x) == "Output")
        sizes = [int(np.prod(self.shapes[n][0])) for n in outputs]
        ends = np.cumsum([0, *sizes])
        self.output = self._node("outputs", None, int(ends[-1]), int(ends[-1]))
        for name, start, end in zip(outputs, ends[:-1], ends[1:], strict=True):
            self._feed(name, self.output[start:end], frozenset())

    def _node(self, label: str, output: Any, size_in: int | None, size_out: int) -> Any:
        import nengo

        if output is None:
            return nengo.Node(size_in=size_in, label=label)
        return nengo.Node(output, size_in=size_in, size_out=size_out, label=label)

    def _reader(self, offset: int, size: int) -> Any:
        """The columns of an Input in the row of the step; silence where there is no row."""
        silence = np.zeros(size, np.float32)

        def read(t: float) -> Floats:
            step = round(t / self.dynamics.dt) - 1
            if not 0 <= step < len(self._rows):
                return silence
            return self._rows[step, offset : offset + size]

        return read

    def _feed(self, name: str, target: Any, late: frozenset[str]) -> None:
        """Connect everything that leads into a node of the graph with a node of Nengo."""
        import nengo

        for source in self.topology.sources[name]:
            nengo.Connection(self._signal(source, late), target, synapse=None)

    def _signal(self, name: str, late: frozenset[str]) -> Any:
        """The node of Nengo that sends what a node of the graph does; ``late`` neurons: delayed."""
        key = (name, late)
        if key not in self._signals:
            self._signals[key] = self._sender(name, self.graph.nodes[name], late)
        return self._signals[key]

    def _sender(self, name: str, node: nir.NIRNode, late: frozenset[str]) -> Any:
        if kind(node) == "Input":
            return self.nodes[name]
        if is_neuron(node):
            delay = self.dynamics.recurrent_delay if name in late else 0
            return self._later(self.nodes[name], delay)
        into, out = (int(np.prod(s)) for s in self.shapes[name])
        if kind(node) == "Delay":
            steps = np.rint(np.asarray(node.delay, np.float64).ravel() / self.dynamics.dt)
            process = process_class()(Line(steps.astype(int)), into)
            made = self._node(name, process, into, out)
        else:
            made = self._node(name, self._function(name, node), into, out)
        self._feed(name, made, late)
        return made

    def _later(self, sender: Any, steps: int) -> Any:
        import nengo

        for _ in range(steps):
            relay = nengo.Node(size_in=sender.size_out)
            nengo.Connection(sender, relay, synapse=0)
            sender = relay
        return sender

    def _function(self, name: str, node: nir.NIRNode) -> Any:
        """A node without state, in single precision as the frameworks compute."""
        shape = self.shapes[name][0]

        def function(_t: float, x: Any) -> Any:
            return apply(node, np.asarray(x, np.float32).reshape(1, *shape)).ravel()

        return function

    def _step(self, name: str) -> Any:
        node = self.graph.nodes[name]
        if not is_cell(node):  # a Threshold
            threshold = np.asarray(node.threshold, np.float32).ravel()
            return Heaviside(threshold)
        cell = from_node(node, self.dynamics)
        self.differences.append(_difference(name, cell))
        return Step(cell)

    def __call__(self, x: Any) -> Floats:
        """(T, B, ...) counts in, (T, B, n) float32 out, Outputs flat; each row from rest."""
        import nengo

        rows = np.asarray(x, np.float32)
        rows = rows.reshape(*rows.shape[:2], self.width)
        steps, batch = rows.shape[:2]
        out = np.zeros((steps, batch, self.output.size_out), np.float32)
        dt = self.dynamics.dt
        with nengo.Simulator(self.network, dt=dt, progress_bar=False, optimize=False) as simulator:
            for b in range(batch if steps else 0):
                simulator.reset()
                self._rows = rows[:, b]
                simulator.run_steps(steps, progress_bar=False)
                out[:, b] = simulator.data[self.probe]
        if self.dynamics.output_lag and steps:
            out = np.concatenate([np.zeros_like(out[:1]), out[:-1]])
        return out


def _difference(name: str, cell: Cell) -> Diagnostic:
    """Why no neuron of Nengo computes a population: the facts of this one."""
    how = cell.how
    if cell.threshold is None:
        found = f"a membrane that is read, {how.scheme} steps"
    else:
        found = (
            f"{how.scheme} steps, reset={how.reset!r} in the step of the spike, "
            f"comparison {how.comparison!r}, spikes_per_step={how.spikes_per_step}"
        )
    return diagnose(
        DIFFERS,
        node=name,
        limit="nengo.LIF: resets to 0 and rests between two steps, no synaptic state, sends late",
        found=found + (", a synaptic current" if cell.A is not None else ""),
        remedy="the spikes are the same, because a nengo.Process computes them; a backend that "
        "knows only Nengo's neurons cannot run it",
    )

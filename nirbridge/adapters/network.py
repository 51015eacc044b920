"""A NIR graph as a torch module: the populations are a framework's cells, the rest torch layers.

The module takes (T, B, ...) and starts from rest at each call. It advances the populations in the
order, and with the delays, that :func:`nirbridge.simulate_stepped` uses, so that it computes what
the source of the graph computed. Weights, decays and thresholds are Parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import nir
import numpy as np

from nirbridge.adapters import layers
from nirbridge.adapters.base import (
    DIFFERS,
    Array,
    Cell,
    from_node,
    is_cell,
    named,
    unsupported,
    without_memory,
)
from nirbridge.adapters.network_run import Run
from nirbridge.adapters.torchmodels import Framework
from nirbridge.diagnostics import Diagnostic, diagnose, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import kind
from nirbridge.graph.shapes import infer
from nirbridge.graph.topology import Topology
from nirbridge.graph.verify import verify

State = tuple[Any, ...]


@dataclass
class Part:
    """A framework's cell that stands for a population.

    ``step(module, x, state)`` gives what the cell sends (spikes, or the membrane) and its state;
    ``start(module, x, v)`` gives the state at rest, ``v`` (or None for 0) being the membrane. The
    cell computes what its population does on ``gain``·x + ``offset``, with all potentials less by
    ``shift``. ``put(module, state, v)`` gives the state another membrane: for integrators only.
    """

    module: Any
    step: Callable[[Any, Any, State], tuple[Any, State]]
    start: Callable[[Any, Any, Any], State]
    put: Callable[[Any, State, Any], State] | None = None
    gain: Array | None = None
    offset: Array | None = None
    shift: Array | None = None


class Kit(Protocol):
    """What a framework offers for building: its own cells, and integrators without a spike."""

    framework: Framework

    def native(self, cell: Cell) -> Part | None:
        """The framework's cell that computes ``cell`` exactly, or None if it has none."""

    def integrator(self, cell: Cell) -> Part:
        """The framework's cell that integrates as ``cell`` does, and never resets."""

    def spike(self, x: Any) -> Any:
        """The framework's step function with its surrogate gradient; its value at 0 is free."""


def drive(part: Part, cell: Cell, native: Cell) -> Part | None:
    """Fit gain and offset of ``part``, whose module computes ``native`` on a plain input.

    None if a constant drive would have to pass a synapse.
    """
    gain = cell.gs * cell.gm / (native.gs * native.gm)
    rest = cell.c - native.c
    if np.any(rest) and cell.A is not None:
        return None
    part.gain = gain if np.any(np.abs(gain - 1) > 1e-12) else None
    part.offset = rest / native.gm if np.any(rest) else None
    return part


def build(kit: Kit, graph: nir.NIRGraph, dynamics: Dynamics, strict: bool) -> Any:
    """The graph as a torch module of the framework's cells.

    Parameters
    ----------
    kit, graph, dynamics
        The framework, any well-formed graph, and how it is stepped.
    strict
        Refuse what the framework's own cells do not compute exactly. Otherwise such populations
        are composed: the framework integrates, spike and reset follow in torch operations; the
        ``differences`` of the module list them.

    """
    refuse_all(verify(graph))
    flat = inline(graph)
    shapes, _ = infer(flat)
    network = network_class()(kit, flat, dynamics, shapes)
    if strict:
        refuse_all(network.differences)
    return network


@cache
def network_class() -> Any:
    """The torch module; made once, because torch is imported only when it is needed."""
    import torch
    from torch import nn

    class Unit(nn.Module):
        """A population: a framework's cell, its input scaled and shifted."""

        gain: Any
        offset: Any
        shift: Any
        v_reset: Any
        c: Any

        def __init__(self, part: Part, cell: Cell, composed: bool, spike: Any):
            super().__init__()
            self.module, self.part, self.cell, self.composed = part.module, part, cell, composed
            self.how, self.spike_function = cell.how, spike
            for name in ("gain", "offset", "shift"):
                self.register_buffer(name, _tensor(getattr(part, name)))
            if composed:
                self.threshold = nn.Parameter(_tensor(cell.threshold))
                self.register_buffer("v_reset", _tensor(cell.v_reset))
                self.register_buffer("c", _tensor(cell.c) if np.any(cell.c) else None)

        def forward(self, x: Any, state: Any) -> tuple[Any, Any]:
            delayed, inner, last = state or (torch.zeros_like(x), None, None)
            if self.how.order == "membrane first" and self.cell.A is not None:
                x, delayed = delayed, x
            x = x if self.gain is None else x * self.gain
            x = x if self.offset is None else x + self.offset
            if inner is None:
                v = None if self.shift is None else (-self.shift).expand_as(x).clone()
                inner = self.part.start(self.module, x, v)
                last = (torch.zeros_like(x), torch.zeros_like(x))
            if not self.composed:
                out, inner = self.part.step(self.module, x, inner)
                return out, (delayed, inner, last)
            spikes, inner, last = self._fire(x, inner, last)
            return spikes, (delayed, inner, last)

        def _fire(self, x: Any, inner: Any, last: Any) -> tuple[Any, Any, Any]:
            """Spike and reset as the record says; ``last`` holds the last spikes and membrane."""
            how, threshold = self.how, self.threshold
            spiked, before = last
            held = None
            if how.reset_delay:
                held = spiked
            elif how.residual == "blocks":
                held = (before > threshold).to(x.dtype)
            v, inner = self.part.step(self.module, x, inner)
            v = v if self.c is None else v + self.c
            v = v if held is None else v - threshold * held.detach()
            above = v >= threshold if how.comparison == ">=" else v > threshold
            spikes = self.spike_function(v - threshold)
            spikes = spikes + (above.to(v.dtype) - spikes).detach()
            if how.reset == "value":
                v = torch.where(spikes.detach() > 0, self.v_reset.expand_as(v), v)
            elif not how.reset_delay:
                if how.spikes_per_step != 1:
                    spikes = spikes + (self._count(v, spikes) - spikes).detach()
                taken = spikes.detach() if held is None else spikes.detach() - held
                v = v - threshold * taken
            assert self.part.put is not None
            return spikes, self.part.put(self.module, inner, v), (spikes, v)

        def _count(self, v: Any, spikes: Any) -> Any:
            ratio = v / self.threshold
            many = torch.floor(ratio) if self.how.comparison == ">=" else torch.ceil(ratio) - 1
            return spikes * many.clamp(1, self.how.spikes_per_step or float("inf"))

    class Step(nn.Module):
        """A Threshold: 1 where the input is above it."""

        def __init__(self, node: nir.NIRNode, spike: Any):
            super().__init__()
            self.threshold, self.spike_function = nn.Parameter(_tensor(node.threshold)), spike

        def forward(self, x: Any, state: Any) -> tuple[Any, Any]:
            spikes = self.spike_function(x - self.threshold)
            return spikes + ((x > self.threshold).to(x.dtype) - spikes).detach(), state

    class Product(nn.Module):
        """A Scale, or a Linear map of signals with several axes."""

        def __init__(self, node: nir.NIRNode):
            super().__init__()
            self.scale = kind(node) == "Scale"
            self.weight = nn.Parameter(_tensor(node.scale if self.scale else node.weight))
            bias = getattr(node, "bias", None)
            self.bias = None if bias is None else nn.Parameter(_tensor(bias))

        def forward(self, x: Any) -> Any:
            if self.scale:
                return x * self.weight
            y = (self.weight @ x[..., None])[..., 0]
            return y if self.bias is None else y + self.bias

    class Sum(nn.Module):
        """A SumPool2d."""

        def __init__(self, node: nir.NIRNode):
            super().__init__()
            kernel, stride, padding = (
                layers._pair(v) for v in (node.kernel_size, node.stride, node.padding)
            )
            self.pool = nn.AvgPool2d(kernel, stride, padding, divisor_override=1)

        def forward(self, x: Any) -> Any:
            return self.pool(x)

    class Network(nn.Module):
        """See :mod:`nirbridge.adapters.network`."""

        def __init__(self, kit: Kit, flat: nir.NIRGraph, dynamics: Dynamics, shapes: Any):
            super().__init__()
            self.kit, self.graph, self.dynamics = kit, flat, dynamics
            self.topology = Topology(flat, dynamics.layer_delay)
            self.shapes, self.differences = shapes, list[Diagnostic]()
            self.inputs = sorted(n for n, x in flat.nodes.items() if kind(x) == "Input")
            self.outputs = sorted(n for n, x in flat.nodes.items() if kind(x) == "Output")
            self.keys = {name: f"n_{name.replace('.', '_')}" for name in flat.nodes}
            self.parts = nn.ModuleDict()
            for name, node in flat.nodes.items():
                module = self._module(name, node)
                if module is not None:
                    self.parts[self.keys[name]] = module

        def _module(self, name: str, node: nir.NIRNode) -> Any:
            if kind(node) in ("Input", "Output", "Delay"):
                return None
            if kind(node) == "Threshold":
                return Step(node, self.kit.spike)
            if is_cell(node):
                return self._unit(name, from_node(node, self.dynamics))
            if kind(node) == "SumPool2d":
                return Sum(node)
            return layers.to_layer(node) or Product(node)

        def _unit(self, name: str, source: Cell) -> Any:
            with named(name):
                return self._fitted(name, source, without_memory(source))

        def _fitted(self, name: str, source: Cell, cell: Cell) -> Any:
            part = self.kit.native(cell)
            if part is not None:
                return Unit(part, source, False, self.kit.spike)
            self.differences.append(_composed(name, self.kit, cell))
            if cell.spiking:
                return Unit(self.kit.integrator(cell), source, True, self.kit.spike)
            found = f"a constant drive of up to {np.abs(cell.c).max():g} beside a synapse"
            remedy = "put the drive into the bias of the layer before"
            raise unsupported(name, f"a form that {self.kit.framework.name} has", found, remedy)

        def part(self, name: str) -> Any:
            """The torch module of a node."""
            return self.parts[self.keys[name]]

        def forward(self, x: Any) -> Any:
            """(T, B, ...) spikes in, (T, B, ...) out; from rest."""
            steps, batch = x.shape[:2]
            signals = self._split(x)
            run = Run(self, batch, x)
            rows = [run.step({n: s[t] for n, s in signals.items()}) for t in range(steps)]
            if self.dynamics.output_lag and rows:
                rows = [torch.zeros_like(rows[0]), *rows[:-1]]
            return torch.stack(rows)

        def _split(self, x: Any) -> dict[str, Any]:
            shapes = {n: self.shapes[n][0] for n in self.inputs}
            sizes = [int(np.prod(shape)) for shape in shapes.values()]
            flat = x.reshape(*x.shape[:2], -1)
            pieces = torch.split(flat, sizes, dim=-1)
            return {
                n: piece.reshape(*x.shape[:2], *shape)
                for (n, shape), piece in zip(shapes.items(), pieces, strict=True)
            }

    Network.Unit = Unit  # type: ignore[attr-defined]
    return Network


def _composed(name: str, kit: Kit, cell: Cell) -> Diagnostic:
    how = cell.how
    found = (
        f"reset={how.reset!r}, delay {how.reset_delay}, residual {how.residual!r}, "
        f"comparison {how.comparison!r}, spikes_per_step={how.spikes_per_step}, "
        f"order {how.order!r}"
    )
    return diagnose(
        DIFFERS,
        node=name,
        limit=f"what a cell of {kit.framework.name} computes by itself",
        found=found,
        remedy="the spikes are the same, because spike and reset follow outside of the cell; "
        "tools of the framework that look only at its cells will not see them",
    )


def _tensor(value: Any) -> Any:
    import torch

    return None if value is None else torch.as_tensor(np.asarray(value), dtype=torch.float32)

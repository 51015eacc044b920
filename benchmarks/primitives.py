"""What becomes of every NIR primitive on the way to the chip's form: found by running it.

``python -m benchmarks.primitives``

Each line is a small network around one primitive. ``exact``: the lowered graph does bit for bit
what the source does, moved back by its latency. Otherwise the notes of the passes with their
sizes, and how far the outputs are apart; or the refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.generated import equals_source
from benchmarks.graphs import DT, Options, neuron
from nirbridge import Dynamics, Refused, convert, simulate_stepped
from nirbridge.check.models import MODELS
from nirbridge.pipeline import channels

SIZE = 4
Nodes = dict[str, nir.NIRNode]
PLAIN = Options(v_leak=False)


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


def _weights(out: int = SIZE, inp: int = SIZE) -> NDArray[np.float64]:
    return _rng().integers(-2, 5, (out, inp)) / 4.0


def _cuba(seed: int = 0, size: int = SIZE) -> nir.NIRNode:
    return neuron("CubaLIF", size, np.random.default_rng(seed), PLAIN)


def network(middle: Nodes, inputs: tuple[int, ...] = (SIZE,), outputs: int = SIZE) -> nir.NIRGraph:
    """Input → the nodes, one after the other → Linear → CubaLIF → Output."""
    nodes: Nodes = {"in": nir.Input(np.array(inputs)), **middle}
    nodes |= {"w_out": nir.Linear(_weights(inp=outputs)), "last": _cuba(9)}
    nodes["out"] = nir.Output(np.array([SIZE]))
    return nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False)


def _neuron(kind: str) -> nir.NIRGraph:
    return network({"w": nir.Linear(_weights()), "x": neuron(kind, SIZE, _rng(), PLAIN)})


def _stateless(node: nir.NIRNode) -> nir.NIRGraph:
    return network({"w": nir.Linear(_weights()), "x": node, "n": _cuba()})


def _space(*nodes: nir.NIRNode, size: int, inputs: tuple[int, ...] = (1, 4, 4)) -> nir.NIRGraph:
    flat = nir.Flatten({"input": np.array(inputs)}, 0, -1)
    middle = {f"x{i}": node for i, node in enumerate(nodes)}
    middle |= {"flat": flat, "w": nir.Linear(_weights(SIZE, size)), "n": _cuba()}
    return network(middle, inputs)


def _readout(kind: str) -> nir.NIRGraph:
    nodes: Nodes = {
        "in": nir.Input(np.array([SIZE])),
        "w": nir.Linear(_weights()),
        "n": _cuba(),
        "w2": nir.Linear(_weights()),
    }
    if kind:
        nodes["x"] = neuron(kind, SIZE, _rng(), PLAIN)
    nodes["out"] = nir.Output(np.array([SIZE]))
    return nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False)


def _edges(graph: nir.NIRGraph, *more: tuple[str, str], **nodes: nir.NIRNode) -> nir.NIRGraph:
    return nir.NIRGraph({**graph.nodes, **nodes}, [*graph.edges, *more], type_check=False)


def _recurrent() -> nir.NIRGraph:
    return _edges(_neuron("CubaLIF"), ("x", "rec"), ("rec", "x"), rec=nir.Linear(_weights() - 0.5))


def _two_layers() -> nir.NIRGraph:
    weights = nir.Linear(_weights()), nir.Linear(_weights())
    return network({"w": weights[0], "a": _cuba(), "w2": weights[1], "b": _cuba(1)})


def _long_loop() -> nir.NIRGraph:
    return _edges(_two_layers(), ("b", "rec"), ("rec", "a"), rec=nir.Linear(_weights() - 0.5))


def _skip() -> nir.NIRGraph:
    return _edges(_two_layers(), ("a", "w_out"))


def _two_synapses() -> nir.NIRGraph:
    graph = CASES["LI -> LIF (a synapse)"]()
    b = neuron("LI", SIZE, np.random.default_rng(3), PLAIN)
    return _edges(graph, ("in", "w2"), ("w2", "b"), ("b", "x"), w2=nir.Linear(_weights()), b=b)


def _nested() -> nir.NIRGraph:
    size = np.array([SIZE])
    inner = nir.NIRGraph(
        {"input": nir.Input(size), "cell": _cuba(), "rec": nir.Linear(_weights() - 0.5),
         "output": nir.Output(size)},
        [("input", "cell"), ("cell", "rec"), ("rec", "cell"), ("cell", "output")],
        type_check=False,
    )
    return network({"w": nir.Linear(_weights()), "x": inner})


def _conv1d() -> nir.NIRGraph:
    weight = _rng().integers(-2, 3, (2, 1, 3)) / 4.0
    return _space(nir.Conv1d(8, weight, 2, 1, 1, 1, np.zeros(2)), size=8, inputs=(1, 8))


def _conv2d(padding: Any, stride: int, dilation: int, groups: int, size: int) -> nir.NIRGraph:
    weight = _rng().integers(-2, 3, (2, 2 // groups, 2, 2)) / 4.0
    node = nir.Conv2d((2, 4), weight, stride, padding, dilation, groups, np.zeros(2))
    return _space(node, size=size, inputs=(2, 2, 4))


def _pool(kind: str) -> nir.NIRGraph:
    return _space(getattr(nir, kind)(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])), size=4)


CASES: dict[str, Callable[[], nir.NIRGraph]] = {
    "Input, Output, Linear, CubaLIF": lambda: _neuron("CubaLIF"),
    "Affine before CubaLIF": lambda: network(
        {"w": nir.Affine(_weights(), _weights(SIZE, 1)[:, 0]), "x": _cuba()}
    ),
    "Affine before LIF": lambda: network(
        {
            "w": nir.Affine(_weights(), _weights(SIZE, 1)[:, 0]),
            "x": neuron("LIF", SIZE, _rng(), PLAIN),
        }
    ),
    "Scale": lambda: _stateless(nir.Scale(2.0 ** np.arange(SIZE))),
    "Conv1d, stride 2": _conv1d,
    "Conv2d": lambda: _conv2d(0, 1, 1, 1, 6),
    "Conv2d, same": lambda: _conv2d("same", 1, 1, 1, 16),
    "Conv2d, stride 2": lambda: _conv2d(0, 2, 1, 1, 4),
    "Conv2d, dilation 2, padded": lambda: _conv2d(1, 1, 2, 1, 16),
    "Conv2d, groups 2": lambda: _conv2d(0, 1, 1, 2, 6),
    "SumPool2d, Flatten": lambda: _pool("SumPool2d"),
    "AvgPool2d, Flatten": lambda: _pool("AvgPool2d"),
    "Threshold": lambda: network(
        {"w": nir.Linear(_weights()), "x": nir.Threshold(np.full(SIZE, 0.5))}
    ),
    "Delay of 2 steps": lambda: _stateless(nir.Delay(np.full(SIZE, 2 * DT))),
    "IF": lambda: _neuron("IF"),
    "LIF": lambda: _neuron("LIF"),
    "LI -> LIF (a synapse)": lambda: network(
        {
            "w": nir.Linear(_weights()),
            "s": neuron("LI", SIZE, _rng(), PLAIN),
            "x": neuron("LIF", SIZE, _rng(), PLAIN),
        }
    ),
    "two LI -> LIF": _two_synapses,
    "LI -> CubaLIF (filters in series)": lambda: network(
        {"w": nir.Linear(_weights()), "s": neuron("LI", SIZE, _rng(), PLAIN), "x": _cuba()}
    ),
    "CubaLI -> LIF (filters in series)": lambda: network(
        {
            "w": nir.Linear(_weights()),
            "s": neuron("CubaLI", SIZE, _rng(), PLAIN),
            "x": neuron("LIF", SIZE, _rng(), PLAIN),
        }
    ),
    "I -> Output": lambda: _readout("I"),
    "LI -> Output": lambda: _readout("LI"),
    "CubaLI -> Output": lambda: _readout("CubaLI"),
    "Linear -> Output": lambda: _readout(""),
    "recurrence of one population": _recurrent,
    "loop over two populations": _long_loop,
    "skip around a population": _skip,
    "nested NIRGraph, recurrent": _nested,
}


def judge(graph: nir.NIRGraph) -> tuple[str, str]:
    """Verdict and remarks on one network."""
    how = Dynamics(DT, reset="subtract", spikes_per_step=31, comparison=">=")
    graph = how.attach(graph)
    raster = _rng().integers(0, 2, (4, 12, channels(graph)))
    try:
        result = convert(graph)
    except Refused as refusal:
        first = refusal.diagnostics[0]
        return f"refused {first.code}", f"{first.limit}; found {first.found}"
    sized = [n for n in result.journal if n.size and n.stage != "quantize"]
    cost = [f"{n.size:.0f} relay neurons for {n.node}" for n in sized if n.unit == "neurons"]
    notes = [f"{n.what} [{n.size:.3g} {n.unit}]" for n in sized if n.unit != "neurons"]
    if equals_source(result, graph, raster):
        return "exact", "; ".join(cost + notes)
    run = next(m.run for m in MODELS if m.name == "lowered")(result, raster).outputs["out"]
    wanted = simulate_stepped(graph, raster, how).outputs["out"]
    apart = float(np.abs(run - wanted).sum() / max(np.abs(wanted).sum(), 1e-9))
    return f"differs, outputs by {apart:.1%}", "; ".join(notes + cost)


def main() -> None:
    """Print the table."""
    table = Table("primitive", "form", "remarks", title="NIR primitives on Xylo Audio 2")
    for name, make in CASES.items():
        table.add_row(name, *judge(make()))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()

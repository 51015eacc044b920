"""Every pass does what it claims, on generated graphs; and a wrong pass would be caught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
import pytest

from benchmarks.graphs import DT, Options, any_graph, any_raster, nest
from nirbridge import Dynamics, Refused, simulate_stepped
from nirbridge.graph.nodes import is_neuron, kind, parameters
from nirbridge.graph.verify import verify
from nirbridge.passes import PASSES, Pass, lower
from nirbridge.passes.arrange import Arrange
from nirbridge.passes.base import PROPERTIES, Rewritten, rebuilt
from nirbridge.passes.dead import kept_neurons, original_neurons
from nirbridge.passes.fan_out import FanOut, recurrent
from nirbridge.passes.lower import NORMAL_FORM
from nirbridge.passes.schedule import Schedule, latencies
from nirbridge.passes.synapse import GiveSynapse

SEEDS = range(30)
VARIANTS = (*PASSES, GiveSynapse(exact=False), Schedule(balance=False))


def graph_before(each: Pass, seed: int) -> nir.NIRGraph | None:
    """A generated graph that has gone through the passes before ``each``; None if one refuses."""
    rng = np.random.default_rng(seed)
    extras = ("Delay", "Threshold", "LI") if seed % 2 else ()
    options = Options(space=0.2, neurons=("LIF", "CubaLIF", "LIF", "IF"), extras=extras)
    graph = any_graph(rng, options)
    how = Dynamics.of(graph)
    assert how is not None
    names = [p.name for p in PASSES]
    before = PASSES[: names.index(each.name)] if each.name in names else ()
    before = {"fan-out": NORMAL_FORM, "arrange": PASSES}.get(each.name, before)
    try:
        return lower(graph, how, before).graph
    except Refused:
        return None


def snapshot(graph: nir.NIRGraph, path: str = "") -> dict[str, Any]:
    """Everything in a graph, as values that can be compared."""
    content: dict[str, Any] = {f"{path}edges": sorted(graph.edges)}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            content |= snapshot(node, f"{path}{name}.")
        else:
            values = {k: np.array(v).tolist() for k, v in parameters(node).items()}
            content[path + name] = (type(node).__name__, values, str(node.metadata))
    return content


def assert_claims_hold(each: Pass, seed: int) -> None:
    """The whole contract of a pass, on one generated graph."""
    graph = graph_before(each, seed)
    if graph is not None:
        assert_claims(each, graph, seed)


def assert_claims(each: Pass, graph: nir.NIRGraph, seed: int) -> None:
    how = Dynamics.of(graph)
    assert how is not None
    for name in each.requires:
        assert PROPERTIES[name](graph), f"the passes before do not ensure {name!r}"
    before = snapshot(graph)
    try:
        result, notes = each.run(graph, how)
    except Refused:
        return
    assert snapshot(graph) == before, "it edits its input"
    assert verify(result) == [], "its output is not well-formed"
    for name in each.ensures:
        assert PROPERTIES[name](result), f"it does not ensure {name!r}"
    again, _ = each.run(result, Dynamics.of(result) or how)
    assert snapshot(again) == snapshot(result), "a second run changes something"
    raster = any_raster(np.random.default_rng(seed), graph)
    same = same_dynamics(graph, result, raster)
    if each.preserves == "exactly":
        assert same, "it claims to preserve the dynamics exactly, and does not"
    elif not same:
        assert any(note.size for note in notes), "it changes the dynamics and gives no size"


def same_dynamics(graph: nir.NIRGraph, result: nir.NIRGraph, raster: Any) -> bool:
    """Bit-equal spikes and outputs, those of a scheduled graph moved back by their latency."""
    steps = raster.shape[1]
    late = latencies(result) if latencies(result) != latencies(graph) else {}
    longest = max(late.values(), default=0)
    expected = simulate_stepped(graph, raster)
    found = simulate_stepped(result, np.pad(raster, ((0, 0), (0, longest), (0, 0))))
    for name in expected.spikes:
        if name not in result.nodes:
            continue
        first, wanted = late.get(name, 0), expected.spikes[name]
        if kept_neurons(result.nodes[name]) is not None:
            before, after = (original_neurons(g.nodes[name]).tolist() for g in (graph, result))
            wanted = wanted[:, :, [before.index(k) for k in after]]
        if not np.array_equal(wanted, found.spikes[name][:, first : first + steps]):
            return False
    for end, wanted in expected.outputs.items():
        (source,) = (a for a, b in result.edges if b == end) if late else ("",)
        first = late.get(source, 0)
        if not np.array_equal(wanted, found.outputs[end][:, first : first + steps]):
            return False
    return True


@pytest.mark.parametrize("each", VARIANTS, ids=lambda p: f"{p.name}-{p.preserves}")
def test_pass_keeps_its_promises(each: Pass) -> None:
    for seed in SEEDS:
        assert_claims_hold(each, seed)


def test_neurons_in_another_order() -> None:
    for seed in SEEDS:
        graph = graph_before(Arrange({}), seed)
        if graph is not None:
            rng = np.random.default_rng(seed)
            ends = {a for a, b in graph.edges if kind(graph.nodes[b]) == "Output"}
            names = [n for n, x in graph.nodes.items() if is_neuron(x) and n not in ends]
            orders = {n: rng.permutation(original_neurons(graph.nodes[n])) for n in names}
            assert_claims(Arrange(orders), graph, seed)


def test_weights_that_are_given_up() -> None:
    removed = 0
    for seed in SEEDS:
        graph = graph_before(FanOut({}), seed)
        if graph is not None:
            rng = np.random.default_rng(seed)
            masks = {p: rng.random(w.shape[1:]) < 0.5 for p, w in recurrent(graph).items()}
            each = FanOut(masks)
            assert_claims(each, graph, seed)
            after = recurrent(each.run(graph, Dynamics(DT))[0])
            assert not any(after[p][:, mask].any() for p, mask in masks.items())
            removed += sum(int(mask.sum()) for mask in masks.values())
    assert removed > 20


@dataclass(frozen=True)
class ForgetsAnEdge:
    """A wrong pass: it loses the last edge into a neuron that has two."""

    name: ClassVar[str] = "wrong"
    preserves: ClassVar[str] = "exactly"
    requires: ClassVar[tuple[str, ...]] = ()
    ensures: ClassVar[tuple[str, ...]] = ()

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:  # noqa: ARG002
        targets = [b for _, b in graph.edges]
        double = [e for e in graph.edges if targets.count(e[1]) > 1]
        edges = [e for e in graph.edges if e not in double[-1:]]
        return rebuilt(graph, dict(graph.nodes), edges), []


@dataclass(frozen=True)
class EditsItsInput(ForgetsAnEdge):
    """A wrong pass: it scales the weights of the graph that it was given."""

    def run(self, graph: nir.NIRGraph, dynamics: Dynamics) -> Rewritten:  # noqa: ARG002
        for node in graph.nodes.values():
            if hasattr(node, "weight"):
                node.weight *= 2
        return graph, []


def breaks_its_claims(each: Pass, seed: int) -> bool:
    try:
        assert_claims_hold(each, seed)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("wrong", [ForgetsAnEdge(), EditsItsInput()])
def test_wrong_pass_is_caught(wrong: Pass) -> None:
    assert any(breaks_its_claims(wrong, seed) for seed in SEEDS)


def test_nesting_changes_nothing() -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        graph = any_graph(rng, Options(nesting=0.0))
        raster = any_raster(rng, graph)
        how = Dynamics.of(graph)
        expected = simulate_stepped(graph, raster, how)
        found = simulate_stepped(nest(graph, rng), raster, how)
        np.testing.assert_array_equal(found.output, expected.output)


def test_convolution_matches_its_definition() -> None:
    """One output value of each kind of window, computed by hand from the definition."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (4, 5, 6))
    weight = rng.integers(-3, 4, (6, 2, 3, 2)).astype(float)
    conv = nir.Conv2d((5, 6), weight, (2, 1), (1, 0), (1, 2), 2, np.arange(6.0))
    graph = nir.NIRGraph(
        {"in": nir.Input(np.array([4, 5, 6])), "c": conv, "out": nir.Output(np.array([6, 3, 4]))},
        [("in", "c"), ("c", "out")],
        type_check=False,
    )
    raster = x.reshape(1, -1)
    y = simulate_stepped(graph, raster, Dynamics(1e-3)).output.reshape(6, 3, 4)
    padded = np.pad(x, [(0, 0), (1, 1), (0, 0)])
    for out, row, column in np.ndindex(6, 3, 4):
        group = out // 3
        expected = float(out)
        for c, i, j in np.ndindex(2, 3, 2):
            value = padded[2 * group + c, 2 * row + i, column + 2 * j]
            expected += weight[out, c, i, j] * value
        assert y[out, row, column] == expected

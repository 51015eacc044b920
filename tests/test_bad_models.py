"""What cannot be exported or built is refused by name: never another error, never a wrong graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge import Dynamics, Refused, adapters, simulate_stepped

snn: Any = pytest.importorskip("snntorch")
torch: Any = pytest.importorskip("torch")
nn: Any = torch.nn
SAMPLE = torch.zeros(1, 8)


def leaky(**options: Any) -> Any:
    return snn.Leaky(0.9, threshold=0.3, init_hidden=True, **options)


def small() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 6), leaky())


def refused(act: Callable[[], Any]) -> Any:
    with pytest.raises(Refused) as refusal:
        act()
    first = refusal.value.diagnostics[0]
    assert first.node
    assert first.remedy
    return first


class Net(nn.Module):  # type: ignore[misc]
    """Two layers, two populations and a forward that is given."""

    def __init__(self, forward: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(8, 6), nn.Linear(8, 6), nn.Linear(6, 6)
        self.one, self.two = leaky(), leaky()
        self.way = forward

    def forward(self, x: Any) -> Any:
        return self.way(self, x)


def in_place(net: Any, x: Any) -> Any:
    y = net.a(x)
    y[:, :3].mul_(0)
    return net.one(y)


def written(net: Any, x: Any) -> Any:
    y = net.a(x)
    y[:, 0] = 0
    return net.one(y)


def hidden_scale(net: Any, x: Any) -> Any:
    y = net.a(x)
    y.data.mul_(3)
    return net.one(y)


WRONG_IF_TRACED = {
    "choice by value": lambda n, x: n.one(n.a(x)) if bool((x > 0).any()) else n.one(n.b(x)),
    "item": lambda n, x: n.one(n.a(x)) if x.max().item() > 1 else n.one(n.b(x)),
    "in place through a view": in_place,
    "in place on data": hidden_scale,
}
LOST = {
    "product": lambda n, x: n.one(n.a(x) * 2),
    "constant": lambda n, x: n.one(n.a(x) + 1),
    "difference": lambda n, x: n.one(n.a(x) - n.b(x)),
    "relu": lambda n, x: n.one(torch.relu(n.a(x))),
    "cat": lambda n, x: n.one(torch.cat([n.a(x), n.b(x)], 1)),
    "permutation": lambda n, x: n.one(n.a(x)[:, [1, 0, 2, 3, 4, 5]]),
    "written": written,
    "shared population": lambda n, x: n.one(n.c(n.one(n.a(x)))),
    "several outputs": lambda n, x: (n.one(n.a(x)), n.two(n.b(x))),
    "no output": lambda n, x: None,  # noqa: ARG005
    "error": lambda n, x: 1 / 0,  # noqa: ARG005
    "softmax": lambda n, x: n.one(n.a(x)).softmax(1),
}


@pytest.mark.parametrize("name", WRONG_IF_TRACED)
def test_what_a_trace_does_not_show_is_found(name: str) -> None:
    first = refused(lambda: adapters.export(Net(WRONG_IF_TRACED[name]), SAMPLE))
    assert (first.code, first.node) == ("NB905", "one")


@pytest.mark.parametrize("name", LOST)
def test_operations_between_layers_are_refused(name: str) -> None:
    assert refused(lambda: adapters.export(Net(LOST[name]), SAMPLE)).code in ("NB902", "NB901")


RIGHT = {
    "skip": lambda n, x: n.two(n.c(n.one(n.a(x))) + n.b(x)),
    "sum of outputs": lambda n, x: n.one(n.a(x)) + n.two(n.b(x)),
    "layer used twice": lambda n, x: n.two(n.c(n.one(n.c(n.a(x))))),
    "in place sum": lambda n, x: n.one(n.a(x).add_(n.b(x))),
    "unused layers": lambda n, x: n.one(n.a(x)),
    "reshaped input": lambda n, x: n.one(n.a(x.reshape(-1, 8))),
    "resting dropout": lambda n, x: n.one(nn.functional.dropout(n.a(x), 0.5, training=False)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_can_be_followed_is_right(name: str) -> None:
    model = Net(RIGHT[name])
    x = np.random.default_rng(0).integers(0, 3, (2, 100, 8))
    found = simulate_stepped(adapters.export(model, SAMPLE), x, dtype=np.float32).output
    np.testing.assert_array_equal(found, adapters.run(model, x))
    assert found.any()


def hooked() -> Any:
    layer = nn.Linear(8, 6)
    layer.register_forward_hook(lambda _m, _a, out: out * 2)
    return layer


class Doubled(nn.Linear):  # type: ignore[misc]
    def forward(self, x: Any) -> Any:
        return super().forward(x) * 2


@pytest.mark.parametrize("layer", [hooked, lambda: Doubled(8, 6)])
def test_layers_that_do_more_are_found(layer: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(layer(), leaky())
    assert refused(lambda: adapters.export(model, SAMPLE)).code == "NB905"


class Loop(nn.Module):  # type: ignore[misc]
    """A loop over time of its own."""

    def __init__(self, way: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.cell, self.way = nn.Linear(8, 6), snn.Leaky(0.9, threshold=0.3), way

    def forward(self, x: Any) -> Any:
        v, out, order = self.cell.init_leaky(), [], range(len(x))
        for t in reversed(order) if self.way == "reversed" else order:
            y = self.fc(x[0 if self.way == "first step" else t])
            spikes, new = self.cell(y, v)
            v = v if self.way == "no state" else new
            if self.way == "twice":
                spikes, v = self.cell(y, v)
            out.append(spikes)
        return out[-1] if self.way == "last" else torch.stack(out)


@pytest.mark.parametrize("way", ["reversed", "first step", "no state", "twice", "last"])
def test_loops_that_are_no_loop_over_time_are_found(way: str) -> None:
    assert refused(lambda: adapters.export(Loop(way), torch.zeros(6, 2, 8))).code == "NB905"


def test_a_loop_over_time_is_right_batch_first_and_time_first() -> None:
    class Swapped(Loop):
        def forward(self, x: Any) -> Any:
            return super().forward(x.transpose(0, 1))

    straight = adapters.export(Loop(""), torch.zeros(6, 2, 8))
    swapped = adapters.export(Swapped(""), torch.zeros(2, 6, 8))
    np.testing.assert_array_equal(straight.nodes["fc"].weight, swapped.nodes["fc"].weight)


@pytest.mark.parametrize("model", [None, 3, "x", {}, small, snn.Leaky, torch, torch.zeros(2)])
def test_what_is_no_model_is_refused(model: Any) -> None:
    assert refused(lambda: adapters.export(model, SAMPLE)).code in ("NB806", "NB901")


@pytest.mark.parametrize(
    "sample",
    [None, "abc", object(), torch.zeros(0, 8), torch.zeros(1, 5), torch.tensor(1.0), [[1], [1, 2]],
     (torch.zeros(1, 8), torch.zeros(1, 8)), np.zeros((1, 8), complex), torch.zeros(2, 3, 4, 8)],
)
def test_samples_that_do_not_fit_are_refused(sample: Any) -> None:
    assert refused(lambda: adapters.export(small(), sample)).code == "NB902"


@pytest.mark.parametrize(
    "sample", [torch.full((1, 8), float("nan")), np.zeros((1, 8)), [[0.0] * 8], torch.zeros(8),
               torch.zeros(4, 8, dtype=torch.bool), torch.zeros(1, 8).half()]
)
def test_of_a_sample_only_the_shape_counts(sample: Any) -> None:
    expected = adapters.export(small(), SAMPLE)
    found = adapters.export(small(), sample)
    np.testing.assert_array_equal(found.nodes["0"].weight, expected.nodes["0"].weight)
    assert Dynamics.of(found) == Dynamics.of(expected)


def test_precisions() -> None:
    assert adapters.export(small().double(), SAMPLE).nodes["0"].weight.dtype == np.float64
    for wrong in (small().half(), small().bfloat16(), small().to("meta")):
        first = refused(partial(adapters.export, wrong, SAMPLE))
        assert first.node == "0.weight"


def test_dropout_in_training_is_dropped_and_stays_in_training() -> None:
    model = nn.Sequential(nn.Linear(8, 6), nn.Dropout(0.5), leaky()).train()
    adapters.export(model, SAMPLE)
    assert model[1].training


def test_batch_norm_without_a_layer_before_it_is_a_layer() -> None:
    norm = nn.BatchNorm2d(2)
    norm.running_mean, norm.running_var = torch.rand(2), torch.rand(2) + 0.5
    model = nn.Sequential(norm, nn.Conv2d(2, 3, 3), leaky(), nn.BatchNorm2d(3), leaky()).eval()
    x = np.random.default_rng(0).integers(0, 3, (1, 50, 72))
    found = simulate_stepped(adapters.export(model, torch.zeros(1, 2, 6, 6)), x, dtype=np.float32)
    np.testing.assert_array_equal(found.output, adapters.run(model, x, (2, 6, 6)))


GRAPH = adapters.export(small(), SAMPLE)
RECORD = json.loads(GRAPH.metadata["nirbridge"])
FIELDS: list[tuple[str, Any]] = [
    ("dt", -1), ("dt", 0), ("dt", "1"), ("dt", [1]), ("dt", None), ("dt", 10**400), ("dt", True),
    ("dt", float("nan")), ("dt", float("inf")), ("dt", "__import__('os').system('x')"),
    ("scheme", "rk4"), ("scheme", ["euler"]), ("scheme", "x" * 10**6), ("version", 2),
    ("spikes_per_step", 1.5), ("recurrent_delay", 10**9), ("layer_delay", 1.0), ("evil", 1),
    ("__class__", "x"), ("reset_delay", True),
]  # fmt: skip
TEXTS: list[Any] = [
    "[" * 10**5 + "]" * 10**5, '{"a":' * 10**5 + "1" + "}" * 10**5, "", "3", "null", "[1]",
    '{"version":1,"dt":' + "1" * 10**6 + "}", '{"version":1}', "__import__('os').system('x')",
    b"x", 3, object(), {"dt": 1},
]  # fmt: skip


@pytest.mark.parametrize("act", [Dynamics.of, lambda g: adapters.build(g, "snntorch")])
@pytest.mark.parametrize("k", range(len(FIELDS) + len(TEXTS)))
def test_hostile_records_are_refused(act: Callable[[Any], Any], k: int) -> None:
    texts = [json.dumps({**RECORD, name: value}) for name, value in FIELDS] + TEXTS
    metadata = {"nirbridge": texts[k]}
    graph = nir.NIRGraph(dict(GRAPH.nodes), list(GRAPH.edges), metadata=metadata, type_check=False)
    assert refused(lambda: act(graph)).code == "NB304"


@pytest.mark.parametrize("graph", [None, "x", {}, nir.NIRGraph, nir.Linear(np.ones((2, 2)))])
@pytest.mark.parametrize("framework", ["snntorch", "spyx"])
def test_what_is_no_graph_is_refused(graph: Any, framework: str) -> None:
    assert refused(lambda: adapters.build(graph, framework)).code == "NB208"


def test_dynamics_must_be_a_record() -> None:
    assert refused(lambda: adapters.build(GRAPH, "snntorch", {"dt": 1})).code == "NB304"  # type: ignore[arg-type]

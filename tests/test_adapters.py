"""Models out of the frameworks and back into them, spike for spike."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from benchmarks import interop
from benchmarks.interop.cells import compare
from nirbridge import Dynamics, Refused, adapters, optional, read, simulate_stepped, write

STEPS = 200


def need(*frameworks: str) -> None:
    """Skip where a framework is missing."""
    for framework in frameworks:
        if not optional.installed(framework):
            pytest.skip(f"{framework} is not installed")


def source(exporter: str, kind: str, seed: int) -> tuple[interop.Net, Any, Any]:
    """A network, its input, and its own answer."""
    need(interop.EXPORTERS[exporter])
    net = interop.network(exporter, kind, seed)
    x = interop.raster(net.shape, STEPS, seed)
    theirs = adapters.run(net.model, x, net.shape)
    assert theirs.any(), "a silent network shows nothing"
    return net, x, theirs


EXPORTED = [
    (exporter, kind)
    for exporter in interop.EXPORTERS
    for kind in interop.KINDS
    if (exporter, kind) not in interop.IMPOSSIBLE
]


@pytest.mark.parametrize(("exporter", "kind"), EXPORTED)
def test_export_computes_what_the_model_computes(exporter: str, kind: str, tmp_path: Any) -> None:
    for seed in range(3):
        net, x, theirs = source(exporter, kind, seed)
        graph = adapters.export(net.model, net.sample)
        x = interop.for_graph(graph, net, x)
        found = simulate_stepped(graph, x, dtype=np.float32).output
        assert compare(theirs, found).word == "exact"
        path = tmp_path / f"{seed}.nir"
        write(graph, path)
        stored = simulate_stepped(read(path), x, dtype=np.float32).output
        np.testing.assert_array_equal(stored, found)


@pytest.mark.parametrize("importer", adapters.FRAMEWORKS)
@pytest.mark.parametrize(
    ("exporter", "kind"),
    [(e, k) for e, k in EXPORTED if k in ("CubaLIF", "recurrent CubaLIF", "per-neuron parameters")],
)
def test_build_computes_what_the_model_computed(exporter: str, importer: str, kind: str) -> None:
    need(importer)
    net, x, theirs = source(exporter, kind, 0)
    graph = adapters.export(net.model, net.sample)
    built = adapters.build(graph, importer)
    np.testing.assert_array_equal(adapters.run(built, x), theirs)
    again = adapters.export(built, net.sample)
    found = simulate_stepped(again, x, dtype=np.float32).output
    np.testing.assert_array_equal(found, theirs)
    assert set(again.edges) == set(graph.edges)
    assert Dynamics.of(again) == Dynamics.of(graph)
    for name, node in graph.nodes.items():
        assert type(again.nodes[name]) is type(node)
        for field in ("weight", "bias", "tau", "tau_mem", "tau_syn", "r", "w_in", "v_threshold"):
            if hasattr(node, field):
                new = getattr(again.nodes[name], field)
                np.testing.assert_allclose(new, getattr(node, field), rtol=2e-6, atol=1e-12)


def sequence(*layers: Any) -> Any:
    from torch import nn

    return nn.Sequential(*layers)


@pytest.fixture
def snn() -> Any:
    need("snntorch")
    return pytest.importorskip("snntorch")


@pytest.fixture
def torch(snn: Any) -> Any:  # noqa: ARG001
    import torch

    torch.manual_seed(0)
    return torch


def spikes_of(model: Any, x: Any, sample: Any) -> tuple[Any, Any]:
    """The model's own, and those of its export."""
    graph = adapters.export(model, sample)
    return adapters.run(model, x), simulate_stepped(graph, x, dtype=np.float32).output


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Leaky", {"reset_mechanism": "zero"}),
        ("Leaky", {"reset_mechanism": "none"}),
        ("Leaky", {"reset_delay": False}),
        ("Synaptic", {"reset_delay": False}),
        ("Synaptic", {"reset_mechanism": "zero", "reset_delay": False}),
        ("Lapicque", {"R": 5.0, "C": 1.0}),
    ],
)
def test_resets_of_snntorch(snn: Any, torch: Any, name: str, options: dict[str, Any]) -> None:
    decays = {"Leaky": {"beta": 0.9}, "Synaptic": {"alpha": 0.8, "beta": 0.9}}.get(name, {})
    cell = getattr(snn, name)(init_hidden=True, threshold=0.5, **decays, **options)
    model = sequence(torch.nn.Linear(8, 12), cell)
    x = interop.raster((8,), STEPS, 0)
    theirs, found = spikes_of(model, x, torch.zeros(8))
    assert theirs.any()
    np.testing.assert_array_equal(found, theirs)


def test_recurrent_cell_that_ignores_its_reset_delay(snn: Any, torch: Any) -> None:
    """RSynaptic 1.0.0 with explicit states acts as delayed, whatever reset_delay says."""

    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.cell = snn.RSynaptic(0.8, 0.9, linear_features=8)

        def forward(self, x: Any) -> Any:
            spikes, i, v = self.cell.reset_mem()
            out = []
            for step in x:
                spikes, i, v = self.cell(step, spikes, i, v)
                out.append(spikes)
            return torch.stack(out)

    x = interop.raster((8,), STEPS, 0)
    model = Net()
    with torch.no_grad():
        theirs = model(torch.from_numpy(x[0]).float()[:, None])[:, 0].numpy()
    graph = adapters.export(model, torch.zeros(5, 1, 8))
    assert Dynamics.of(graph) == Dynamics(1e-4, reset="subtract", reset_delay=1)
    found = simulate_stepped(graph, x[0], dtype=np.float32).output
    np.testing.assert_array_equal(found, theirs)


def test_recurrence_that_the_model_keeps_itself(snn: Any, torch: Any) -> None:
    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.back = torch.nn.Linear(8, 12), torch.nn.Linear(12, 12)
            self.cell = snn.Leaky(0.8)

        def forward(self, x: Any) -> Any:
            v, out = self.cell.reset_mem(), []
            spikes = torch.zeros(x.shape[1], 12)
            for step in x:
                spikes, v = self.cell(self.fc(step) + self.back(spikes), v)
                out.append(spikes)
            return torch.stack(out)

    x, model = interop.raster((8,), STEPS, 0), Net()
    with torch.no_grad():
        theirs = model(torch.from_numpy(x[0]).float()[:, None])[:, 0].numpy()
    graph = adapters.export(model, torch.zeros(5, 1, 8))
    assert ("cell", "back") in graph.edges
    assert ("back", "cell") in graph.edges
    np.testing.assert_array_equal(
        simulate_stepped(graph, x[0], dtype=np.float32).output, theirs
    )


def test_batch_norm_is_folded_and_dropout_dropped(snn: Any, torch: Any) -> None:
    norm = torch.nn.BatchNorm1d(12)
    norm.running_mean, norm.running_var = torch.rand(12), torch.rand(12) + 0.5
    model = sequence(
        torch.nn.Linear(8, 12), norm, torch.nn.Dropout(0.5), snn.Leaky(0.9, init_hidden=True)
    ).eval()
    x = interop.raster((8,), STEPS, 0)
    theirs, found = spikes_of(model, x, torch.zeros(4, 8))
    np.testing.assert_array_equal(found, theirs)
    model.train()
    assert refused(model, torch.zeros(4, 8)).node == "1"


def refused(model: Any, sample: Any) -> Any:
    with pytest.raises(Refused) as refusal:
        adapters.export(model, sample)
    (found,) = refusal.value.diagnostics
    assert found.remedy
    return found


def test_refusals_name_the_layer(snn: Any, torch: Any) -> None:
    from torch import nn

    sample = torch.zeros(1, 8)
    leaky = snn.Leaky(0.9, init_hidden=True)
    inner = nn.Sequential(nn.ReLU(), leaky)
    assert refused(nn.Sequential(nn.Linear(8, 4), inner), sample).node == "1.0"
    alpha = snn.Alpha(alpha=0.9, beta=0.8, init_hidden=True)
    found = refused(nn.Sequential(nn.Linear(8, 4), alpha), sample)
    assert (found.node, "Alpha" in found.found) == ("1", True)
    late = snn.Synaptic(0.9, 0.8, reset_mechanism="zero", init_hidden=True)
    assert "discarded" in refused(nn.Sequential(nn.Linear(8, 4), late), sample).found

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.cell = nn.Linear(8, 4), leaky

        def forward(self, x: Any) -> Any:
            return self.cell(self.fc(x) + 0.5)

    found = refused(Scaled(), sample)
    assert (found.node, "constant" in found.found) == ("cell", True)


def test_the_model_is_left_as_it_was(snn: Any, torch: Any) -> None:
    model = sequence(torch.nn.Linear(8, 4), snn.Leaky(0.9, init_hidden=True))
    adapters.export(model, torch.ones(1, 8))
    before = {name: value.clone() for name, value in model[1]._buffers.items()}
    adapters.export(model, torch.ones(3, 8))
    for name, value in model[1]._buffers.items():
        assert torch.equal(value, before[name]), name
    assert not model[1]._forward_hooks


def test_dt_changes_the_unit_and_not_the_steps(snn: Any, torch: Any) -> None:
    model = sequence(torch.nn.Linear(8, 4), snn.Synaptic(0.5, 0.75, init_hidden=True))
    graph = adapters.export(model, torch.zeros(8), dt=1e-3)
    how = Dynamics.of(graph)
    assert how is not None
    assert how.dt == 1e-3
    np.testing.assert_allclose(graph.nodes["1"].tau_mem, 4e-3)
    np.testing.assert_allclose(graph.nodes["1"].tau_syn, 2e-3)


@pytest.mark.parametrize("framework", [f for f in adapters.FRAMEWORKS if f != "spyx"])
def test_a_built_model_learns(framework: str) -> None:
    need(framework)
    import torch

    rng = np.random.default_rng(0)
    one = np.ones(6)
    nodes = {
        "in": nir.Input(np.array([8])),
        "w": nir.Affine(rng.normal(size=(6, 8)), np.zeros(6)),
        "n": nir.CubaLIF(5e-3 * one, 1e-2 * one, one, 0 * one, 0.3 * one, 0 * one, one),
        "out": nir.Output(np.array([6])),
    }
    graph = nir.NIRGraph(nodes, [("in", "w"), ("w", "n"), ("n", "out")], type_check=False)
    model = adapters.build(graph, framework, Dynamics(1e-3))
    x = torch.from_numpy(interop.raster((8,), 30, 0)).float().transpose(0, 1)
    model(x).sum().backward()
    weight = dict(model.named_parameters())["parts.n_w.weight"]
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0
    with torch.no_grad():
        weight.mul_(2)
    again = adapters.export(model, x[0])
    np.testing.assert_allclose(again.nodes["w"].weight, 2 * nodes["w"].weight, rtol=1e-6)


@pytest.mark.usefixtures("snn")
def test_strict_refuses_what_cells_do_not_compute() -> None:
    one = np.ones(4)
    nodes = {
        "in": nir.Input(np.array([4])),
        "n": nir.LIF(1e-2 * one, one, 0 * one, 0.1 * one, 0 * one),
        "out": nir.Output(np.array([4])),
    }
    graph = nir.NIRGraph(nodes, [("in", "n"), ("n", "out")], type_check=False)
    many = Dynamics(1e-3, reset="subtract", spikes_per_step=None, comparison=">=")
    built = adapters.build(graph, "snntorch", many)
    assert [d.node for d in built.differences] == ["n"]
    with pytest.raises(Refused):
        adapters.build(graph, "snntorch", many, strict=True)
    assert not adapters.build(graph, "snntorch", Dynamics(1e-3), strict=True).differences


def every_primitive() -> tuple[nir.NIRGraph, Any]:
    """Scale, Delay, Threshold, SumPool2d, LI and IF in one network, and an input of it."""
    one = np.ones(4)
    nodes = {
        "in": nir.Input(np.array([1, 4, 4])),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "flat": nir.Flatten({"input": np.array([1, 2, 2])}, 0, -1),
        "scale": nir.Scale(np.array([0.5, 1.0, 1.5, 2.0])),
        "late": nir.Delay(1e-3 * np.array([0, 1, 2, 3])),
        "li": nir.LI(4e-3 * one, 4 * one, 0.1 * one),
        "th": nir.Threshold(2.0 * one),
        "if": nir.IF(1e3 * one, 2.5 * one, 0 * one),
        "out": nir.Output(np.array([4])),
    }
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)
    return Dynamics(1e-3).attach(graph), interop.raster((1, 4, 4), STEPS, 0)


@pytest.mark.parametrize("framework", [f for f in adapters.FRAMEWORKS if f != "spyx"])
def test_every_primitive_is_built(framework: str) -> None:
    need(framework)
    graph, x = every_primitive()
    expected = simulate_stepped(graph, x, dtype=np.float32).output
    assert expected.any()
    built = adapters.build(graph, framework)
    np.testing.assert_array_equal(adapters.run(built, x), expected)


def test_a_missing_framework_names_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    library = optional.Library("snntorch", ("no_such_module",), ("snntorch>=1.0", "nirtorch"))
    monkeypatch.setitem(optional.LIBRARIES, "snntorch", library)
    with pytest.raises(Refused) as refusal:
        optional.need("snntorch")
    remedy = refusal.value.diagnostics[0].remedy
    assert remedy == 'install it: pip install "snntorch>=1.0" "nirtorch"'
    assert not optional.installed("snntorch")


def test_an_unknown_framework_is_refused() -> None:
    graph = nir.NIRGraph({}, [], type_check=False)
    with pytest.raises(Refused):
        adapters.build(graph, "lava", Dynamics(1e-3))
    with pytest.raises(Refused):
        adapters.export(object(), np.zeros(3))

"""Rockpool's modules in jax and numpy: what they compute, as they are and as graphs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import nir
import numpy as np
import pytest

from benchmarks import interop
from nirbridge import Dynamics, Refused, adapters, read, simulate_stepped, write
from tests.test_adapters import need

torch: Any = pytest.importorskip("torch")
jax: Any = pytest.importorskip("jax")
rm: Any = pytest.importorskip("rockpool.nn.modules")
rc: Any = pytest.importorskip("rockpool.nn.combinators")

STEPS = 200
SAMPLE = np.zeros((1, 4, 8))
BACKENDS = {"jax": "Jax", "numpy": ""}
KINDS = ("CubaLIF", "recurrent CubaLIF", "LI readout", "per-neuron parameters", "branch")


def renamed(name: str, suffix: str) -> str:
    """The name that Rockpool gives to the same module in another backend."""
    for combinator in ("Sequential", "Residual"):
        name = name.replace(f"Torch{combinator}", f"{suffix or 'Mod'}{combinator}")
    return name.replace("Torch", suffix)


def translated(module: Any, suffix: str) -> Any:
    """A torch model of Rockpool in another backend, with the same numbers."""
    name = type(module).__name__
    if name in ("TorchSequential", "TorchResidual"):
        parts = [translated(part, suffix) for part in module.children()]
        return getattr(rc, name.removeprefix("Torch"))(*parts)
    names = ("weight", "bias", "tau", "tau_mem", "tau_syn", "threshold", "w_rec")
    found: dict[str, Any] = {n: getattr(module, n, None) for n in names}
    options = {n: v.detach().numpy().copy() for n, v in found.items() if hasattr(v, "detach")}
    if getattr(module, "_has_rec", False):
        options["has_rec"] = True
    else:
        options.pop("w_rec", None)
    return getattr(rm, renamed(name, suffix))(module.shape, **options)


def run(model: Any, graph: nir.NIRGraph, size: int = 8) -> tuple[Any, Any]:
    """What a model sends, and its graph in the steps of the same precision."""
    x = interop.raster((size,), STEPS, 0)
    theirs = adapters.run(model, x)
    assert theirs.any(), "a silent network shows nothing"
    return theirs, simulate_stepped(graph, x, dtype=theirs.dtype).output


def assert_same(found: Any, theirs: Any, readout: bool = False) -> None:
    """Spikes are equal; ExpSyn cuts its kernel off after ten time constants."""
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(found, theirs, rtol=0, atol=1e-4 * scale if readout else 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_exports_what_torch_exports(backend: str, kind: str, tmp_path: Any) -> None:
    suffix, readout = BACKENDS[backend], kind == "LI readout"
    net = interop.network("rockpool", kind, 0)
    model = translated(net.model, suffix)
    graph = adapters.export(model, SAMPLE)
    theirs, found = run(model, graph)
    assert_same(found, theirs, readout)
    write(graph, tmp_path / "net.nir")
    assert_same(run(model, read(tmp_path / "net.nir"))[1], theirs, readout)
    expected = adapters.export(net.model, net.sample)
    assert Dynamics.of(graph) == Dynamics.of(expected)
    assert set(graph.edges) == {
        (renamed(a, suffix), renamed(b, suffix)) for a, b in expected.edges
    }
    for name, node in expected.nodes.items():
        own = graph.nodes[renamed(name, suffix)]
        assert type(own) is type(node)
        for key in ("weight", "bias", "tau", "tau_mem", "tau_syn", "r", "w_in", "v_threshold",
                    "v_leak"):  # fmt: skip
            if hasattr(node, key):
                new = getattr(own, key)
                np.testing.assert_allclose(new, getattr(node, key), rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("importer", [f for f in adapters.FRAMEWORKS if f != "spyx"])
def test_from_jax_into_the_frameworks(importer: str) -> None:
    need(importer)
    graph, theirs = recurrent()
    built = adapters.build(graph, importer)
    x = interop.raster((8,), STEPS, 0)
    np.testing.assert_array_equal(adapters.run(built, x), theirs)
    again = adapters.export(built, torch.zeros(1, 4, 8))
    np.testing.assert_array_equal(simulate_stepped(again, x, dtype=np.float32).output, theirs)


@cache
def recurrent() -> tuple[nir.NIRGraph, Any]:
    """A recurrent network in jax, exported once for all tests, and its own answer."""
    model = translated(interop.network("rockpool", "recurrent CubaLIF", 0).model, "Jax")
    graph = adapters.export(model, SAMPLE)
    return graph, run(model, graph)[0]


def weights(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape)


def loop_without_recurrence() -> Any:
    """w_rec acts though has_rec is False."""
    module = rm.LIF(8, threshold=np.full(8, 8.0))
    module.w_rec = weights(8, 8) / 4
    return module


class Own(rm.JaxModule):  # type: ignore[misc]
    """Two branches that join, one layer used twice."""

    def __init__(self, way: str = "") -> None:
        super().__init__(shape=(8, 8))
        self.a, self.b = (rm.LinearJax((8, 8), weight=weights(8, 8)) for _ in range(2))
        self.one, self.two = rm.LIFJax(8), rm.LIFJax(8, max_spikes_per_dt=1.0)
        self.way = way

    def evolve(self, x: Any, record: bool = False) -> Any:
        left, _, _ = self.one(self.a(x)[0], record)
        if self.way == "scaled":
            left = left * 2
        if self.way == "twice":
            left, _, _ = self.one(left)
        right, _, _ = self.b(x)
        out, _, _ = self.two(self.b(left)[0] + right)
        if self.way == "jax":
            out = jax.nn.relu(out)
        return out, {}, {}


MODELS: dict[str, Callable[[], Any]] = {
    "Euler's steps": lambda: rm.LIFODEJax(
        8, tau_mem=np.full(8, 5e-3), tau_syn=np.full((8, 1), 2e-3), threshold=np.full(8, 0.1),
        bias=np.full(8, 0.05), has_rec=True, w_rec=weights(8, 8) / 4,
    ),
    "one spike per step": lambda: rm.LIFJax(8, max_spikes_per_dt=1.0),
    "loop without recurrence": loop_without_recurrence,
    "input around a block": lambda: rc.Residual(rm.LIF(8)),
    "stack": lambda: rc.FFwdStack(rm.LIFJax(8), rm.LIFJax(6), weight_init_func=weights_of),
    "stack in numpy": lambda: rc.Sequential(
        rc.FFwdStack(rm.LIF(8), rm.LIF(6), rm.ExpSyn(4), weight_init_func=weights_of)
    ),
    "a module of one's own": Own,
}  # fmt: skip


def weights_of(shape: Any) -> Any:
    return weights(*shape) / 2


@pytest.mark.parametrize("name", MODELS)
def test_export_computes_what_the_model_computes(name: str) -> None:
    model = MODELS[name]()
    graph = adapters.export(model, SAMPLE, dt=2e-3)
    how = Dynamics.of(graph)
    assert how is not None
    assert how.dt == 2e-3
    theirs, found = run(model, graph)
    assert_same(found, theirs, readout="numpy" in name)


def test_the_most_spikes_of_a_step_are_reached_and_known() -> None:
    """Recurrent weights as Rockpool draws them drive neurons to the default limit."""
    loop = np.full((8, 8), 0.75, np.float32)
    for model in (
        rm.LIF(8, has_rec=True, w_rec=loop),
        rm.LIFTorch((8, 8), has_rec=True, w_rec=torch.tensor(loop)),
    ):
        graph = adapters.export(model, torch.zeros(1, 4, 8))
        how = Dynamics.of(graph)
        assert how is not None
        assert how.spikes_per_step == 65536
        theirs, found = run(model, graph)
        assert theirs.max() == found.max() == 65536


def test_names_and_biases() -> None:
    stack = rc.FFwdStack(rm.LIF(8), rm.LIF(6), weight_init_func=weights_of)
    linear = rm.Linear((6, 3), weight=weights(6, 3), bias=np.arange(3.0))
    graph = adapters.export(rc.Sequential(stack, linear), np.zeros((5, 8)))
    assert set(graph.nodes) == {
        "input", "0_ModFFwdStack.0_LIF", "0_ModFFwdStack.0_1_weight", "0_ModFFwdStack.1_LIF",
        "1_Linear", "output",
    }  # fmt: skip
    np.testing.assert_array_equal(graph.nodes["1_Linear"].bias, np.arange(3.0))


@pytest.mark.parametrize("suffix", BACKENDS.values())
def test_a_model_in_use_is_exported_from_rest_and_left_as_it_was(suffix: str) -> None:
    model = rc.Sequential(getattr(rm, f"LIF{suffix}")(8))
    graph = adapters.export(model, SAMPLE)
    fresh, found = run(model, graph)
    _, state, _ = model(np.ones((1, 7, 8)))
    model = model.set_attributes(state)
    before = np.asarray(model[0].vmem)
    assert before.any()
    theirs, again = run(model, adapters.export(model, SAMPLE))
    np.testing.assert_array_equal(np.asarray(model[0].vmem), before)
    np.testing.assert_array_equal(theirs, fresh)
    np.testing.assert_array_equal(again, found)


def doubled() -> Any:
    """A layer of Rockpool with another function."""
    layer = rm.LinearJax((8, 4), weight=weights(8, 4))
    vars(layer)["evolve"] = lambda x, record=False: (x @ layer.weight * 2, {}, {})  # noqa: ARG005
    return rc.Sequential(layer, rm.LIFJax(4))


def subclass() -> Any:
    """A layer of the user's own by the name of one of Rockpool's."""
    return rc.Sequential(type("LIF", (rm.Module,), {"evolve": lambda _, x: (x, {}, {})})(8))


def inner(module: Any) -> Any:
    """A layer at the path ``1_JaxSequential.0_…``, or ModSequential for numpy."""
    first = rm.LinearJax((8, 8)) if isinstance(module, rm.JaxModule) else rm.Linear((8, 8))
    return rc.Sequential(first, rc.Sequential(module))


REFUSED: list[tuple[Callable[[], Any], str, str]] = [
    (lambda: inner(rm.RateJax(8)), "NB901", "1_JaxSequential.0_RateJax"),
    (lambda: inner(rm.SoftmaxJax((8, 3))), "NB901", "1_JaxSequential.0_SoftmaxJax"),
    (lambda: inner(rm.Rate(8)), "NB901", "1_ModSequential.0_Rate"),
    (lambda: inner(rm.Instant(8, np.tanh)), "NB901", "1_ModSequential.0_Instant"),
    (lambda: inner(rm.LIFJax(8, noise_std=0.1)), "NB901", "1_JaxSequential.0_LIFJax"),
    (lambda: inner(rm.LIF((8, 4))), "NB901", "1_ModSequential.0_LIF"),
    (lambda: inner(rm.LIF(8, max_spikes_per_dt=1.5)), "NB901", "1_ModSequential.0_LIF"),
    (lambda: rm.LIFTorch(8, max_spikes_per_dt=torch.arange(8) + 1.0), "NB901", "liftorch"),
    (lambda: rm.LIFTorch((8, 4)), "NB901", "liftorch"),
    (lambda: rm.LIF(8).timed(), "NB901", "model"),
    (lambda: rm.LIFJax(5), "NB902", "lifjax"),
    (lambda: rc.Sequential(rm.Linear((5, 8))), "NB902", "0_Linear"),
    (lambda: Own("scaled"), "NB902", "one"),
    (lambda: Own("twice"), "NB902", "one"),
    (lambda: Own("jax"), "NB902", "two"),
    (subclass, "NB901", "0_LIF"),
    (doubled, "NB905", "output"),
]


@pytest.mark.parametrize("k", range(len(REFUSED)))
def test_refusals_name_the_module(k: int) -> None:
    make, code, node = REFUSED[k]
    with pytest.raises(Refused) as refusal:
        adapters.export(make(), torch.zeros(1, 4, 8))
    (found,) = refusal.value.diagnostics
    assert (found.code, found.node) == (code, node)
    assert found.remedy


@pytest.mark.parametrize("sample", [None, "x", np.zeros(8), np.zeros((0, 8)), [[1], [1, 2]]])
def test_samples_that_do_not_fit_are_refused(sample: Any) -> None:
    with pytest.raises(Refused) as refusal:
        adapters.export(rm.LIF(8), sample)
    assert refusal.value.diagnostics[0].node == "sample"

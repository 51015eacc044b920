"""The floating-point simulator computes what the frameworks compute, spike for spike."""

from __future__ import annotations

import json
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge import Dynamics, Refused, read, simulate_stepped
from tests.conftest import EXAMPLES, GRAPHS

STEPS, SIZE, CHANNELS = 200, 12, 8


@pytest.fixture
def raster() -> Any:
    return (np.random.RandomState(1).rand(STEPS, CHANNELS) < 0.3).astype(np.uint8)


def layer(neuron: nir.NIRNode, weight: Any, recurrent: Any = None) -> nir.NIRGraph:
    """Input → Linear → neuron → Output, with a recurrent Linear on request."""
    nodes = {
        "in": nir.Input(np.array([CHANNELS])),
        "w": nir.Linear(weight),
        "n": neuron,
        "out": nir.Output(np.array([SIZE])),
    }
    edges = [("in", "w"), ("w", "n"), ("n", "out")]
    if recurrent is not None:
        nodes["rec"] = nir.Linear(recurrent)
        edges += [("n", "rec"), ("rec", "n")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def weights(seed: int, out: int = SIZE, inp: int = CHANNELS) -> Any:
    return np.random.RandomState(seed).randn(out, inp).astype(np.float32) * np.float32(0.5)


def cuba(A: float, B: float, threshold: float = 1.0) -> nir.CubaLIF:
    """The neuron i = A·i + x; v = B·v + i in the terms of NIR, at a step of 1 ms."""
    one = np.ones(SIZE)
    dt = 1e-3
    return nir.CubaLIF(
        one * dt / (1 - A), one * dt / (1 - B), one / (1 - B), 0 * one, threshold * one,
        0 * one, one / (1 - A),
    )


def lif(B: float) -> nir.LIF:
    one = np.ones(SIZE)
    return nir.LIF(one * 1e-3 / (1 - B), one / (1 - B), 0 * one, one, 0 * one)


@pytest.mark.parametrize(
    ("mechanism", "delay"), [("subtract", True), ("subtract", False), ("zero", False)]
)
@pytest.mark.parametrize("synapse", [True, False])
def test_equals_snntorch(raster: Any, mechanism: str, delay: bool, synapse: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    snn = pytest.importorskip("snntorch", reason="snntorch is not installed")
    w = weights(0)
    options = {"reset_mechanism": mechanism, "reset_delay": delay, "init_hidden": True}
    cell = snn.Leaky(0.875, **options)
    if synapse:
        cell = snn.Synaptic(alpha=0.75, beta=0.875, **options)
    expected = []
    for row in torch.from_numpy(raster).float():
        expected.append(cell((row @ torch.from_numpy(w).T)[None])[0].detach().numpy())
    how = Dynamics(1e-3)
    if mechanism == "subtract":
        residual = "fires" if delay else "blocks"
        how = Dynamics(1e-3, reset="subtract", reset_delay=int(delay), residual=residual)
    node = cuba(0.75, 0.875) if synapse else lif(0.875)
    found = simulate_stepped(layer(node, w), raster, how, dtype=np.float32)
    assert np.sum(expected) > 50
    np.testing.assert_array_equal(found.output, expected)


@pytest.mark.parametrize("synapse", [True, False])
def test_equals_recurrent_snntorch(raster: Any, synapse: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    snn = pytest.importorskip("snntorch", reason="snntorch is not installed")
    w, v = weights(0), weights(1, SIZE, SIZE)
    options = {"linear_features": SIZE, "init_hidden": True}
    cell: Any = (
        snn.RSynaptic(alpha=0.75, beta=0.875, **options)
        if synapse
        else snn.RLeaky(beta=0.875, **options)
    )
    cell.recurrent = torch.nn.Linear(SIZE, SIZE, bias=False)
    cell.recurrent.weight.data = torch.from_numpy(v)
    expected = []
    with torch.no_grad():
        for row in torch.from_numpy(raster).float():
            expected.append(cell((row @ torch.from_numpy(w).T)[None])[0].numpy())
    how = Dynamics(1e-3, reset="subtract", reset_delay=1)
    node = cuba(0.75, 0.875) if synapse else lif(0.875)
    found = simulate_stepped(layer(node, w, v), raster, how, dtype=np.float32)
    assert np.sum(expected) > 50
    np.testing.assert_array_equal(found.output, expected)


def test_equals_norse(raster: Any) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    norse = pytest.importorskip("norse.torch", reason="norse is not installed")
    w = weights(0)
    parameters = norse.LIFBoxParameters(
        tau_mem_inv=torch.tensor(125.0), v_th=torch.tensor(0.1), v_reset=torch.tensor(0.0)
    )
    cell = norse.LIFBoxCell(parameters, dt=1e-3)
    state, expected = None, []
    for row in torch.from_numpy(raster).float():
        spikes, state = cell(row @ torch.from_numpy(w).T, state)
        expected.append(spikes.detach().numpy())
    one = np.ones(SIZE)
    node = nir.LIF(one / 125, one, 0 * one, 0.1 * one, 0 * one)
    found = simulate_stepped(layer(node, w), raster, Dynamics(1e-3), dtype=np.float32)
    assert np.sum(expected) > 50
    np.testing.assert_array_equal(found.output, expected)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_has_the_accuracy_of_its_manifest(name: str, digits: tuple[Any, Any]) -> None:
    x, y = digits
    manifest = json.loads((GRAPHS / "manifest.json").read_text())
    entry = next(e for e in manifest["graphs"] if e["name"] == name)
    counts = simulate_stepped(read(GRAPHS / entry["file"]), x).output.sum(axis=1)
    assert entry["float_accuracy"] >= 0.9
    assert np.mean(counts.argmax(1) == y) == pytest.approx(entry["float_accuracy"], abs=0.003)


def test_multiple_spikes_leave_the_rest() -> None:
    graph = layer(lif(0.5), np.full((SIZE, CHANNELS), 3.7))
    once = np.zeros((3, CHANNELS), np.uint8)
    once[0, 0] = 1
    how = Dynamics(1e-3, reset="subtract", spikes_per_step=None, comparison=">=")
    found = simulate_stepped(graph, once, how, record=True)
    assert found.output[:, 0].tolist() == [3, 0, 0]
    np.testing.assert_allclose(found.v["n"][:, 0], [0.7, 0.35, 0.175])
    capped = simulate_stepped(graph, once, Dynamics(1e-3, reset="subtract", spikes_per_step=2))
    assert capped.output[:, 0].tolist() == [2, 0, 0]


@pytest.mark.parametrize(("comparison", "spikes"), [(">", 0), (">=", 1)])
def test_comparison_decides_at_the_threshold(comparison: str, spikes: int) -> None:
    graph = layer(lif(0.5), np.eye(SIZE, CHANNELS))
    one = np.ones((1, CHANNELS), np.uint8)
    found = simulate_stepped(graph, one, Dynamics(1e-3, comparison=comparison))
    assert found.output[0, 0] == spikes


def test_layer_delay_shifts_a_deeper_layer() -> None:
    graph = layer(lif(0.5), 2 * np.eye(SIZE, CHANNELS))
    graph.nodes |= {"w2": nir.Linear(2 * np.eye(SIZE)), "n2": lif(0.5)}
    graph.edges[:] = [e for e in graph.edges if e != ("n", "out")]
    graph.edges.extend([("n", "w2"), ("w2", "n2"), ("n2", "out")])
    raster = np.zeros((4, CHANNELS), np.uint8)
    raster[1, 0] = 1
    steps = [
        int(np.argmax(simulate_stepped(graph, raster, Dynamics(1e-3, layer_delay=d)).output[:, 0]))
        for d in (0, 1)
    ]
    assert steps == [1, 2]


def test_delay_node_delays_each_channel_by_its_own() -> None:
    delay = np.arange(CHANNELS) * 1e-3
    nodes = {
        "in": nir.Input(np.array([CHANNELS])),
        "d": nir.Delay(delay),
        "out": nir.Output(np.array([CHANNELS])),
    }
    graph = nir.NIRGraph(nodes, [("in", "d"), ("d", "out")], type_check=False)
    raster = np.zeros((CHANNELS, CHANNELS), np.uint8)
    raster[0] = 1
    np.testing.assert_array_equal(
        simulate_stepped(graph, raster, Dynamics(1e-3)).output, np.eye(CHANNELS)
    )


def test_needs_a_time_step(raster: Any) -> None:
    one = np.ones(SIZE)
    graph = layer(nir.LIF(one, one, 0 * one, one, 0 * one), weights(0))
    with pytest.raises(Refused) as refusal:
        simulate_stepped(graph, raster)
    assert [d.code for d in refusal.value.diagnostics] == ["NB301"]


def test_braille_equals_the_recorded_activity(reference: Any) -> None:
    """The first test sample of the NIR paper's recurrent network; Spyx logs one step late."""
    folder = reference / "braille"
    sample = np.load(folder / "test_sample_0_label_1.npy")
    how = Dynamics(1e-4, reset="subtract")
    rates = []
    for name in ("", "_subgraph"):
        graph = read(folder / f"braille_noDelay_noBias_subtract{name}.nir")
        spikes = simulate_stepped(graph, sample, how).spikes["lif1.lif"]
        rates.append(spikes.mean(axis=0))
    np.testing.assert_array_equal(rates[0], rates[1])
    recorded = {
        name: np.load(folder / f"{name}_activity_noDelay_noBias_subtract.npy").reshape(256, 40)
        for name in ("norse", "spyx", "snntorch")
    }
    np.testing.assert_array_equal(spikes[:-1], recorded["spyx"][1:])
    for name, activity in recorded.items():
        rate = activity.mean(axis=0)
        cosine = rate @ rates[0] / np.linalg.norm(rate) / np.linalg.norm(rates[0])
        assert cosine > 0.99, name


def exponential_cuba(tau_syn: float, tau_mem: float, threshold: float) -> nir.CubaLIF:
    """i = α·(i + x); v = β·v + i, with α = e^(−dt/τ_syn), β = e^(−dt/τ_mem), at 1 ms."""
    one, dt = np.ones(SIZE), 1e-3
    a, b = np.exp(-dt / tau_syn), np.exp(-dt / tau_mem)
    return nir.CubaLIF(
        tau_syn * one, tau_mem * one, one / (1 - b), 0 * one, threshold * one, 0 * one,
        one * a / (1 - a),
    )


@pytest.mark.parametrize("recurrent", [False, True])
def test_equals_rockpool(raster: Any, recurrent: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    modules = pytest.importorskip("rockpool.nn.modules", reason="rockpool is not installed")
    w, v = weights(0), weights(1, SIZE, SIZE) * np.float32(0.1)
    cell = modules.LIFTorch(
        (SIZE, SIZE), tau_mem=0.02, tau_syn=0.01, threshold=1.0, bias=0.0, dt=1e-3,
        has_rec=recurrent, w_rec=torch.from_numpy(v.T.copy()) if recurrent else None,
    )
    with torch.no_grad():
        expected = cell(torch.from_numpy(raster).float()[None] @ torch.from_numpy(w).T)[0][0]
    how = Dynamics(
        1e-3, scheme="exponential", reset="subtract", spikes_per_step=None, comparison=">="
    )
    graph = layer(exponential_cuba(0.01, 0.02, 1.0), w, v if recurrent else None)
    found = simulate_stepped(graph, raster, how, dtype=np.float32)
    assert expected.sum() > 50
    # float32 rounds factors that are no binary fractions: a spike may move over the threshold
    assert np.mean(found.output != expected.numpy()) < (0.02 if recurrent else 1e-3)


def test_equals_spikingjelly(raster: Any) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    neuron = pytest.importorskip(
        "spikingjelly.activation_based.neuron", reason="spikingjelly is not installed"
    )
    w = weights(0)
    cell = neuron.LIFNode(tau=8.0, v_threshold=0.25, v_reset=0.0, decay_input=True)
    with torch.no_grad():
        expected = [
            cell((row @ torch.from_numpy(w).T)[None])[0].numpy()
            for row in torch.from_numpy(raster).float()
        ]
    one = np.ones(SIZE)
    node = nir.LIF(8e-3 * one, one, 0 * one, 0.25 * one, 0 * one)
    how = Dynamics(1e-3, comparison=">=")
    found = simulate_stepped(layer(node, w), raster, how, dtype=np.float32)
    assert np.sum(expected) > 50
    np.testing.assert_array_equal(found.output, expected)


def test_equals_spyx_but_for_its_lag(raster: Any) -> None:
    """Spyx spikes on the membrane of the step before: the same train, one step later."""
    pytest.importorskip("jax", reason="jax is not installed")
    spyx = pytest.importorskip("spyx.nn", reason="spyx is not installed")
    import jax.numpy as jnp
    from flax import nnx

    w = weights(0)
    cell = spyx.LIF((SIZE,), beta=0.875, threshold=1.0, rngs=nnx.Rngs(0))
    state, expected = jnp.zeros((1, SIZE)), []
    for row in raster.astype(np.float32) @ w.T:
        spikes, state = cell(jnp.asarray(row)[None], state)
        expected.append(np.asarray(spikes)[0])
    how = Dynamics(1e-3, reset="subtract", reset_delay=1)
    found = simulate_stepped(layer(lif(0.875), w), raster, how, dtype=np.float32)
    assert np.sum(expected) > 50
    np.testing.assert_array_equal(found.output[:-1], expected[1:])


def test_equals_sinabs(raster: Any) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    layers = pytest.importorskip("sinabs.layers", reason="sinabs is not installed")
    w = weights(0)
    cell = layers.LIF(tau_mem=8.0, spike_threshold=0.25, norm_input=True)
    with torch.no_grad():
        expected = cell((torch.from_numpy(raster).float() @ torch.from_numpy(w).T)[None])[0].numpy()
    one = np.ones(SIZE)
    node = nir.LIF(8e-3 * one, one, 0 * one, 0.25 * one, 0 * one)
    how = Dynamics(
        1e-3, scheme="exponential", reset="subtract", spikes_per_step=None, comparison=">="
    )
    found = simulate_stepped(layer(node, w), raster, how, dtype=np.float32)
    assert expected.sum() > 50
    np.testing.assert_array_equal(found.output, expected)


def test_output_lag_shifts_the_output_alone(raster: Any) -> None:
    graph = layer(lif(0.5), weights(0))
    plain = simulate_stepped(graph, raster, Dynamics(1e-3))
    late = simulate_stepped(graph, raster, Dynamics(1e-3, output_lag=1))
    np.testing.assert_array_equal(late.output[1:], plain.output[:-1])
    assert not late.output[0].any()
    np.testing.assert_array_equal(late.spikes["n"], plain.spikes["n"])


def test_membrane_first_reads_the_current_of_the_step_before(raster: Any) -> None:
    graph = layer(cuba(0.5, 0.5), weights(0))
    plain = simulate_stepped(graph, raster, Dynamics(1e-3))
    late = simulate_stepped(graph, raster, Dynamics(1e-3, order="membrane first"))
    np.testing.assert_array_equal(late.output[1:], plain.output[:-1])


def test_recurrent_delay_of_several_steps(raster: Any) -> None:
    """A self-connection that takes three steps, against a loop written out."""
    w, v = weights(0), weights(1, SIZE, SIZE)
    found = simulate_stepped(layer(lif(0.5), w, v), raster, Dynamics(1e-3, recurrent_delay=3))
    membrane, spikes = np.zeros(SIZE), [np.zeros(SIZE)] * 3
    for x, row in zip(raster @ w.T.astype(float), found.output, strict=True):
        membrane = 0.5 * membrane + x + v.astype(float) @ spikes[-3]
        spikes.append((membrane > 1).astype(float))
        membrane = np.where(membrane > 1, 0, membrane)
        np.testing.assert_array_equal(row, spikes[-1])

"""The main job: convert, simulate, check, save, load; on the examples and the paper's graphs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirbridge
from nirbridge import Dynamics, Refused, convert, read, simulate_stepped
from nirbridge.graph.verify import verify
from nirbridge.mapping.lift import chip_dynamics
from nirbridge.mapping.place import place
from nirbridge.passes import lower
from nirbridge.targets import XYLO_AUDIO_2, ChipSpec, Limit
from tests.conftest import EXAMPLES, GRAPHS
from tests.test_stepped import SIZE, cuba, layer, weights

# Decisions that the chip shares with the trained network. Plain rounding is known to break the
# recurrent network (51 % were measured); 3.5 of the 6 % of the convolutional one are lost to the
# reset, which the chip can only subtract.
AGREES = {
    "digits_conv": {"global": 0.92, "channel": 0.92, "fit": 0.93},
    "digits_cuba": {"global": 0.97, "channel": 0.97, "fit": 0.99},
    "digits_lif": {"global": 0.96, "channel": 0.96, "fit": 0.96},
    "digits_recurrent": {"global": 0.45, "channel": 0.45, "fit": 0.93},
}


def codes(refusal: pytest.ExceptionInfo[Refused]) -> list[str]:
    return [d.code for d in refusal.value.diagnostics]


@pytest.mark.parametrize("method", ["global", "channel", "fit"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_example_converts_and_fits(name: str, method: str, digits: tuple[Any, Any]) -> None:
    x, y = digits
    result = convert(read(GRAPHS / f"{name}.nir"), method=method)
    assert result.config.violations() == []
    assert verify(result.lowered) == []
    assert verify(result.deployed) == []
    drift = result.check(x, y)
    assert drift.samples == len(x)
    assert drift.accuracy == pytest.approx(
        np.mean(aligned_counts(result, x).argmax(axis=1) == y)
    )
    assert drift.trained_accuracy is not None
    assert sum(r.loss for r in drift.rungs) == pytest.approx(1 - drift.agreement)
    assert drift.agreement > AGREES[name][method]


def aligned_counts(result: nirbridge.Deployment, x: Any) -> Any:
    """Output counts of the chip over the steps that answer the raster."""
    late = result.placement.outputs[0].latency
    silence = np.zeros((len(x), late, x.shape[2]), x.dtype)
    output = result.simulate(np.concatenate([x, silence], axis=1)).output
    return output[:, late:].sum(axis=1)


@pytest.mark.parametrize("name", EXAMPLES)
def test_deployed_graph_is_the_chip_without_rounding(name: str, digits: tuple[Any, Any]) -> None:
    """Saturation and the linear floor are the only difference, so most spikes agree."""
    result = convert(read(GRAPHS / f"{name}.nir"))
    drift = result.check(digits[0][:100])
    rows = zip(drift.rung("rounded").populations, drift.rung("chip").populations, strict=True)
    for lifted, chip in rows:
        assert chip.spikes == pytest.approx(lifted.spikes, rel=0.1)
    assert Dynamics.of(result.deployed) == chip_dynamics(result.config.dt)


def test_lift_is_exact_where_no_floor_acts() -> None:
    """Thresholds and weights that are powers of two times 2^6: decays lose no fraction."""
    graph = layer(cuba(0.5, 0.5), np.eye(SIZE, 8) * 2)
    nodes = {**graph.nodes, "w2": nir.Linear(np.eye(8, SIZE) * 2)}
    small = np.ones(8)
    nodes["n2"] = nir.CubaLIF(2e-3 * small, 2e-3 * small, 2 * small, 0 * small, small, 0 * small,
                              2 * small)
    nodes["out"] = nir.Output(np.array([8]))
    edges = [("in", "w"), ("w", "n"), ("n", "w2"), ("w2", "n2"), ("n2", "out")]
    result = convert(nir.NIRGraph(nodes, edges, type_check=False), dt=1e-3, reset="subtract")
    raster = np.zeros((6, 8), np.uint8)
    raster[0] = 1
    chip = result.simulate(raster, record=True)
    lifted = simulate_stepped(result.deployed, raster)
    assert chip.spikes is not None
    np.testing.assert_array_equal(chip.spikes[:3], lifted.spikes["n"][:3])


def test_save_and_load(tmp_path: Path, digits: tuple[Any, Any]) -> None:
    x, y = digits
    result = convert(read(GRAPHS / "digits_lif.nir"), calibration=x[:20])
    result.save(tmp_path / "out")
    again = nirbridge.load(tmp_path / "out")
    assert again.config == result.config
    assert again.journal == result.journal
    assert again.placement == result.placement
    assert again.check(x[:30], y[:30]).to_dict() == result.check(x[:30], y[:30]).to_dict()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    with pytest.raises(Refused) as refusal:
        result.save(tmp_path / "out")
    assert codes(refusal) == ["NB805"]
    result.save(tmp_path / "out", force=True)


@pytest.mark.parametrize("name", EXAMPLES)
def test_lowering_what_was_lifted_gives_the_same_integers(name: str) -> None:
    result = convert(read(GRAPHS / f"{name}.nir"))
    assert convert(result.deployed).config == result.config


def test_every_stage_opens_with_plain_nir(tmp_path: Path) -> None:
    convert(read(GRAPHS / "digits_cuba.nir")).save(tmp_path / "out")
    for stage in ("source", "lowered", "shifted", "deployed"):
        graph = nir.read(str(tmp_path / "out" / f"{stage}.nir"))
        assert {"input", "output"} <= set(graph.nodes)


def test_convert_leaves_the_graph_alone() -> None:
    graph = read(GRAPHS / "digits_lif.nir")
    before = {
        (name, key): np.array(value)
        for name, node in graph.nodes.items()
        for key, value in vars(node).items()
        if isinstance(value, np.ndarray)
    }
    convert(graph)
    for (name, key), value in before.items():
        np.testing.assert_array_equal(getattr(graph.nodes[name], key), value)


def test_journal_names_the_users_nodes() -> None:
    result = convert(read(GRAPHS / "digits_lif.nir"))
    named = {note.node for note in result.journal} - {""}
    assert all(n.split(".relay")[0] in result.source.nodes for n in named)
    assert any(note.stage == "synapse" for note in result.journal)


def test_convert_arguments_override_the_record() -> None:
    graph = read(GRAPHS / "digits_recurrent.nir")
    assert convert(graph).config.dt == 1e-4
    result = convert(graph, dynamics=Dynamics(1e-4, reset="value"))
    assert result.dynamics.reset == "value"


def test_refuses_what_does_not_fit_with_its_layers() -> None:
    def big(n: int) -> nir.CubaLIF:
        one = np.ones(n)
        return nir.CubaLIF(one * 4e-3, one * 8e-3, one, 0 * one, one, 0 * one, one)

    nodes = {
        "in": nir.Input(np.array([20])), "w1": nir.Linear(np.ones((700, 20))), "a": big(700),
        "w2": nir.Linear(np.ones((400, 700))), "b": big(400),
        "w3": nir.Linear(np.ones((9, 400))), "c": big(9), "out": nir.Output(np.array([9])),
    }
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)
    with pytest.raises(Refused) as refusal:
        convert(graph, dt=1e-3)
    assert codes(refusal) == ["NB601", "NB602", "NB603"]
    assert refusal.value.diagnostics[1].found == "1100 = a (700) + b (400)"


def test_refuses_dense_recurrence_by_fan_out_and_entries() -> None:
    rng = np.random.default_rng(0)
    graph = layer(cuba(0.75, 0.9), weights(0))
    one = np.ones(200)
    nodes = {
        "in": nir.Input(np.array([8])), "w": nir.Linear(rng.normal(size=(200, 8))),
        "h": nir.CubaLIF(one * 4e-3, one * 8e-3, one, 0 * one, one, 0 * one, one),
        "rec": nir.Linear(rng.normal(size=(200, 200))),
        "w2": nir.Linear(rng.normal(size=(SIZE - 4, 200))),
        "o": nir.CubaLIF(*(one[:8] * k for k in (4e-3, 8e-3, 1, 0, 1, 0, 1))),
        "out": nir.Output(np.array([8])),
    }
    edges = [("in", "w"), ("w", "h"), ("h", "rec"), ("rec", "h"), ("h", "w2"), ("w2", "o"),
             ("o", "out")]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    with pytest.raises(Refused) as refusal:
        convert(graph, dt=1e-3)
    assert codes(refusal) == ["NB604", "NB605"]
    assert refusal.value.diagnostics[0].node.startswith("h[")
    assert refusal.value.diagnostics[1].found == "40000, 8000 too many: 40000 in h"


def test_an_invented_chip_is_only_data() -> None:
    """A chip without biases and with other sizes: nothing elsewhere knows the Xylo's numbers."""
    def limit(value: int) -> Limit:
        return Limit(value, "things", "invented", "assumed")

    tiny = ChipSpec("tiny", "Tiny", limit(16), limit(63), limit(8), limit(1), limit(63),
                    limit(63 * 63), limit(0), limit(0), limit(63), limit(63))
    graph = read(GRAPHS / "digits_recurrent.nir")
    result = convert(graph, target=tiny)
    assert result.config.target == "tiny"
    smaller = ChipSpec(**{**vars(tiny), "hidden": limit(62)})
    with pytest.raises(Refused) as refusal:
        convert(graph, target=smaller)
    assert codes(refusal) == ["NB602"]
    biased = read(GRAPHS / "digits_lif.nir")
    with pytest.raises(Refused) as refusal:
        convert(biased, target=ChipSpec(**{**vars(XYLO_AUDIO_2), "bias_bits": limit(0)}))
    assert codes(refusal) == ["NB601"]  # no channel is left that could carry the biases


def test_placement_orders_layers_and_records_latency() -> None:
    graph = read(GRAPHS / "digits_cuba.nir")
    how = Dynamics.of(graph)
    assert how is not None
    placement = place(lower(graph, how), XYLO_AUDIO_2).placement
    assert [(p.name, p.first, p.size, p.latency) for p in placement.hidden] == [
        ("lif1", 0, 60, 0),
        ("lif2", 60, 60, 1),
    ]
    assert [(p.name, p.latency) for p in placement.outputs] == [("lif3", 2)]


def test_reference_graphs_convert_or_are_refused_rightly(reference: Path) -> None:
    for name in ("", "_subgraph"):
        path = reference / "braille" / f"braille_noDelay_noBias_subtract{name}.nir"
        result = convert(read(path), reset="subtract")
        assert (result.config.n_in, result.config.n_hidden, result.config.n_out) == (12, 40, 7)
    with pytest.raises(Refused) as refusal:
        convert(read(reference / "cnn" / "cnn_sinabs.nir"))
    assert codes(refusal) == ["NB601", "NB602", "NB603"]
    assert "8960" in refusal.value.diagnostics[1].found


def test_biases_that_do_not_fit_take_an_input_channel() -> None:
    """On a chip without biases, a hidden bias becomes a channel that always spikes."""
    one = np.ones(4)
    nodes = {
        "in": nir.Input(np.array([2])),
        "w": nir.Affine(np.ones((4, 2)), np.array([0.1, 0.2, 0.6, 1.5])),
        "h": nir.CubaLIF(*(one * k for k in (4e-3, 8e-3, 8, 0, 1, 0, 4))),
        "w2": nir.Linear(np.ones((2, 4))),
        "o": nir.CubaLIF(*(one[:2] * k for k in (4e-3, 8e-3, 8, 0, 1, 0, 4))),
        "out": nir.Output(np.array([2])),
    }
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)
    none = Limit(0, "bits per bias", "invented")
    bare = ChipSpec(**{**vars(XYLO_AUDIO_2), "bias_bits": none})
    result = convert(graph, target=bare, dt=1e-3, reset="subtract", spikes_per_step=None)
    assert (result.n_in, result.config.n_in) == (2, 3)
    assert not result.config.bias.any()
    silence = np.zeros((200, 2), np.uint8)
    recording = result.simulate(silence, record=True)
    assert recording.spikes is not None
    wanted = simulate_stepped(graph, silence, result.dynamics).spikes["h"].sum(axis=0)
    np.testing.assert_allclose(recording.spikes.sum(axis=0), wanted, rtol=0.1, atol=2)
    assert wanted[3] > 20
    assert result.check(silence).rung("chip").agreement == 1
    full = ChipSpec(**{**vars(bare), "inputs": Limit(2, "input channels", "invented")})
    with pytest.raises(Refused) as refusal:
        convert(graph, target=full, dt=1e-3, reset="subtract")
    assert codes(refusal) == ["NB601"]


@pytest.mark.parametrize("kind", ["LI", "CubaLI", "Linear"])
def test_outputs_read_by_their_membranes(kind: str) -> None:
    """A readout in volts follows the float network's within a few per cent of its range."""
    rng = np.random.default_rng(0)
    one = np.ones(12)
    last: dict[str, nir.NIRNode] = {
        "LI": nir.LI(*(one[:3] * k for k in (16e-3, 1, 0))),
        "CubaLI": nir.CubaLI(*(one[:3] * k for k in (4e-3, 16e-3, 1, 0, 1))),
    }
    nodes = {
        "in": nir.Input(np.array([4])),
        "w": nir.Linear(rng.normal(0.2, 0.4, (12, 4))),
        "h": nir.CubaLIF(*(one * k for k in (4e-3, 8e-3, 8, 0, 1, 0, 4))),
        "w2": nir.Linear(rng.normal(0, 1, (3, 12))),
    }
    if kind in last:
        nodes["o"] = last[kind]
    nodes["out"] = nir.Output(np.array([3]))
    graph = nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False)
    how = Dynamics(1e-3, reset="subtract", spikes_per_step=None, comparison=">=")
    result = convert(graph, dynamics=how)
    raster = (rng.random((5, 120, 4)) < 0.3).astype(np.uint8)
    late = result.placement.outputs[0].latency
    padded = np.pad(raster, ((0, 0), (0, late), (0, 0)))
    recording = result.simulate(padded, record=True)
    volts = result.decode(recording)["out"][:, late:]
    wanted = simulate_stepped(graph, raster, how).outputs["out"]
    assert recording.output.sum() == 0
    # the hidden spikes differ in time; their charge does not
    error = np.abs(volts.mean(axis=1) - wanted.mean(axis=1)).mean()
    assert error < 0.15 * np.abs(wanted.mean(axis=1)).mean()
    lifted = simulate_stepped(result.deployed, padded).outputs["out"][:, late:]
    error = np.abs(volts.mean(axis=1) - lifted.mean(axis=1)).mean()
    assert error < 0.1 * np.abs(lifted.mean(axis=1)).mean()
    with pytest.raises(ValueError, match="record=True"):
        result.decode(result.simulate(padded))
    assert convert(result.deployed).config == result.config

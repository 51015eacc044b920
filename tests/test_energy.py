"""Cycles, activity, power: against known answers, the vendor's functions and published logs."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirbridge import Refused, XyloConfig, convert, read, simulate
from nirbridge.energy import (
    cycles,
    estimate,
    estimate_power,
    measure,
    slowest_clock,
    utilisation,
)
from nirbridge.energy.cycles import busiest
from nirbridge.targets import XYLO_AUDIO_2
from nirbridge.targets.power import BRAILLE_CYCLES, POWER, ChipPower, Figure, power
from tests.conftest import GRAPHS
from tests.deployments import coarse, task
from tests.test_cli import Command
from tests.test_cli import nirbridge as nirbridge  # the fixture

AUDIO_2, IMU = POWER["xylo-audio-2"], POWER["xylo-imu"]


def config_of(
    weights_in: Any, weights_rec: Any, weights_out: Any, aliases: Any = None, dt: float = 1e-3
) -> XyloConfig:
    """A configuration with these weights; 2-D ones sit on the first synapse."""
    both = [np.asarray(w, np.int8) for w in (weights_in, weights_rec)]
    both = [np.stack([w, 0 * w], axis=2) if w.ndim == 2 else w for w in both]
    n, n_out = np.shape(weights_out)
    ones, ones_out = np.ones(n, np.int64), np.ones(n_out, np.int64)
    return XyloConfig(
        weights_in=both[0],
        weights_rec=both[1],
        weights_out=np.asarray(weights_out, np.int8),
        dash_mem=2 * ones,
        dash_syn=2 * ones,
        dash_syn_2=2 * ones,
        dash_mem_out=2 * ones_out,
        dash_syn_out=2 * ones_out,
        threshold=np.full(n, 40, np.int16),
        threshold_out=np.full(n_out, 40, np.int16),
        bias=0 * ones,
        bias_out=0 * ones_out,
        aliases=-ones if aliases is None else aliases,
        dt=dt,
    )


def layered(*sizes: int, fan_out: int | None = None) -> XyloConfig:
    """Fully connected layers; with ``fan_out`` one hidden layer that is recurrent so far."""
    n = sum(sizes[1:-1])
    first, last = sizes[1], sizes[-2]
    w_in, w_rec, w_out = np.zeros((sizes[0], n)), np.zeros((n, n)), np.zeros((n, sizes[-1]))
    w_in[:, :first] = 1
    w_out[n - last :] = 1
    start = 0
    for size, following in pairwise(sizes[1:-1]):
        w_rec[start : start + size, start + size : start + size + following] = 1
        start += size
    if fan_out is not None:
        w_rec[:, :fan_out] = 1
    return config_of(w_in, w_rec, w_out)


# --- cycles ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "worst", "busy", "clock"),
    [
        (layered(16, 63, 8, fan_out=63), 37_093, 5_058, 44.5),
        (layered(16, 63, 63, 63, 8), 83_272, 12_170, None),
        (layered(16, 1000, 8, fan_out=32), 370_112, 56_912, 444),
        (layered(16, 60, 2), 5_920, None, 7.1),
    ],
    ids=["recurrent", "three layers", "1000 neurons", "SynNet"],
)
def test_documented_cycles(
    config: XyloConfig, worst: int, busy: int | None, clock: float | None
) -> None:
    """Of a step in which all spike, and at p = 0.1; MHz at 1 ms."""
    found = cycles(config, AUDIO_2)
    assert found.total == pytest.approx(worst, abs=0.5)
    if busy is not None:
        assert cycles(config, AUDIO_2, 0.1, 0.1).total == pytest.approx(busy, abs=0.5)
    if clock is not None:
        assert slowest_clock(found.total, 1e-3) / 1e6 == pytest.approx(clock, rel=0.002)


def test_synnet_at_its_activity() -> None:
    """networks.md, section 4: inputs at .1, hidden neurons at .05."""
    assert cycles(layered(16, 60, 2), AUDIO_2, 0.1, 0.05).total == pytest.approx(1756, abs=0.5)


def test_means_of_the_parts_are_exact() -> None:
    """Who spikes matters: a neuron with targets costs more than one without."""
    config = layered(4, 3, 3, 2)
    first = cycles(config, AUDIO_2, 0, np.array([1.0, 1, 1, 0, 0, 0]))
    last = cycles(config, AUDIO_2, 0, np.array([0.0, 0, 0, 1, 1, 1]))
    assert (first.recurrent, last.recurrent) == (3 * 6 + 7 * 9, 3 * 6)
    assert cycles(config, IMU, 0, np.array([1.0, 1, 1, 0, 0, 0])).output == 0
    assert cycles(config, IMU).input == 4 * (1 + 3.5 * 3)
    assert cycles(config, AUDIO_2).input == 4 * (1 + 3.5 * 6)


def random_config(rng: np.random.Generator, synapses: int) -> XyloConfig:
    n_in, n, n_out = rng.integers(1, [17, 40, 9])
    share = rng.random()

    def weights(*shape: int) -> Any:
        return rng.integers(-3, 4, shape) * (rng.random(shape) < share)

    w_in, w_rec = weights(n_in, n, 2), weights(n, n, 2)
    if synapses == 1 or rng.random() < 0.5:
        w_in[:, :, 1] = w_rec[:, :, 1] = 0
    aliases = np.full(n, -1)
    chosen = rng.random(n) < rng.choice([0, 0.2, 0.8])
    aliases[chosen] = rng.integers(0, n, chosen.sum())
    return config_of(w_in, w_rec, weights(n, n_out), aliases)


class Anything(types.ModuleType):
    """A stand-in for the vendor's library: every name is there and does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name)


def vendor(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Rockpool's cycle model of a chip, which asks for the vendor's library when imported."""
    rockpool = pytest.importorskip("rockpool", reason="rockpool is not installed")
    place = Path(rockpool.__file__).parent / "devices" / "xylo" / name / "power_cycles_model.py"
    if not place.is_file():
        pytest.skip(f"this rockpool has no {name}")
    monkeypatch.setitem(sys.modules, "samna", Anything("samna"))
    spec = importlib.util.spec_from_file_location(f"vendor_{name}", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_vendor(config: XyloConfig, chip: ChipPower) -> Any:
    """The fields that Rockpool's cycle models read."""
    neurons = [
        types.SimpleNamespace(alias_target=None if a < 0 else int(a)) for a in config.aliases
    ]
    w_in, w_rec, w_out = config.weights_in, config.weights_rec, config.weights_out
    hidden = types.SimpleNamespace(weights=w_rec[:, :, 0], neurons=neurons)
    outputs = [types.SimpleNamespace(alias_target=None)] * config.n_out
    if not chip.visits_all:
        w_in, w_out = w_in[:, w_in.any(axis=(0, 2))], w_out[w_out.any(axis=1)]
    return types.SimpleNamespace(
        input=types.SimpleNamespace(weights=w_in[:, :, 0]),
        reservoir=hidden,
        hidden=hidden,
        readout=types.SimpleNamespace(weights=w_out, neurons=outputs),
        synapse2_enable=bool(config.weights_in[:, :, 1].any() or w_rec[:, :, 1].any()),
    )


@pytest.mark.parametrize(
    ("name", "chip"), [("syns61201", AUDIO_2), ("syns63300", IMU)], ids=["audio 2", "imu"]
)
def test_as_the_vendors_functions(
    name: str, chip: ChipPower, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = vendor(name, monkeypatch)
    rng = np.random.default_rng(0)
    for _ in range(100):
        config = random_config(rng, synapses=2 if chip is AUDIO_2 else 1)
        theirs = as_vendor(config, chip)
        p_s, p_h = float(rng.random()), float(rng.random())
        found = cycles(config, chip, p_s, p_h)
        expected = module.cycles_model(theirs, p_s, p_h)
        if chip is AUDIO_2:
            expected, second = expected
            assert (found.second_synapse or 0) == pytest.approx(second)
        assert found.total == pytest.approx(expected)
        clock = module.est_clock_freq(theirs, dt=1e-3)
        assert slowest_clock(cycles(config, chip).total, 1e-3) == pytest.approx(clock)


# --- activity --------------------------------------------------------------------------------


def test_activity_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the recording, by hand; the same in pieces."""
    config = coarse().config
    x, _ = task(8)
    recording = simulate(config, x, record=True)
    assert recording.spikes is not None
    found = measure(config, AUDIO_2, x)
    spikes = recording.spikes.astype(int)
    assert np.allclose(found.hidden, (spikes > 0).mean(axis=(0, 1)))
    assert np.allclose(found.hidden_spikes, spikes.mean(axis=(0, 1)))
    assert np.allclose(found.inputs, (x > 0).mean(axis=(0, 1)))
    assert np.allclose(found.outputs, recording.output.mean(axis=(0, 1)))
    assert 0 < found.sparsity < 1
    operations, most = 0, 0.0
    for sample, hidden in zip(x, spikes, strict=True):
        before = np.zeros(config.n_hidden)
        for row, after in zip(sample, hidden, strict=True):
            operations += np.count_nonzero(config.weights_in[row > 0])
            operations += np.count_nonzero(config.weights_rec[after > 0])
            operations += np.count_nonzero(config.weights_out[after > 0])
            step = cycles(config, AUDIO_2, (row > 0).astype(float), (before > 0).astype(float))
            most, before = max(most, step.total), after
    assert found.operations * x.shape[0] * x.shape[1] == pytest.approx(operations)
    assert found.busiest.total == pytest.approx(most)
    monkeypatch.setattr("nirbridge.energy.activity._PIECE", 8 * 19 * 5)
    again = measure(config, AUDIO_2, x)
    assert json.dumps(again.to_dict()) == json.dumps(found.to_dict())
    assert again.busiest == found.busiest


def test_the_busiest_step() -> None:
    config = layered(2, 2, 2, fan_out=1)
    none, all_in, all_hidden = np.zeros((1, 2)), np.ones((1, 2)), np.ones((1, 2))
    rows = busiest(config, AUDIO_2, np.vstack([none, all_in]), np.vstack([all_hidden, none]))
    assert rows == cycles(config, AUDIO_2, 0, 1)


def test_silence_costs_the_least() -> None:
    config = coarse().config
    found = estimate(config, np.zeros((5, config.n_in), np.uint8))
    assert found.activity.mean == found.activity.busiest == cycles(config, AUDIO_2, 0, 0)
    assert found.operations_per_second == 0
    assert found.activity.sparsity == 1


@pytest.mark.parametrize("shape", [(0, 4), (0, 3, 4), (2, 0, 4)])
def test_no_step_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Refused) as refused:
        estimate(coarse().config, np.zeros(shape, np.uint8))
    assert refused.value.diagnostics[0].code == "NB801"


# --- use of the chip -------------------------------------------------------------------------


def test_utilisation() -> None:
    found = utilisation(layered(16, 63, 8, fan_out=32), XYLO_AUDIO_2)
    counted = {name: (use.used, use.limit) for name, use in found.items()}
    assert counted["inputs"] == (16, 16)
    assert counted["hidden"] == (63, 1000)
    assert counted["outputs"] == (8, 8)
    assert counted["synapses"] == (1, 2)
    assert counted["fan_out"] == (32, 64)
    assert counted["entries"] == (63 * 32, 32_000)
    assert found["hidden"].share == 0.063


# --- power -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("active", "idle", "rate", "dynamic", "whole", "tolerance"),
    [
        (37.830, 14.969, 770.4, 29.674e-3, 49.105e-3, 1e-4),  # GPU
        (28.475, 17.011, 1813.6, 6.321e-3, 15.701e-3, 1e-4),  # CPU
        (4.983, 2.613, 419.0, 5.646e-3, 11.87e-3, 3e-3),  # Jetson: fewer digits
        (507e-6, 216e-6, 291e-6 / 6.6e-6, 6.6e-6, 11e-6, 0.05),  # Xylo Audio 2
    ],
    ids=["GPU", "CPU", "Jetson", "Xylo"],
)
def test_logs_of_other_platforms(
    active: float, idle: float, rate: float, dynamic: float, whole: float, tolerance: float
) -> None:
    """Power in W and J per inference as the keyword-spotting benchmark's raw logs have them.

    A chip that has these two powers published, and spends a cycle of that difference per second.
    """
    figures = (
        Figure("idle power", idle * 1e6, "µW", "the log", "idle"),
        Figure("dynamic energy per cycle", (active - idle) * 1e12, "pJ", "the log", "derived"),
    )
    found = estimate_power(ChipPower(figures=figures), 1.0, rate)
    assert found.dynamic_energy is not None
    assert found.energy is not None
    assert found.dynamic_energy.low == pytest.approx(dynamic, rel=tolerance)
    assert found.energy.high == pytest.approx(whole, rel=tolerance)


def test_the_published_keyword_spotter_is_in_the_range() -> None:
    """A chip that computes in every cycle at 6.25 MHz draws what was published."""
    found = estimate_power(AUDIO_2, 6.25e6, rate=291 / 6.6)
    assert found.dynamic is not None
    assert found.active is not None
    assert found.dynamic_energy is not None
    assert found.energy is not None
    assert found.dynamic.high == pytest.approx(291e-6)
    assert found.active.high == pytest.approx((219 + 291) * 1e-6)
    assert found.dynamic_energy.high == pytest.approx(6.6e-6)
    assert found.active.low < 507e-6 < found.active.high
    assert found.energy.low < 11e-6 < found.energy.high


def test_every_estimate_names_its_sources() -> None:
    for chip in (*POWER.values(), ChipPower()):
        found = estimate_power(chip, 1e6, 1)
        assert found.assumptions
        for figure in found.figures:
            assert figure.source
            assert figure.condition
        assert (found.energy is None) == (not found.figures)
    borrowed = estimate_power(IMU, 1e6, 1)
    assert "as of xylo-audio-2 too: one small example of its own" in borrowed.assumptions[0]
    assert borrowed.per_cycle is not None
    assert borrowed.per_cycle.low == pytest.approx(12.8e-6 / 6.25e6)
    assert borrowed.per_cycle.high == pytest.approx(291e-6 / 6.25e6)
    assert "makes no range" in borrowed.assumptions[-1]


def test_contradicting_figures_make_a_range() -> None:
    """Of Audio 3 an active power was published below an idle one."""
    idle = estimate_power(POWER["xylo-audio-3"], 1e6, 1).idle
    assert idle is not None
    assert (idle.low, idle.high) == pytest.approx((350e-6, 542.9e-6))


def test_a_step_is_charged_for_what_arrives_in_it() -> None:
    """So the mean is below the busiest, however short the raster is."""
    config = coarse().config
    found = estimate(config, np.ones((1, config.n_in), np.uint8)).activity
    assert found.hidden.any()
    assert found.mean == found.busiest == cycles(config, AUDIO_2, 1, 0)


@pytest.mark.parametrize("seed", range(20))
def test_no_step_is_busier_than_the_busiest(seed: int) -> None:
    """Aliases too, whose updates depend on how many spike."""
    rng = np.random.default_rng(seed)
    config = random_config(rng, synapses=2)
    raster = rng.integers(0, 3, (30, config.n_in))
    spikes = simulate(config, raster, record=True).spikes
    assert spikes is not None
    arriving = np.vstack([np.zeros_like(spikes[:1]), spikes[:-1]])
    each = [
        cycles(config, AUDIO_2, (x > 0).astype(float), (h > 0).astype(float)).total
        for x, h in zip(raster, arriving, strict=True)
    ]
    found = measure(config, AUDIO_2, raster)
    assert found.busiest.total == pytest.approx(max(each))
    assert found.mean.total <= max(each) * (1 + 1e-9)


def test_a_clock_that_is_too_slow_is_said() -> None:
    slow, fast = (estimate_power(AUDIO_2, 1e6, 1, clock) for clock in (50e6, 51e6))
    assert "too slow" not in " ".join(slow.assumptions)
    assert "too slow" in fast.assumptions[0]


def test_the_documented_clock() -> None:
    """Of the motion chip's example, whose steps are 5 ms: 757 cycles, 0.18168 MHz."""
    assert slowest_clock(757, 5e-3) == pytest.approx(181_680)


def test_a_chip_without_figures_has_cycles_but_no_estimate() -> None:
    unknown = replace(XYLO_AUDIO_2, name="invented", title="Invented")
    config = coarse().config
    found = estimate(config, np.ones((3, config.n_in), np.uint8), chip=unknown)
    assert found.activity.mean.total > 0
    assert found.default_clock is None
    assert found.power.energy is None
    assert "no estimate" in found.power.assumptions[0]


def test_the_cycles_of_the_braille_network(reference: Path) -> None:
    """The derived figure rests on them; one real sample is there."""
    graph = read(reference / "braille" / "braille_noDelay_noBias_subtract.nir")
    sample = np.load(reference / "braille" / "test_sample_0_label_1.npy")
    config = convert(graph, method="global", reset="subtract").config
    found = estimate(config, sample)
    assert found.activity.mean.total * len(sample) == pytest.approx(BRAILLE_CYCLES, rel=0.01)
    assert power(XYLO_AUDIO_2) is AUDIO_2


# --- the command -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("energy") / "good"
    convert(read(GRAPHS / "refused" / "good.nir")).save(place)
    return place


RASTER = GRAPHS / "refused" / "good.npy"


def test_command(nirbridge: Command, place: Path) -> None:
    done = nirbridge("energy", place, "--input", RASTER)
    assert (done.code, done.err) == (0, "")
    for words in ("Clock cycles per step", "µW", "arXiv 2406.15112", "assumed:", "by default"):
        assert words in done.out
    found = nirbridge("energy", place, "--input", RASTER, "--rate", "20", "--json").json
    steps = ["--steps-per-inference", 1 / (20 * found["dt"])]
    again = nirbridge("energy", place, "--input", RASTER, *steps, "--json").json
    assert found["power"] == again["power"]
    power = found["power"]
    assert power["dynamic_energy"]["low"] == pytest.approx(power["dynamic"]["low"] / 20)
    assert power["active"]["low"] == pytest.approx(216e-6 + power["dynamic"]["low"])
    assert {figure["source"] for figure in power["figures"]}
    assert found["cycles_per_step"]["mean"]["total"] <= found["cycles_per_step"]["worst"]["total"]


@pytest.mark.parametrize("option", ["--rate", "--steps-per-inference"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e-320", "1e300"])
def test_rates_that_are_none(
    nirbridge: Command,
    place: Path,
    option: str,
    value: str,
) -> None:
    done = nirbridge("energy", place, "--input", RASTER, option, value)
    if (option, value) == ("--steps-per-inference", "1e-320"):
        assert "1 to 1e+12 steps" in done.err
    assert (done.code, done.codes) == (3, ["NB806"])


def test_only_one_rate(nirbridge: Command, place: Path) -> None:
    words = ("energy", place, "--input", RASTER, "--rate", "1", "--steps-per-inference", "2")
    assert nirbridge(*words).code == 2


# --- the benchmark ---------------------------------------------------------------------------


def test_the_benchmark_runs(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    from benchmarks import energy

    graphs = tmp_path / "graphs"
    graphs.mkdir()
    (graphs / "digits_cuba.nir").symlink_to(GRAPHS / "digits_cuba.nir")
    with np.load(GRAPHS / "digits.npz") as stored:
        np.savez(graphs / "digits.npz", x=stored["x"][:5])
    monkeypatch.setattr(energy, "GRAPHS", graphs)
    written = tmp_path / "energy.json"
    monkeypatch.setattr(sys, "argv", ["energy", "--json", str(written)])
    energy.main()
    shown = capsys.readouterr().out
    assert "digits_cuba" in shown
    assert "arXiv 2406.15112" in shown
    assert "digits_cuba" in json.loads(written.read_text())["rows"]["estimated"]

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import measure, table
from benchmarks.accuracy.cache import Cache
from benchmarks.accuracy.methods import METHODS
from benchmarks.accuracy.rockpool import dashes
from benchmarks.accuracy.tasks import Data, Task, Trained, digits, xor
from benchmarks.field import synnet
from nirbridge.simulate import simulate_stepped

MACHINE = {"processor": "any", "cores": 1, "python": "3", "versions": {"nir": "1"}}


def digest(data: Data) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in data)).hexdigest()


def test_xor_is_what_it_says_and_the_same_each_time() -> None:
    data = xor.load()
    assert digest(data) == digest(xor.load())
    assert data.x_train.shape == (400, 100, 16)
    assert data.x_test.shape == (200, 100, 16)
    assert data.x_test.max() <= 15
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert y.mean() == 0.5
        halves = [x[:, :, part].any(axis=(1, 2)) for part in (slice(0, 8), slice(8, 16))]
        np.testing.assert_array_equal(y, halves[0] & halves[1])


def test_digits_are_those_of_the_committed_graphs() -> None:
    pytest.importorskip("sklearn")
    data = digits.load()
    assert digest(data) == digest(digits.load())
    with np.load(Path(digits.MAKE).parent / "digits.npz") as stored:
        np.testing.assert_array_equal(data.x_test, stored["x"])
        np.testing.assert_array_equal(data.y_test, stored["y"])


def test_spikes_of_the_filter_bank_are_charges_that_fill_up() -> None:
    pytest.importorskip("scipy")
    from benchmarks.accuracy.tasks import filterbank

    time = np.arange(22050) / 22050
    centres = np.geomspace(filterbank.LOWEST, filterbank.HIGHEST, filterbank.CHANNELS)
    sound = np.sin(2 * np.pi * centres[[2, 9]][:, None] * time)
    levels = filterbank.envelopes(sound, 22050)
    assert levels.mean(axis=1).argmax(axis=1).tolist() == [2, 9]
    counts = filterbank.spikes(levels, np.full(filterbank.CHANNELS, 3.0))
    np.testing.assert_array_equal(counts.sum(axis=1), np.floor(3 * levels.sum(axis=1)))


@pytest.fixture
def task() -> Task:
    rng = np.random.default_rng(0)

    def load() -> Data:
        x = rng.integers(0, 3, (20, 30, 16)).astype(np.uint8)
        y = rng.integers(0, 2, 20)
        return Data(x[:10], y[:10], x[10:], y[10:])

    def train(seed: int, data: Data) -> Trained:
        graph = synnet((6, 6), (2, 2), outputs=2, seed=seed)
        output = simulate_stepped(graph, data.x_test).output
        return Trained(graph, float(np.mean(output.sum(1).argmax(1) == data.y_test)))

    return Task("tiny", "made up", load, train)


def rows(task: Task, cache: Cache, *names: str) -> list[measure.Row]:
    found: list[measure.Row] = []
    for method in (m for m in METHODS if m.name in names):
        for seed in (1, 2):
            made = method.make(cache.network(task, seed), cache.data(task), seed)
            found.append(measure.row(task, method, seed, made, 0.5, 10.0, cache))
    return found


def test_a_network_is_trained_once_and_measured(task: Task, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    found = rows(task, cache, "channel", "fit")
    page = table.page(found, ["channel", "fit", "finetune"], {"tiny": "made up"}, {}, MACHINE)
    assert "| tiny | made up |" in page
    assert f"| tiny | {table.spread([100 * r.trained for r in found[:2]])} |" in page
    for row in found:
        assert sum(row.losses.values()) == pytest.approx(1 - row.agreement)
    before = (tmp_path / "tiny" / "seed1.nir").stat().st_mtime_ns
    cache.network(task, 1)
    assert (tmp_path / "tiny" / "seed1.nir").stat().st_mtime_ns == before


def test_a_graph_that_is_not_the_trained_model_is_refused(task: Task, tmp_path: Path) -> None:
    def wrong(seed: int, data: Data) -> Trained:
        made = task.train(seed, data)
        return Trained(made.graph, 1 - made.accuracy + 0.05)

    other = Task("tiny", "made up", task.load, wrong)
    with pytest.raises(AssertionError, match="as trained"):
        Cache(tmp_path).network(other, 1)
    assert not (tmp_path / "tiny" / "seed1.nir").exists()


def row(method: str, seed: int, chip: float) -> measure.Row:
    losses = {"lowered": 0.0, "reset": 0.02, "decays": 0.01, "rounded": 0.0, "chip": 0.0}
    return measure.Row("tiny", method, seed, 0.9, chip, 0.97, losses, 1.0, 0.1, 1.0)


def test_aims_say_what_is_reached_and_what_holds_the_rest() -> None:
    found = [row("fit", 1, 0.88), row("fit", 2, 0.89), row("calibrate", 1, 0.87)]
    lines = table.aims(found).splitlines()[2:]
    assert lines == [
        "| tiny | fit | -3 | -1.50 | yes |  |",
        "| tiny | calibrate | -1 | -3.00 | no | reset, spikes per step (2.0) |",
        "| tiny | finetune | 0 | - | - | - |",
    ]
    assert table.spread([1.0, 3.0]) == "2.0 ± 1.4"
    assert table.spread([]) == "-"


def test_decays_as_rockpool_writes_them() -> None:
    tau = np.array([2.0, 8.0, 5.7, 0.2])
    found = dashes(np.exp(-1 / tau), 1)
    np.testing.assert_allclose(found, [1, 3, np.log2(5.7), 1])

"""One network on every simulator: what they say, and what becomes of those that fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge import Dynamics, Input, Refused, adapters, read, simulate_stepped, write
from nirbridge import bench as run
from nirbridge.bench import Bench, Result, names, pool, random_inputs
from nirbridge.bench.job import Job
from nirbridge.bench.picture import heat_map, number
from nirbridge.bench.pool import run_job, run_local
from nirbridge.optional import installed
from tests.conftest import GRAPHS, ROOT, hear_interruptions, interrupted
from tests.test_cli import Command, left
from tests.test_cli import nirbridge as nirbridge  # the fixture

GOOD = GRAPHS / "refused" / "good.nir"
RASTER = GRAPHS / "refused" / "good.npy"

# Packages that take the place of frameworks: one that hangs, one that leaves, one that crashes,
# one that raises, one that is not there.
FAKES = {
    "torch/__init__.py": "print('noise on stdout')",
    "norse/torch/__init__.py": "import os, time, pathlib\n"
    "pathlib.Path(os.environ['MARK']).write_text(str(os.getpid()))\ntime.sleep(600)",
    "sinabs/layers/__init__.py": "import os\nprint('leaving', flush=True)\nos._exit(7)",
    "spikingjelly/activation_based/neuron.py": "import ctypes\nctypes.string_at(0)",
    "rockpool/nn/modules/__init__.py": "raise RuntimeError('broken\\nbuild')",
    "snntorch/__init__.py": "raise ImportError('no such package')",
}


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the fakes; where the one that hangs writes the id of its process."""
    for name, content in FAKES.items():
        path = tmp_path / "fakes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for folder in (tmp_path / "fakes").rglob("*"):
        if folder.is_dir():
            (folder / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "fakes"), str(ROOT)]))
    mark = tmp_path / "mark"
    monkeypatch.setenv("MARK", str(mark))
    return mark


@pytest.fixture(scope="module")
def graph() -> Any:
    """A small network of CubaLIF that the chip can hold; loud enough for outputs to spike."""
    found, rng = read(GOOD), np.random.default_rng(0)
    for name in ("w1", "w2"):
        found.nodes[name].weight = rng.uniform(2, 10, found.nodes[name].weight.shape)
    return found


@pytest.fixture(scope="module")
def spikes() -> Any:
    return random_inputs(2, 0.5, 30, samples=3)[0].raster


def wait_for(condition: Any, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and ") Z " in stat.read_text())


# --- processes -------------------------------------------------------------------------------


def test_failures_are_rows_and_the_others_go_on(fakes: Path, graph: Any, spikes: Any) -> None:
    on = ["norse", "sinabs", "spikingjelly", "rockpool", "snntorch", "continuous"]
    start = time.monotonic()
    found = run(graph, spikes, on=on, timeout=8, jobs=6, repeat=1)
    assert 8 <= time.monotonic() - start < 30
    rows = {row.simulator: row for row in found.rows}
    assert [row.simulator for row in found.rows] == on
    status = {name: row.status for name, row in rows.items()}
    assert status == {
        "norse": "time-out", "sinabs": "crashed", "spikingjelly": "crashed", "rockpool": "failed",
        "snntorch": "not installed", "continuous": "ran",
    }  # fmt: skip
    assert rows["norse"].error == "stopped after 8 s"
    assert rows["sinabs"].error == "exit code 7: leaving"
    if sys.platform == "linux":
        assert "SIGSEGV" in rows["spikingjelly"].error
    assert rows["rockpool"].error == "RuntimeError: broken build"
    assert "pip install" in rows["snntorch"].error
    assert found.cosines == {"continuous": {"continuous": 1.0}}
    assert not alive(int(fakes.read_text()))
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.usefixtures("fakes")
def test_the_rest_of_a_stopped_bench_does_not_start(spikes: Any) -> None:
    content = (GRAPHS / "digits_lif.nir").read_bytes()
    hang = Job("norse", "a", content, spikes, timeout=60)
    quick = Job("snntorch", "a", content, spikes, timeout=60)
    results = run_local([quick, hang, hang])
    assert next(results).status == "not installed"
    start = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 5


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interruption_stops_what_runs(fakes: Path) -> None:
    words = ["bench", str(GOOD), "--input", str(RASTER), "--on", "norse,stepped"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nirbridge", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_interruptions,
    )  # fmt: skip
    assert wait_for(lambda: fakes.exists() and fakes.read_text())
    errors = interrupted(process)
    assert process.returncode != 0
    assert "Traceback" not in errors
    assert wait_for(lambda: not alive(int(fakes.read_text())), 5)


def test_memory_of_a_process_is_its_own(graph: Any, spikes: Any) -> None:
    mine = np.ones(2**27)  # 1 GiB, which Linux would count to a process started now
    (result,) = run(graph, spikes, on=["stepped"], repeat=2).results
    assert mine.nbytes == 2**30
    assert 2**25 < result.peak_bytes < 2**29
    assert len(result.run_s) == 2
    assert result.first_s > 0
    assert result.step_s == pytest.approx(np.median(result.run_s) / 90)


# --- what they say ---------------------------------------------------------------------------


def test_frameworks_equal_the_stepped_model(graph: Any, spikes: Any) -> None:
    there = [name for name in adapters.IMPORTERS if installed(name)]
    if not there:
        pytest.skip("none of the frameworks is installed")
    found = run(graph, spikes, on=["stepped", *there], repeat=1, jobs=2)
    expected = simulate_stepped(graph, spikes, dtype=np.float32).output
    assert expected.any()
    for result in found.results:
        assert result.status == "ran", result.error
        np.testing.assert_array_equal(result.output, expected, result.simulator)
    assert {row.first_step for row in found.rows} == {None}
    assert {row.rate_cosine for row in found.rows} == {1.0}


def test_late_answers_are_moved_back(graph: Any, spikes: Any) -> None:
    """The chip answers later; an output lag is no difference between simulators."""
    late = run(graph, spikes, on=["stepped", "xylo"], repeat=1, output_lag=1)
    own = run(graph, spikes, on=["stepped"], repeat=1)
    np.testing.assert_array_equal(late.results[0].output, own.results[0].output)
    assert late.dynamics.output_lag == 1
    chip = late.results[1]
    assert any("moved back" in note for note in chip.notes)
    assert chip.output is not None
    assert chip.output.shape == (*spikes.shape[:2], 2)


def test_membranes_are_values(spikes: Any) -> None:
    one = np.ones(2)
    nodes = {
        "in": nir.Input(np.array([2])),
        "li": nir.LI(1e-2 * one, one, 0 * one),
        "out": nir.Output(np.array([2])),
    }
    graph = nir.NIRGraph(nodes, [("in", "li"), ("li", "out")], type_check=False)
    found = run(graph, spikes, on=["stepped", "continuous"], dynamics=Dynamics(1e-3), ideal=2)
    assert not found.spiking
    assert found.to_dict()["outputs"] == "values"
    stepped, ideal = found.rows
    assert (stepped.samples, ideal.samples) == (3, 2)
    assert ideal.first_step is not None
    assert found.cosines["stepped"]["continuous"] > 0.99


def result(simulator: str, output: Any, name: str = "a") -> Result:
    array = None if output is None else np.asarray(output, np.float32)
    status = "ran" if output is not None else "failed"
    return Result(simulator, name, status, output=array, run_s=(1.0,))


def made(results: list[Result], labels: Any = None, spiking: bool = True) -> Bench:
    simulators = tuple(dict.fromkeys(r.simulator for r in results))
    inputs = tuple(
        Input(name, np.zeros((2, 2, 2), int), labels)
        for name in dict.fromkeys(r.input for r in results)
    )
    return Bench(simulators, inputs, tuple(results), Dynamics(1e-3), spiking, 1, 1)


def test_figures_that_are_known_by_hand() -> None:
    """Rates of (3, 0), (3, 4) and (0, 4): cosines 3/5, 4/5 and 0."""
    a = [[[1, 0], [1, 0]], [[1, 0], [0, 0]]]
    b = [[[1, 0], [1, 0]], [[1, 2], [0, 2]]]
    c = [[[0, 1], [0, 1]], [[0, 1], [0, 1]]]
    answers = {"norse": a, "stepped": b, "xylo": c, "spyx": None}
    found = made([result(n, out) for n, out in answers.items()], labels=np.array([0, 1]))
    assert found.reference == "stepped"
    pairs = found.cosines
    assert pairs["norse"]["stepped"] == pairs["stepped"]["norse"] == pytest.approx(0.6)
    assert pairs["stepped"]["xylo"] == pytest.approx(0.8)
    assert pairs["norse"]["xylo"] == 0
    assert pairs["xylo"]["xylo"] == 1
    assert "spyx" not in pairs
    rows = {row.simulator: row for row in found.rows}
    assert [rows[n].accuracy for n in ("norse", "stepped", "xylo")] == [0.5, 1.0, 0.5]
    assert [rows[n].total for n in ("norse", "stepped", "xylo")] == [3, 7, 4]
    assert (rows["norse"].first_step, rows["norse"].equal_samples) == (0, 0.5)
    assert rows["norse"].agreement == 0.5
    assert rows["spyx"].accuracy is None
    assert rows["stepped"].step_s == 0.25


def test_pairs_are_compared_on_common_samples_only() -> None:
    a = [[[1, 0], [1, 0]], [[0, 9], [0, 9]]]
    found = made([result("stepped", a), result("continuous", a[:1])])
    assert found.cosines["stepped"]["continuous"] == 1
    assert found.rows[1].samples == 1
    assert found.rows[1].first_step is None
    apart = made([result("stepped", a, "a"), result("norse", a, "b")])
    assert "norse" not in apart.cosines["stepped"]
    assert apart.rows[1].rate_cosine is None


def test_values_that_differ_by_rounding_are_equal() -> None:
    a = np.array([[[1.0, -4.0], [2.0, 0.0]]])
    near, far = a + 1e-5, a + np.array([[[0, 0], [0, 1e-2]]])
    found = made([result("stepped", a), result("norse", near), result("spyx", far)], spiking=False)
    assert [row.first_step for row in found.rows] == [None, None, 1]


# --- inputs ----------------------------------------------------------------------------------


def test_several_inputs_count_together(graph: Any) -> None:
    given = random_inputs(2, 0.5, 20, samples=2, seeds=range(2))
    again = random_inputs(2, 0.5, 20, samples=2, seeds=range(2))
    np.testing.assert_array_equal(given[1].raster, again[1].raster)
    found = run(graph, given, on=["stepped"], repeat=1, jobs=2)
    assert [r.input for r in found.results] == ["seed 0", "seed 1"]
    assert found.rows[0].samples == 4
    assert found.rows[0].total == sum(found.of(i.name).rows[0].total for i in given)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"on": ["lava"]}, "NB806"),
        ({"on": []}, "NB806"),
        ({"repeat": 0}, "NB806"),
        ({"threads": 1.5}, "NB806"),
        ({"timeout": float("nan")}, "NB806"),
        ({"raster": np.zeros((5, 3), int)}, "NB802"),
        ({"raster": np.zeros((0, 2), int)}, "NB801"),
        ({"labels": [0, 1]}, "NB804"),
        ({"raster": [Input("a", np.zeros((5, 2), int))] * 2}, "NB806"),
        ({"dt": -1.0}, "NB304"),
        ({"dask": "tcp://127.0.0.1:9"}, "NB810"),
    ],
)
def test_refusals_before_anything_runs(
    graph: Any, options: dict[str, Any], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "dask" in options:
        pytest.importorskip("distributed", reason="dask.distributed is not installed")
        monkeypatch.setattr(pool, "CONNECT", 0.5)
    words = {"raster": np.zeros((5, 2), int), **options}
    with pytest.raises(Refused) as refusal:
        run(graph, words.pop("raster"), **{"on": ["stepped"], **words})
    assert [d.code for d in refusal.value.diagnostics] == [code]


def test_every_framework_is_a_simulator() -> None:
    assert set(names()) == {*adapters.IMPORTERS, "stepped", "continuous", "xylo"}


# --- a cluster -------------------------------------------------------------------------------


def test_a_cluster_says_what_this_machine_says(graph: Any) -> None:
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    given = random_inputs(2, 0.5, 20, seeds=range(2))
    own = run(graph, given, on=["stepped"], repeat=1)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=None, processes=False
    ) as cluster:
        found = run(graph, given, on=["stepped"], repeat=1, dask=cluster.scheduler_address)
    for a, b in zip(own.results, found.results, strict=True):
        assert (a.simulator, a.input, b.status) == (b.simulator, b.input, "ran"), b.error
        np.testing.assert_array_equal(a.output, b.output)


def test_a_job_stands_alone(graph: Any, spikes: Any, tmp_path: Path) -> None:
    """Neither graph nor raster travel as paths."""
    import pickle

    write(graph, tmp_path / "graph.nir")
    job = Job("stepped", "a", (tmp_path / "graph.nir").read_bytes(), spikes, repeat=1)
    (tmp_path / "graph.nir").unlink()
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        found = run_job(pickle.loads(pickle.dumps(job)))
    finally:
        os.chdir(here)
    assert found.status == "ran", found.error
    expected = simulate_stepped(graph, spikes, dtype=np.float32).output
    np.testing.assert_array_equal(found.output, expected)


# --- what is left of a run that ends early ---------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGKILL"])
def test_no_orphans(name: str, fakes: Path, tmp_path: Path) -> None:
    """The worker ends with the command, and so do its files, however that is ended."""
    place = tmp_path / "tmp"
    place.mkdir()
    number = getattr(signal, name)
    process = subprocess.Popen(
        [sys.executable, "-m", "nirbridge", "bench", str(GOOD), "--random", "0.5",
         "--on", "norse"],
        env={**os.environ, "TMPDIR": str(place)}, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL) if name != "SIGKILL" else None,
    )  # fmt: skip
    assert wait_for(lambda: fakes.exists() and bool(fakes.read_text()))
    worker = int(fakes.read_text())
    assert left(place) != []
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (-number if name == "SIGKILL" else 128 + number)
    assert "Traceback" not in errors
    assert wait_for(lambda: not alive(worker))
    assert wait_for(lambda: left(place) == [])


# --- picture ---------------------------------------------------------------------------------


def test_heat_map_shows_every_pair(tmp_path: Path) -> None:
    a = np.random.default_rng(0).integers(0, 3, (2, 4, 5))
    found = made([result("stepped", a), result("norse", a + 1), result("spyx", None)])
    figure = heat_map(found)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown.count("1") == 2
    assert shown.count(number(found.cosines["stepped"]["norse"])) == 2
    place = tmp_path / "map.png"
    found.heat_map(place)
    assert place.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(Refused, match="NB805"):
        found.heat_map(place)
    found.heat_map(place, force=True)
    with pytest.raises(Refused, match="NB806"):
        found.heat_map(tmp_path / "map.txt")
    with pytest.raises(Refused, match="NB807"):
        found.heat_map(tmp_path / "none" / "map.png")
    assert left(tmp_path) == ["map.png"]


def test_nearly_equal_is_not_equal() -> None:
    assert [number(x) for x in (1.0, 0.99999, 0.5, 0.0, -0.25)] == [
        "1", "0.9999", "0.5000", "0.0000", "-0.2500",
    ]  # fmt: skip


# --- the command -----------------------------------------------------------------------------


def test_the_command_prints_writes_and_draws(nirbridge: Command, tmp_path: Path) -> None:
    words = ["bench", GOOD, "--random", 0.5, "--steps", 20, "--seeds", 2, "--samples", 2]
    words += ["--on", "stepped,xylo", "--repeat", 1]
    table, picture = tmp_path / "b.json", tmp_path / "b.svg"
    done = nirbridge(*words, "-o", table, "--picture", picture)
    assert (done.code, done.err) == (0, "")
    for word in ("good.nir", "stepped", "xylo", "Cosine", "seed 1", "peak"):
        assert word in done.out
    written = json.loads(table.read_text())
    assert [i["samples"] for i in written["inputs"]] == [2, 2]
    assert len(written["runs"]) == 4
    assert left(tmp_path) == ["b.json", "b.svg"]
    before = table.read_bytes()
    assert nirbridge(*words, "-o", table).codes == ["NB805"]
    assert nirbridge(*words, "--picture", picture).codes == ["NB805"]
    assert nirbridge(*words, "-o", tmp_path / "none" / "b.json").codes == ["NB807"]
    assert nirbridge(*words, "-o", tmp_path / "b.txt").codes == ["NB806"]
    assert table.read_bytes() == before
    done = nirbridge(*words, "--json", "-o", table, "--force")
    assert done.json["simulators"][0]["status"] == "ran"


@pytest.mark.usefixtures("fakes")
def test_the_command_when_nothing_runs(nirbridge: Command, tmp_path: Path) -> None:
    words = ["bench", GOOD, "--input", RASTER, "--on", "snntorch, rockpool"]
    done = nirbridge(*words, "--picture", tmp_path / "b.png")
    assert (done.code, done.codes) == (3, ["NB811"])
    assert "pip install" in " ".join(done.out.split())
    done = nirbridge(*words, "--json")
    assert done.code == 3
    assert [d["code"] for d in done.json["refused"]] == ["NB811"]
    assert [row["status"] for row in done.json["simulators"]] == ["not installed", "failed"]
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--input", RASTER, "--random", "0.5"],
        ["--random", "2"],
        ["--random", "0.5", "--timeout", "nan"],
        ["--random", "0.5", "--repeat", "0"],
        ["--random", "0.5", "--spikes-per-step", "few"],
        ["--input", RASTER, "--steps", "100"],
        ["--input", RASTER, "--seeds", "1"],
    ],
)
def test_wrong_usage(nirbridge: Command, words: list[object]) -> None:
    assert nirbridge("bench", GOOD, *words).code == 2


def test_command_refuses_what_it_cannot_read(nirbridge: Command, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert nirbridge("bench", gone, "--random", 0.5).codes == ["NB101"]
    assert nirbridge("bench", GOOD, "--input", gone).codes == ["NB101"]
    assert nirbridge("bench", GOOD, "--random", 0.5, "--on", "lava").codes == ["NB806"]

"""NIR's own data files, both ways, and what is refused of them."""

from __future__ import annotations

import json
import random
import struct
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from benchmarks.fuzz.mutate import damaged
from nirbridge import Dynamics, Refused, convert, read, simulate_continuous, simulate_stepped
from nirbridge.data import to_nir, to_raster
from nirbridge.datafiles import LEVELS, read_data, write_data
from nirbridge.rasterfiles import read_raster, write_recording
from tests.conftest import GRAPHS
from tests.test_hostile import put, refusal
from tests.test_refused import codes, run

GOOD = GRAPHS / "refused" / "good.nir"
DT = 1e-3
COUNTS = np.random.default_rng(0).integers(0, 3, (4, 30, 2))


def gridded(data: Any, dt: float = DT, node: str = "input") -> nir.NIRGraphData:
    return node_data(nir.TimeGriddedData(np.asarray(data), dt), node)


def node_data(values: Any, node: str = "input", observable: str = "spikes") -> nir.NIRGraphData:
    return nir.NIRGraphData({node: nir.NIRNodeData({observable: values})})


def same(a: Any, b: Any) -> None:
    """Equal types, names, numbers and arrays, throughout."""
    assert type(a) is type(b)
    if isinstance(a, (nir.NIRGraphData, nir.NIRNodeData)):
        (inner_a,), (inner_b,) = vars(a).values(), vars(b).values()
        assert inner_a.keys() == inner_b.keys()
        for name in inner_a:
            same(inner_a[name], inner_b[name])
        return
    for name, value in vars(a).items():
        other = getattr(b, name)
        assert np.array_equal(value, other)
        assert np.asarray(value).dtype.kind == np.asarray(other).dtype.kind


@pytest.fixture(scope="module")
def deployment() -> Any:
    return convert(read(GRAPHS / "digits_cuba.nir"))


# --- inputs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nir", ".h5", ".hdf5"])
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, bool])
def test_grid_that_nir_wrote(kind: Any, suffix: str, tmp_path: Path) -> None:
    place = tmp_path / f"in{suffix}"
    data = (COUNTS > 0).astype(kind) if kind is bool else COUNTS.astype(kind)
    nir.write_data(str(place), gridded(data))
    found, labels = read_raster(place, 2, np.float64(np.float32(DT)))  # rounded, but the same dt
    assert labels is None
    assert np.array_equal(found, data)
    assert found.dtype.kind in "iu"
    assert read_raster(place)[0].shape == (4, 30, 2)


def test_one_sample_has_no_batch(tmp_path: Path) -> None:
    place = tmp_path / "in.nir"
    nir.write_data(str(place), gridded(COUNTS[:1]))
    assert np.array_equal(read_raster(place, 2, DT)[0], COUNTS[0])


def test_events_that_nir_wrote(tmp_path: Path) -> None:
    """Grid → events by NIR → raster; each sample is filled up with idx -1 and time inf."""
    place = tmp_path / "in.nir"
    grid = nir.TimeGriddedData(COUNTS > 0, DT)
    nir.write_data(str(place), node_data(grid.to_event(80)))
    found, _ = read_raster(place, 2, DT)
    assert np.array_equal(found, COUNTS > 0)
    coarse, _ = read_raster(place, 2, 3 * DT)
    assert np.array_equal(coarse, (COUNTS > 0).reshape(4, 10, 3, 2).sum(axis=2))


def test_events_with_values_are_counts(tmp_path: Path) -> None:
    place = tmp_path / "in.nir"
    events = nir.ValuedEventData(
        idx=np.array([[0, 1, 1, -1]]), time=np.array([[0.0, 1.5e-3, 1.2e-3, np.inf]]),
        value=np.array([[2.0, 1.0, 3.0, 0.0]]), n_neurons=2, t_max=4e-3,
    )  # fmt: skip
    nir.write_data(str(place), node_data(events))
    assert read_raster(place, 2, DT)[0].tolist() == [[2, 0], [0, 4], [0, 0], [0, 0]]


def test_event_at_the_very_end() -> None:
    """A t_max that is the time of the last event still holds it."""
    events = nir.EventData(np.array([[0]]), np.array([[2e-3]]), 1, 2e-3)
    assert to_raster(node_data(events), 1, DT).tolist() == [[0], [0], [1]]
    none = nir.EventData(np.zeros((2, 0), int), np.zeros((2, 0)), 3, 2e-3)
    assert to_raster(node_data(none), 3, DT).shape == (2, 2, 3)


def test_which_of_several(tmp_path: Path) -> None:
    place = tmp_path / "in.nir"
    grid, other = (nir.TimeGriddedData(x, DT) for x in (COUNTS, COUNTS[:, ::-1]))
    both = {"spikes": grid, "v": other}
    nodes: dict[str, Any] = {"a": nir.NIRNodeData(both), "b": nir.NIRNodeData({"v": other})}
    write_data(nir.NIRGraphData({"net": nir.NIRGraphData(nodes)}), place)
    assert np.array_equal(read_raster(place, node="net.a")[0], grid.data)
    assert np.array_equal(read_raster(place, node="net.a/v")[0], other.data)
    assert np.array_equal(read_raster(place, node="net.b")[0], other.data)
    for node in (None, "net", "b", "net.b/spikes", "net.a/x"):
        with pytest.raises(Refused) as refused:
            read_raster(place, node=node)
        (found,) = refused.value.diagnostics
        assert (found.code, found.found) == ("NB809", "net.a/spikes, net.a/v, net.b/v")
    write_data(nir.NIRGraphData(nodes | {"input": nir.NIRNodeData(both)}), place, force=True)
    assert np.array_equal(read_raster(place)[0], grid.data)


def events(**changed: Any) -> nir.NIRGraphData:
    fields: dict[str, Any] = {
        "idx": np.array([[0, 1]]), "time": np.array([[0, DT]]), "n_neurons": 2, "t_max": 2 * DT,
    }  # fmt: skip
    return node_data(nir.EventData(**(fields | changed)))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (gridded(COUNTS, 2e-3), "NB808"),
        (gridded(COUNTS, 1.00001e-3), "NB808"),
        (gridded(COUNTS * 0.7), "NB801"),
        (gridded(-COUNTS), "NB801"),
        (gridded(COUNTS * np.nan), "NB801"),
        (gridded(COUNTS * 2.0**40), "NB801"),
        (gridded(np.ones((1, 3, 3))), "NB802"),
        (gridded(COUNTS, 0.0), "NB803"),
        (gridded(COUNTS, np.nan), "NB803"),
        (gridded(COUNTS.astype(complex)), "NB803"),
        (nir.NIRGraphData({}), "NB809"),
        (events(n_neurons=3), "NB802"),
        (events(idx=np.array([[0, 2]])), "NB802"),
        (events(idx=np.array([[0, -2]])), "NB802"),
        (events(time=np.array([[0, np.nan]])), "NB803"),
        (events(time=np.array([[0, np.inf]])), "NB803"),
        (events(time=np.array([[0, -DT]])), "NB803"),
        (events(time=np.array([[0, 3 * DT]])), "NB803"),
        (events(t_max=1e300), "NB803"),
        (events(t_max=1e7), "NB803"),
        (events(t_max=np.inf), "NB803"),
        (events(idx=np.array([[0.5, 1]])), "NB803"),
        (events(n_neurons=-1), "NB803"),
        (events(n_neurons=2**40), "NB803"),
    ],
)
def test_refused(data: nir.NIRGraphData, code: str, tmp_path: Path) -> None:
    place = tmp_path / "in.nir"
    nir.write_data(str(place), data)
    with np.errstate(invalid="ignore"):
        assert refusal(lambda: read_raster(place, 2, DT)) == [code]


def test_both_time_steps_are_named(tmp_path: Path) -> None:
    place = tmp_path / "in.nir"
    nir.write_data(str(place), gridded(COUNTS, 2e-3))
    with pytest.raises(Refused, match=r"0\.001 s, the network's\n.*0\.002 s in the data\n"):
        read_raster(place, 2, DT)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (gridded(COUNTS, np.nan), "NB808"),
        (gridded(COUNTS.astype(complex)), "NB801"),
        (events(idx=np.zeros(2, int), time=np.zeros(2)), "NB803"),
        (events(idx=np.zeros((1, 2))), "NB803"),
        (events(t_max=np.nan), "NB803"),
    ],
)
def test_refused_in_memory(data: nir.NIRGraphData, code: str) -> None:
    assert refusal(lambda: to_raster(data, 2, DT)) == [code]


def test_other_files_have_no_nodes() -> None:
    assert refusal(lambda: read_raster(GRAPHS / "digits.npz", node="input")) == ["NB809"]


def test_networks_are_told_from_data() -> None:
    with pytest.raises(Refused, match=r"a NIR graph: networks are read by nirbridge\.read"):
        read_raster(GOOD, 2, DT)


# --- recordings ------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("batched", [False, True])
def test_recordings_of_the_chip(
    deployment: Any, batched: bool, record: bool, digits: Any, tmp_path: Path
) -> None:
    """Plain NIR reads them, and they are of the nodes of the deployed graph."""
    x = digits[0][:3] if batched else digits[0][0]
    recording = deployment.simulate(x, record)
    dt, placement = deployment.config.dt, deployment.placement
    place = tmp_path / "out.nir"
    write_recording(recording, place, dt, placement=placement)
    plain = nir.read_data(str(place))
    same(plain, to_nir(recording, dt, placement))
    same(plain, read_data(place))
    plain.check_nodes(deployment.deployed)
    output = placement.outputs[0].name
    spikes = plain.nodes[output].observables["spikes"]
    assert (spikes.dt, spikes.data.dtype) == (dt, bool)
    assert np.array_equal(spikes.data.reshape(recording.output.shape), recording.output)
    assert np.array_equal(read_raster(place, node=output + "/spikes")[0], recording.output)
    if not record:
        assert set(plain.nodes) == {output}
        return
    first = placement.hidden[0]
    observables = plain.nodes[first.name].observables
    assert set(observables) == {"spikes", "i_syn", "i_syn_2", "v_mem"}
    wide = recording.v_mem.reshape(-1, *recording.v_mem.shape[-2:])
    assert np.array_equal(observables["v_mem"].data, wide[..., first.ids])


def test_recordings_without_names(deployment: Any, digits: Any, tmp_path: Path) -> None:
    recording = deployment.simulate(digits[0][0], record=True)
    write_recording(recording, tmp_path / "out.h5", DT)
    assert set(nir.read_data(str(tmp_path / "out.h5")).nodes) == {"hidden", "output"}


def test_recordings_in_floating_point(tmp_path: Path) -> None:
    graph = read(GOOD)
    how = Dynamics.of(graph)
    assert how is not None
    raster = np.random.default_rng(1).integers(0, 4, (2, 60, 2))
    stepped = simulate_stepped(graph, raster, record=True)
    exact = simulate_continuous(graph, raster, how.dt, record=True)
    for recording, kind in ((stepped, nir.TimeGriddedData), (exact, nir.EventData)):
        data = to_nir(recording, how.dt)
        write_data(data, tmp_path / "out.nir", force=True)
        same(nir.read_data(str(tmp_path / "out.nir")), data)
        assert "v_mem" in data.nodes["hidden"].observables
        spikes = data.nodes["hidden"].observables["spikes"]
        assert type(spikes) is kind
        expected = exact.binned() if kind is nir.EventData else stepped.spikes
        assert expected["hidden"].any()
        found = to_raster(data, 3, how.dt, "hidden/spikes")
        assert np.array_equal(found, expected["hidden"])


def test_command_both_ways(tmp_path: Path) -> None:
    deployed, data, out = tmp_path / "d", tmp_path / "in.nir", tmp_path / "out.nir"
    result = convert(read(GOOD))
    result.save(deployed)
    dt = result.config.dt
    nir.write_data(str(data), gridded(COUNTS, dt))
    done = run("simulate {d} {data} -o {out} --record", d=deployed, data=data, out=out)
    assert done.returncode == 0, done.stderr
    same(
        nir.read_data(str(out)), to_nir(result.simulate(COUNTS, record=True), dt, result.placement)
    )
    done = run("check {d} {data} --node input/spikes --tolerance 1", d=deployed, data=data)
    assert done.returncode == 0, done.stderr
    out.unlink()
    done = run("simulate {d} {data} -o {out} --node x --json", d=deployed, data=data, out=out)
    assert (done.returncode, codes(done.stderr)) == (3, ["NB809"])
    assert json.loads(done.stdout)["refused"][0]["found"] == "input/spikes"
    nir.write_data(str(data), gridded(COUNTS, 2 * dt))
    done = run("simulate {d} {data} -o {out}", d=deployed, data=data, out=out)
    assert (done.returncode, codes(done.stderr)) == (3, ["NB808"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d", "in.nir"]


# --- nested and unusual data -----------------------------------------------------------------


def nested(levels: int) -> nir.NIRGraphData:
    data = gridded(COUNTS, node="x")
    for _ in range(levels):
        data = nir.NIRGraphData({"n": data, "x": gridded(COUNTS).nodes["input"]})
    return data


@pytest.mark.parametrize("levels", [1, 2, LEVELS])
def test_nested(levels: int, tmp_path: Path) -> None:
    place = tmp_path / "nested.nir"
    write_data(nested(levels), place)
    same(nir.read_data(str(place)), nested(levels))
    same(read_data(place), nested(levels))


def test_nested_without_end(tmp_path: Path) -> None:
    place = tmp_path / "nested.nir"
    data = nested(1)
    data.nodes["n"] = data
    for endless in (data, nested(LEVELS + 1)):
        assert refusal(partial(write_data, endless, place)) == ["NB803"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "a/b", ".", "\x1b[31m", 3])
def test_names_that_hdf5_does_not_take(name: Any, tmp_path: Path) -> None:
    grid = nir.TimeGriddedData(COUNTS, DT)
    for data in (
        node_data(grid, node=name), node_data(grid, observable=name), node_data(COUNTS),
        nir.NIRGraphData({"x": grid}),
    ):  # fmt: skip
        assert refusal(partial(write_data, data, tmp_path / "x.nir")) == ["NB803"]
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_kept(tmp_path: Path) -> None:
    place = tmp_path / "x.nir"
    write_data(gridded(COUNTS), place)
    before = place.read_bytes()
    assert refusal(lambda: write_data(gridded(COUNTS[:1]), place)) == ["NB805"]
    assert place.read_bytes() == before


# --- files that mean harm --------------------------------------------------------------------

SPIKES = "nodes/input/observables/spikes"
DATA = f"{SPIKES}/data"


def attribute(name: str, value: Any, **options: Any) -> Callable[[Any], None]:
    def edit(file: Any) -> None:
        file[SPIKES].attrs.pop(name, None)
        file[SPIKES].attrs.create(name, value, **options)

    return edit


def bomb(file: Any) -> None:
    put(DATA, shape=(1, 2**17, 1), dtype="u1", chunks=(1, 2**17, 1), compression="gzip")(file)
    file[DATA].id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(2**27), 9), 0)


def virtual(file: Any) -> None:
    del file[DATA]
    layout = h5py.VirtualLayout((1, 3, 2), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (1, 3, 2))
    file.create_virtual_dataset(DATA, layout)


def linked(file: Any) -> None:
    file["nodes/again"] = h5py.SoftLink("/nodes")


def circle(file: Any) -> None:
    file["nodes/again"] = file["/"]


EDITS: dict[str, Callable[[Any], None]] = {
    "gigabytes": put(DATA, shape=(1, 2**40, 2), dtype="f8"),
    "more than the file holds": put(DATA, shape=(1, 2**27, 2), dtype="u1", chunks=(1, 2**20, 2)),
    "bomb": bomb,
    "virtual": virtual,
    "external": put(DATA, shape=(1, 3, 2), dtype="u1", external=[("/etc/hostname", 0, 6)]),
    "soft link": linked,
    "circle": circle,
    "compound": put(DATA, np.zeros((1, 3, 2), [("a", "f8")])),
    "strings": put(DATA, np.full((1, 3, 2), "x", object), dtype=h5py.string_dtype()),
    "two axes": put(DATA, COUNTS[0]),
    "a number": put(DATA, 3),
    "no dt": lambda file: file[SPIKES].attrs.pop("dt"),
    "dt as text": attribute("dt", "0.001"),
    "dt as array": attribute("dt", np.ones(8000)),
    "dt as nothing": attribute("dt", h5py.Empty("f8")),
    "dt below 0": attribute("dt", -1.0),
    "nothing": lambda file: file.pop("nodes"),
    "nodes as array": put("nodes", np.ones(3)),
    "node as array": put("nodes/input", np.ones(3)),
    "observables as array": put("nodes/input/observables", np.ones(3)),
    "observable as array": put(SPIKES, np.ones(3)),
    "neither grid nor events": lambda file: file.move(DATA, f"{SPIKES}/dat"),
    "idx alone": lambda file: file.move(DATA, f"{SPIKES}/idx"),
    "node of nothing": lambda file: file["nodes"].create_group("x"),
}


@pytest.mark.parametrize("name", EDITS)
def test_hostile(name: str, tmp_path: Path) -> None:
    place = tmp_path / "in.nir"
    write_data(gridded(COUNTS.astype(np.uint8)), place)
    with h5py.File(place, "r+") as file:
        EDITS[name](file)
    assert refusal(lambda: read_raster(place, 2, DT)) == ["NB803"]


@pytest.mark.parametrize("size", [0, 2**64 - 16, 5000])
def test_heaps_that_lead_in_circles(size: int, tmp_path: Path) -> None:
    """The texts of ``__type__`` are not read, but the library would meet their heap."""
    place = tmp_path / "in.nir"
    nir.write_data(str(place), gridded(COUNTS))
    content = bytearray(place.read_bytes())
    struct.pack_into("<H6xQ", content, content.index(b"GCOL") + 16, 1, size)
    place.write_bytes(content)
    assert refusal(lambda: read_raster(place, 2, DT)) == ["NB803"]


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"x" * 5000])
def test_not_hdf5(content: bytes, tmp_path: Path) -> None:
    place = tmp_path / "in.h5"
    place.write_bytes(content)
    assert refusal(lambda: read_raster(place, 2, DT)) == ["NB803"]
    assert refusal(lambda: read_raster(tmp_path / "none.nir", 2, DT)) == ["NB101"]
    assert refusal(lambda: read_data(tmp_path / "none.nir")) == ["NB101"]


@pytest.mark.parametrize("form", ["grid", "events"])
def test_damaged(form: str, tmp_path: Path) -> None:
    good, place = tmp_path / "good.nir", tmp_path / "bad.nir"
    grid = nir.TimeGriddedData(COUNTS > 0, DT)
    nir.write_data(str(good), node_data(grid if form == "grid" else grid.to_event(60)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused = 0
        for seed in range(400):
            place.write_bytes(damaged(good.read_bytes(), random.Random(seed)))
            try:
                read_raster(place, 2, DT)
            except Refused:
                refused += 1
    assert refused > 50

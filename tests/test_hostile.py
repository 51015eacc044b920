"""Files that mean harm: claims of gigabytes, endless loops, records that lie."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import nirbridge
from benchmarks.fuzz import mutate
from nirbridge import Dynamics, Refused, convert, read, read_config
from nirbridge.graph.write import write
from nirbridge.rasterfiles import read_raster
from tests.conftest import GRAPHS

GOOD = GRAPHS / "refused" / "good.nir"
WEIGHT = "node/nodes/w1/weight"
CASES = 150  # files edited at random, of each kind
Edit = Callable[[Any], None]


def refusal(load: Callable[[], Any]) -> list[str]:
    """Codes with which ``load`` refuses; every diagnostic must be complete."""
    with pytest.raises(Refused) as refused:
        load()
    for found in refused.value.diagnostics:
        assert found.limit
        assert found.found
        assert found.remedy
        assert str(found).count("\n") == 4
    return [d.code for d in refused.value.diagnostics]


def edited(place: Path, edit: Edit) -> Path:
    """The good graph as nir.write writes it, changed with h5py."""
    nir.write(str(place), nir.read(str(GOOD)))
    with h5py.File(place, "r+") as file:
        edit(file)
    return place


def put(name: str, data: Any = None, **options: Any) -> Edit:
    """Put another dataset in the place of one."""
    return lambda file: mutate.put(file, name, data, **options)


def virtual(file: Any) -> None:
    del file[WEIGHT]
    layout = h5py.VirtualLayout((3, 2), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 2))
    file.create_virtual_dataset(WEIGHT, layout)


def bomb(file: Any) -> None:
    """A chunk of 128 kB whose stream unpacks to 128 MB."""
    put(WEIGHT, shape=(2**17,), dtype="u1", chunks=(2**17,), compression="gzip")(file)
    file[WEIGHT].id.write_direct_chunk((0,), zlib.compress(bytes(2**27), 9), 0)


def twice_compressed(file: Any) -> None:
    del file[WEIGHT]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((16,))
    plist.set_deflate(9)
    plist.set_deflate(9)
    space = h5py.h5s.create_simple((16,))
    h5py.h5d.create(file["node/nodes/w1"].id, b"weight", h5py.h5t.NATIVE_DOUBLE, space, plist)


def time_type(file: Any) -> None:
    del file[WEIGHT]
    space = h5py.h5s.create_simple((3, 2))
    h5py.h5d.create(file["node/nodes/w1"].id, b"weight", h5py.h5t.UNIX_D32LE, space)


def deep(file: Any) -> None:
    group = file["node/nodes"]
    for _ in range(2000):
        group = group.create_group("g")


GIB = 2**27  # float64 values
EDITS: dict[str, tuple[Edit, str]] = {
    "contiguous": (put(WEIGHT, shape=(GIB,), dtype="f8"), "NB105"),
    "compressed": (
        put(WEIGHT, shape=(8 * GIB,), dtype="f8", chunks=(2**20,), compression="gzip"),
        "NB105",
    ),
    "large chunk": (
        put(WEIGHT, shape=(1,), maxshape=(None,), dtype="f8", chunks=(2 * GIB,)),
        "NB105",
    ),
    "many chunks": (put(WEIGHT, shape=(2**20,), dtype="f8", chunks=(1,)), "NB109"),
    "bomb": (bomb, "NB105"),
    "twice compressed": (twice_compressed, "NB105"),
    "lossy filter": (put(WEIGHT, np.ones((3, 2)), chunks=True, scaleoffset=3), "NB105"),
    "virtual": (virtual, "NB106"),
    "external": (
        put(WEIGHT, shape=(3, 2), dtype="f8", external=[("/etc/hostname", 0, 48)]),
        "NB106",
    ),
    "compound": (put(WEIGHT, np.zeros(3, [("a", "f8")])), "NB108"),
    "vlen": (put(WEIGHT, shape=(3,), dtype=h5py.vlen_dtype("f8")), "NB108"),
    "reference": (put(WEIGHT, shape=(3,), dtype=h5py.ref_dtype), "NB108"),
    "complex": (put(WEIGHT, np.ones((3, 2), complex)), "NB108"),
    "null": (put(WEIGHT, h5py.Empty("f8")), "NB108"),
    "time": (time_type, "NB102"),
    "text": (put(WEIGHT, "text"), "NB108"),
    "type as array": (put("node/nodes/w1/type", np.ones(3)), "NB107"),
    "version not UTF-8": (put("version", b"\xff\xfe"), "NB102"),
    "name not UTF-8": (lambda f: f["node/nodes"].create_group(b"\xff\xfe"), "NB108"),
    "name that a terminal obeys": (lambda f: f["node/nodes"].create_group("\x1b[31m"), "NB108"),
    "chunked strings": (
        put("node/edges", np.array([["a", "b"]], object), dtype=h5py.string_dtype(), chunks=(1, 2)),
        "NB108",
    ),
    "unknown field": (put("node/nodes/hidden/tau_adapt", np.ones(3)), "NB108"),
    "deep": (deep, "NB109"),
    "shape nan": (put("node/nodes/input/shape", [np.nan]), "NB201"),
    "shape huge": (put("node/nodes/input/shape", [2**62]), "NB201"),
    "shape below 1": (put("node/nodes/input/shape", [-2]), "NB201"),
    "shape of shapes": (put("node/nodes/output/shape", np.ones((2, 2), int)), "NB209"),
    "beyond single precision": (put("node/nodes/hidden/r", [1e300, 1, 1]), "NB201"),
    "no neurons": (put(WEIGHT, shape=(0, 2), dtype="f8"), "NB209"),
}


@pytest.mark.parametrize("name", EDITS)
def test_graph(name: str, tmp_path: Path) -> None:
    edit, code = EDITS[name]
    place = edited(tmp_path / "graph.nir", edit)
    assert set(refusal(lambda: read(place))) == {code}


def test_graphs_need_little_memory(tmp_path: Path) -> None:
    """All of them in a process that may have 1 GB of addresses more than it starts with."""
    for i, (edit, _) in enumerate(EDITS.values()):
        edited(tmp_path / f"{i}.nir", edit)
    code = (
        "import resource, sys, pathlib, nirbridge\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "limit = pages * resource.getpagesize() + 2**30\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.nir'):\n"
        "    try:\n"
        "        nirbridge.read(path)\n"
        "    except nirbridge.Refused as refused:\n"
        "        print(refused.diagnostics[0].code)\n"
    )
    if not Path("/proc/self/statm").exists():
        pytest.skip("the size of a process is read from /proc")
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert len(done.stdout.split()) == len(EDITS)


@pytest.mark.parametrize("size", [0, 2**64 - 16, 2**64 - 32, 2**63, 5000])
@pytest.mark.parametrize("index", [0, 1])
def test_heaps_that_lead_in_circles(index: int, size: int, tmp_path: Path) -> None:
    """HDF5 2.0 walks for ever where the size of a heap's object is 0 or wraps around."""
    place = edited(tmp_path / "graph.nir", lambda _: None)
    content = bytearray(place.read_bytes())
    struct.pack_into("<H6xQ", content, content.index(b"GCOL") + 16, index, size)
    place.write_bytes(content)
    assert refusal(lambda: read(place)) == ["NB102"]


def test_strings_of_gigabytes(tmp_path: Path) -> None:
    """A string that claims 4 GB is not believed."""
    place = edited(tmp_path / "graph.nir", lambda _: None)
    with h5py.File(place) as file:
        offset = file["version"].id.get_offset()
    content = bytearray(place.read_bytes())
    struct.pack_into("<I", content, offset, 2**32 - 1)
    place.write_bytes(content)
    assert refusal(lambda: read(place)) == ["NB102"]


def test_one_long_string_many_times(tmp_path: Path) -> None:
    """A megabyte to which 50000 edges point would be 100 GB."""
    text = b"x" * 2**20
    place = edited(tmp_path / "graph.nir", put("node/edges", [["a", "b"]] * 50_000))
    with h5py.File(place, "r+") as file:
        file["long"] = text
        offset = file["node/edges"].id.get_offset()
        element = file["long"].id.get_offset()
    content = bytearray(place.read_bytes())
    content[offset : offset + 16 * 100_000 - 16] = content[element : element + 16] * 99_999
    place.write_bytes(content)
    assert refusal(lambda: read(place))[0] in ("NB105", "NB109")


# --- graphs that were edited at random, as a careless exporter would -------------------------


def test_careless_exporters(tmp_path: Path) -> None:
    place = tmp_path / "graph.nir"
    read_well = 0
    for seed in range(CASES):
        rng = random.Random(seed)
        nir.write(str(place), mutate.any_graph(rng))
        with h5py.File(place, "r+") as file:
            for _ in range(rng.choice([0, 1, 1, 2])):
                try:
                    mutate.careless(file, rng)
                except (ValueError, RuntimeError, KeyError):  # not a possible mistake
                    continue
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                graph = read(place)
            except Refused:
                continue
        write(graph, tmp_path / "again.nir")
        read_well += 1
    assert CASES / 5 < read_well < CASES * 0.9


# --- rasters ---------------------------------------------------------------------------------


HEADERS = {
    "gigabytes": mutate.npy(mutate.described(f"({2**40}, 2)")),
    "negative": mutate.npy(mutate.described("(-1, 2)"), bytes(64)),
    "negative twice": mutate.npy(mutate.described("(-2, -2)"), bytes(64)),
    "no bytes each": mutate.npy(mutate.described(f"({2**60}, 2)", "|V0")),
    "objects": mutate.npy(mutate.described("(1, 2)", "|O"), bytes(16)),
    "no shape": mutate.npy(mutate.described("'ab'"), bytes(16)),
    "code": mutate.npy("__import__('os').system('false')"),
    "a thousand signs": mutate.npy("-" * 9000 + "1", bytes(16)),
    "half a list": mutate.npy("{'descr': [(", bytes(16)),
    "newer format": mutate.npy(mutate.described("(1, 2)"), bytes(16), (2, 0)),
    "header of gigabytes": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1),
    "empty": b"",
    "magic only": b"\x93NUMPY",
}


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("name", HEADERS)
def test_array(name: str, suffix: str, tmp_path: Path) -> None:
    place = tmp_path / f"raster{suffix}"
    if suffix == ".npy":
        place.write_bytes(HEADERS[name])
    else:
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", HEADERS[name])
    assert refusal(lambda: read_raster(place, 2)) == ["NB803"]


@pytest.mark.filterwarnings("error")
def test_array_of_a_type_with_an_old_name(tmp_path: Path) -> None:
    place = tmp_path / "raster.npy"
    place.write_bytes(mutate.npy(mutate.described("(1, 2)", "|a1"), bytes(16)))
    assert refusal(lambda: read_raster(place, 2)) == ["NB801"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archive_that_numpy_does_not_write(method: int, tmp_path: Path) -> None:
    """LZMA may claim a dictionary of gigabytes before the first byte."""
    place = tmp_path / "raster.npz"
    with zipfile.ZipFile(place, "w", method) as archive:
        archive.writestr("x.npy", mutate.npy(mutate.described("(1, 2)", "|u1"), bytes(2)))
    assert refusal(lambda: read_raster(place, 2)) == ["NB803"]
    assert refusal(lambda: read_config(place, "xylo-audio-2")) == ["NB705"]


def test_enumerations_are_their_numbers(tmp_path: Path) -> None:
    """Whose names, if two have one value, no file could hold."""
    kind = h5py.enum_dtype({"a": 1, "b": 2}, "i8")
    place = edited(tmp_path / "graph.nir", put("node/nodes/input/shape", np.array([2], kind)))
    shape = read(place).nodes["input"].input_type["input"]
    assert shape.tolist() == [2]
    assert shape.dtype.metadata is None


def test_archive_that_claims_gigabytes(tmp_path: Path) -> None:
    """The sizes in the archive's list are lies; so is the header that agrees with them."""
    place = tmp_path / "raster.npz"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", mutate.npy(mutate.described(f"({2**26}, 2)"), bytes(1000)))
    content = bytearray(place.read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    struct.pack_into("<I", content, at, 2**31 - 1)
    place.write_bytes(content)
    assert refusal(lambda: read_raster(place, 2)) == ["NB803"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("time,channel\n1e300,0\n", "NB803"),
        ("1e308,0\n", "NB803"),
        ("1e9,0\n", "NB803"),
        ("nan,0\n", "NB803"),
        ("-1,0\n", "NB803"),
        ("0,0.5\n", "NB803"),
        ("0,2\n", "NB802"),
        ("0,-1\n", "NB802"),
        ("0\n", "NB803"),
        ("0,1,2\n", "NB803"),
        ("time,channel\nzero,one\n", "NB803"),
        ("", "NB803"),  # a first line that is neither titles nor an event
        ("\n\n", "NB803"),
        ("0.001;3\n", "NB803"),
        ("0.001\t3\n", "NB803"),
        ("0.0O1,1\n0.002,1\n", "NB803"),
        ("O,l\n0.002,1,\n", "NB803"),
        ("time;channel\n0.001;1\n", "NB803"),
        ("time\n0.001,1\n", "NB803"),
        ("time,channel,value\n0.001,1\n", "NB803"),
        (",\n0.001,1\n", "NB803"),
        ("nan,inf\n0.001,1\n", "NB803"),
        ("0," + "9" * 200_000 + "\n", "NB803"),
        ('"' + "x" * 200_000 + "\n", "NB803"),
    ],
)
def test_events(text: str, code: str, tmp_path: Path) -> None:
    place = tmp_path / "events.csv"
    place.write_text(text)
    assert refusal(lambda: read_raster(place, 2, 1e-4)) == [code]


def test_events_of_a_spreadsheet(tmp_path: Path) -> None:
    """A mark of the byte order, titles after an empty line, line ends of Windows, no order."""
    place = tmp_path / "events.csv"
    place.write_bytes(b"\xef\xbb\xbf\r\ntime,channel\r\n0.0025,1\r\n0.0000,0\r\n0.0021,1\r\n")
    found, _ = read_raster(place, 2, 1e-3)
    assert found.tolist() == [[1, 0], [0, 0], [0, 2]]
    place.write_text("time,channel\n")
    assert read_raster(place, 2, 1e-3)[0].shape == (0, 2)


# --- deployments -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hostile") / "good"
    convert(read(GOOD)).save(place)
    return place


@pytest.mark.parametrize("name", ["config.json", "deployment.json"])
def test_records_that_lie(name: str, deployment: Path, tmp_path: Path) -> None:
    """What gets through is consistent: it simulates and checks."""
    folder = tmp_path / "folder"
    shutil.copytree(deployment, folder)
    text = (folder / name).read_text()
    raster = np.ones((4, 2), np.uint8)
    accepted = 0
    for seed in range(CASES):
        rng = random.Random(seed)
        (folder / name).write_bytes(mutate.record(text.encode(), rng))
        try:
            loaded = nirbridge.load(folder)
        except Refused:
            continue
        accepted += 1
        loaded.check(raster)
    assert accepted < CASES / 2


@pytest.mark.parametrize("text", ["", "[" * 100_000, "{", "null", "[]", '"x"', "\ufeff{}", "NaN"])
@pytest.mark.parametrize("name", ["config.json", "deployment.json"])
def test_no_record_at_all(name: str, text: str, deployment: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(deployment, folder)
    (folder / name).write_text(text)
    assert refusal(lambda: nirbridge.load(folder)) == ["NB704"]


@pytest.mark.parametrize("name", ["source", "lowered", "shifted", "deployed"])
def test_graphs_of_another_deployment(name: str, deployment: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    convert(read(GRAPHS / "digits_lif.nir")).save(other)
    folder = tmp_path / "folder"
    shutil.copytree(deployment, folder)
    shutil.copy(other / f"{name}.nir", folder)
    assert refusal(lambda: nirbridge.load(folder)) == ["NB704"]


# --- graphs from Python ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("hidden", "layer/0", "NB203"),
        ("hidden", "\x1b[31mred", "NB203"),
        ("hidden", "", "NB203"),
        ("hidden", "..", "NB203"),
        ("hidden", 3, "NB203"),
    ],
)
def test_names_that_no_file_keeps(old: str, new: Any, code: str) -> None:
    graph = read(GOOD)
    graph.nodes[new] = graph.nodes.pop(old)
    graph.edges = [(new if a == old else a, new if b == old else b) for a, b in graph.edges]
    assert set(refusal(lambda: convert(graph))) == {code}


def test_nested_names_that_would_collide() -> None:
    inner = mutate.chained({"input": nir.Input(np.array([2])), "output": nir.Output(np.array([2]))})
    inner.nodes["x"] = nir.Scale(np.ones(2))
    graph = read(GOOD)
    graph.nodes |= {"block": inner, "block.x": nir.Scale(np.ones(2))}
    assert "NB203" in refusal(lambda: convert(graph))


@pytest.mark.parametrize("edge", [("hidden", "input"), ("output", "hidden")])
def test_signals_into_an_input_would_be_lost(edge: tuple[str, str]) -> None:
    graph = read(GOOD)
    graph.edges.append(edge)
    assert refusal(lambda: convert(graph)) == ["NB203"]


@pytest.mark.parametrize("value", [None, object(), [[1], [2, 3]], np.array(["text"])])
def test_metadata_that_no_file_holds(value: Any, tmp_path: Path) -> None:
    graph = read(GOOD)
    graph.nodes["hidden"].metadata = {"trained": value}
    assert refusal(lambda: write(graph, tmp_path / "graph.nir")) == ["NB208"]
    assert list(tmp_path.iterdir()) == []


def test_metadata_come_back(tmp_path: Path) -> None:
    graph = Dynamics(1e-3).attach(read(GOOD))
    graph.metadata |= {"note": "µ → ∞", "epochs": 3, "rates": [0.5, 0.25], "by": {"name": "me"}}
    write(graph, tmp_path / "graph.nir")
    found = read(tmp_path / "graph.nir").metadata
    assert found["note"] == "µ → ∞"
    assert (int(found["epochs"]), list(found["rates"])) == (3, [0.5, 0.25])
    assert found["by"] == {"name": "me"}

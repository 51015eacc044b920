"""What is fuzzed: each reader, good files to start from, and what is done with what it reads."""

from __future__ import annotations

import io
import random
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import nirbridge
from benchmarks.examples import GRAPHS
from benchmarks.fuzz import mutate
from benchmarks.fuzz.mutate import Mutator
from nirbridge import Dynamics, XyloConfig, convert, read, simulate
from nirbridge.data import to_nir
from nirbridge.datafiles import read_data, write_data
from nirbridge.graph.write import write
from nirbridge.rasterfiles import read_raster, read_typical

GOOD = GRAPHS / "refused" / "good.nir"
DT = 1e-4


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    ``use`` reads the file and goes on with it; what it writes, it writes into the folder.
    ``share``: of all cases.
    """

    suffix: str
    share: int
    seeds: tuple[bytes, ...]
    mutate: Mutator
    use: Callable[[Path, Path], None]


def readers(folder: Path) -> dict[str, Reader]:
    """All readers; ``folder`` is where the good files are made."""
    hdf5 = mutate.any_of(mutate.hdf5(folder / "edited.nir"), mutate.damaged)
    arrays = mutate.any_of(mutate.array_header, mutate.damaged, mutate.damaged)
    archives = mutate.any_of(mutate.archive, mutate.damaged)
    events = mutate.any_of(mutate.text, mutate.text, mutate.damaged)
    records = mutate.any_of(mutate.record, mutate.record, mutate.text, mutate.damaged)
    graphs = _graphs(folder)
    whole = folder / "deployment"
    convert(read(GOOD)).save(whole, force=True, formats=["rockpool", "samna"])
    found = {
        "graph (.nir)": Reader(".nir", 34, graphs, hdf5, _graph),
        "data (.nir)": Reader(".nir", 16, _data(folder), hdf5, _nir_data),
        "raster (.npy)": Reader(".npy", 8, _npy(), arrays, _raster),
        "raster (.npz)": Reader(".npz", 10, _npz(), archives, _raster),
        "events (.csv)": Reader(".csv", 8, (_csv(),), events, _raster),
        "config.json": Reader(".json", 10, _files(whole, "config.json"), records, _config),
        "Rockpool (.npz)": Reader(".npz", 4, _files(whole, "rockpool.npz"), archives, _imported),
        "Rockpool (.json)": Reader(".json", 4, _files(whole, "rockpool.json"), records, _imported),
        "samna (.json)": Reader(".json", 4, _files(whole, "samna.json"), records, _imported),
    }
    if find_spec("torch") is not None:
        kept = mutate.any_of(mutate.checkpoint, mutate.checkpoint, mutate.archive, mutate.damaged)
        found["checkpoint (.pt)"] = Reader(".pt", 6, _checkpoint(folder), kept, _trained)
    for name, mutator in (
        ("config.json", records),
        ("deployment.json", records),
        ("source.nir", hdf5),
        ("shifted.nir", hdf5),
    ):
        use = _deployment(whole, name)
        share = 5 if name == "deployment.json" else 3
        found[f"deployment ({name})"] = Reader(
            Path(name).suffix, share, _files(whole, name), mutator, use
        )
    return found


# --- good files ------------------------------------------------------------------------------


def _files(folder: Path, name: str) -> tuple[bytes, ...]:
    return ((folder / name).read_bytes(),)


def _graphs(folder: Path) -> tuple[bytes, ...]:
    found = [GOOD.read_bytes(), (GRAPHS / "digits_lif.nir").read_bytes()]
    for seed in range(12):  # plain, nested and convolutional ones
        graph = Dynamics(1e-3).attach(mutate.any_graph(random.Random(seed)))
        write(graph, folder / "good.nir")
        found.append((folder / "good.nir").read_bytes())
    return tuple(found)


def _data(folder: Path) -> tuple[bytes, ...]:
    raster = np.random.default_rng(0).integers(0, 3, (2, 9, 2), np.uint8)
    deployment = convert(read(GOOD))
    place, found = folder / "data.nir", []
    gridded = to_nir(deployment.simulate(raster, record=True), DT, deployment.placement)
    events = to_nir(nirbridge.simulate_continuous(deployment.source, raster, DT), DT)
    for data in (gridded, events):
        write_data(data, place, force=True)
        found.append(place.read_bytes())
    return tuple(found)


def _raster_arrays() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 4, (5, 2), kind) for kind in (np.uint8, np.int64)]


def _npy() -> tuple[bytes, ...]:
    found = []
    for array in _raster_arrays():
        out = io.BytesIO()
        np.save(out, array)
        found.append(out.getvalue())
    return tuple(found)


def _npz() -> tuple[bytes, ...]:
    found = []
    for save in (np.savez, np.savez_compressed):
        out = io.BytesIO()
        save(out, x=np.stack(_raster_arrays()[:1] * 3), y=np.arange(3))
        found.append(out.getvalue())
    return tuple(found)


def _csv() -> bytes:
    return ("time,channel\n" + "".join(f"{k}e-4,{k % 2}\n" for k in range(20))).encode()


def _checkpoint(folder: Path) -> tuple[bytes, ...]:
    place = folder / "training.pt"
    _train(place, 1)
    return (place.read_bytes(),)


def _train(place: Path, epochs: int) -> nirbridge.Deployment:
    x = np.random.default_rng(0).integers(0, 2, (4, 5, 2), np.uint8)
    deployment = convert(read(GOOD), method="global")
    y = np.arange(4) % 2
    return nirbridge.finetune(deployment, x, y, epochs, batch=4, checkpoint=place, track=list)


# --- what is done with a file ----------------------------------------------------------------


def _graph(path: Path, out: Path) -> None:
    graph = read(path)
    write(graph, out / "again.nir")
    chance = zlib.crc32(path.read_bytes()) % 8  # what is slow is done with one of eight
    deployment = convert(graph, method="fit" if chance == 1 else "global")
    if chance == 0:
        deployment.save(out / "deployment")


def _nir_data(path: Path, out: Path) -> None:
    data = read_data(path)
    write_data(data, out / "again.nir")
    read_raster(path, 3, DT, "hidden/spikes")


def _raster(path: Path, _: Path) -> None:
    read_raster(path, 2, DT)
    read_typical(path, 2, DT)


def _config(path: Path, _: Path) -> None:
    config = XyloConfig.from_json(path.read_text(errors="replace"))
    config.violations("xylo-audio-2")
    assert XyloConfig.from_json(config.to_json()) == config
    simulate(config, np.ones((2, config.n_in), np.uint8))


def _imported(path: Path, out: Path) -> None:
    config = nirbridge.read_config(path, "xylo-audio-2", DT)
    made = nirbridge.imported(config)
    made.save(out / "imported")
    made.simulate(np.ones((2, config.n_in), np.uint8))


def _trained(path: Path, out: Path) -> None:
    place = out / "training.pt"
    shutil.copy(path, place)
    _train(place, 2).simulate(np.ones((2, 2), np.uint8))


def _deployment(whole: Path, name: str) -> Callable[[Path, Path], None]:
    def use(path: Path, out: Path) -> None:
        folder = out / "deployment"
        shutil.copytree(whole, folder)
        shutil.copy(path, folder / name)
        loaded = nirbridge.load(folder)
        loaded.check(np.ones((4, 2), np.uint8))
        loaded.energy(np.ones((4, 2), np.uint8))

    return use

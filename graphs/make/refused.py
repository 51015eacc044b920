"""One small file per diagnostic: python graphs/make/refused.py writes them all.

The manifest beside them says which command meets each file and which codes it must give.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import nir
import numpy as np

from nirbridge import Dynamics, XyloConfig, convert
from nirbridge.mapping.export_samna import to_samna

FOLDER = Path(__file__).resolve().parents[1] / "refused"
DT = 1e-3
KNOWN = Dynamics(DT, reset="subtract")

CONVERT = "convert {file} -o {out}"
SIMULATE = "simulate {deployment} {file} -o {out}.npz"
CHECK = "check {deployment} {file}"


@dataclass(frozen=True)
class Case:
    """A file, the command that must refuse it, and how."""

    file: str
    codes: tuple[str, ...]
    command: str
    why: str
    replaces: str = ""  # file of a deployment that it takes the place of


CASES: list[tuple[Case, Callable[[Path], None]]] = []
Writer = Callable[[Path], None]


def case(
    file: str, *codes: str, why: str, command: str = CONVERT, replaces: str = ""
) -> Callable[[Writer], Writer]:
    """Register the function that writes a file."""

    def register(writer: Writer) -> Writer:
        CASES.append((Case(file, codes, command, why, replaces), writer))
        return writer

    return register


def cuba(n: int, **changed: Any) -> nir.CubaLIF:
    """Neurons whose gains imply no time step."""
    one = np.ones(n)
    fields = {
        "tau_syn": 4e-3 * one,
        "tau_mem": 8e-3 * one,
        "r": one,
        "v_leak": 0 * one,
        "v_threshold": one,
        "v_reset": 0 * one,
        "w_in": one,
    }
    return nir.CubaLIF(**{**fields, **changed})


def network(inputs: int = 2, hidden: int = 3, outputs: int = 2, **nodes: Any) -> nir.NIRGraph:
    """Input → Linear → CubaLIF → Linear → CubaLIF → Output, with some nodes replaced."""
    chain = {
        "input": nir.Input(np.array([inputs])),
        "w1": nir.Linear(np.ones((hidden, inputs))),
        "hidden": cuba(hidden),
        "w2": nir.Linear(np.ones((outputs, hidden))),
        "out": cuba(outputs),
        "output": nir.Output(np.array([outputs])),
    }
    names = list(chain)
    edges = list(pairwise(names))
    return KNOWN.attach(nir.NIRGraph({**chain, **nodes}, edges, type_check=False))


def save(graph: nir.NIRGraph, path: Path) -> None:
    """As nir.write does, in the newer and smaller layout of HDF5."""
    nir.write(str(path), graph)
    shrink(path)


def shrink(path: Path) -> None:
    """Write a file again without the room that nir.write leaves, large arrays compressed."""
    temporary = path.with_suffix(".tmp")
    with h5py.File(path) as old, h5py.File(temporary, "w", libver="latest") as new:

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Group):
                new.require_group(name)
            elif item.dtype.kind in "fiu" and item.size > 64:
                new.create_dataset(name, data=item[()], compression=9, shuffle=True)
            else:
                new[name] = item[()]

        old.visititems(copy)
    temporary.replace(path)


def edited(path: Path, edit: Callable[[Any], None]) -> None:
    """A good file, changed with h5py."""
    save(network(), path)
    with h5py.File(path, "r+", libver="latest") as file:
        edit(file)


def replaced(file: Any, name: str, value: Any) -> None:
    """Put another dataset in the place of one."""
    del file[name]
    file[name] = value


# --- reading ---------------------------------------------------------------------------------


@case("NB102_not_hdf5.nir", "NB102", why="a text file")
def _(path: Path) -> None:
    path.write_text("this is no HDF5 file\n")


@case("NB102_truncated.nir", "NB102", why="the first half of a good file")
def _(path: Path) -> None:
    save(network(), path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@case("NB102_endless_heap.nir", "NB102", why="a heap of strings whose first object has no size")
def _(path: Path) -> None:
    edited(path, lambda _: None)
    content = bytearray(path.read_bytes())
    first = content.index(b"GCOL") + 16  # its size stands 8 bytes further on
    content[first + 8 : first + 16] = bytes(8)
    content[first : first + 2] = bytes(2)
    path.write_bytes(content)


@case("NB103_empty.nir", "NB103", why="HDF5 without a graph")
def _(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["something"] = 1


@case("NB104_version.nir", "NB104", why="stamped with a version that nobody has written")
def _(path: Path) -> None:
    edited(path, lambda f: replaced(f, "version", "99.0"))


@case("NB105_gigabytes.nir", "NB105", why="20 kB whose arrays claim 8 GB")
def _(path: Path) -> None:
    def grow(file: Any) -> None:
        del file["node/nodes/w1/weight"]
        shape = (2**15, 2**15)
        file.create_dataset("node/nodes/w1/weight", shape, "f8", chunks=(1024, 1024))

    edited(path, grow)


@case("NB106_external_link.nir", "NB106", why="a weight in another file")
def _(path: Path) -> None:
    def link(file: Any) -> None:
        del file["node/nodes/w1/weight"]
        file["node/nodes/w1/weight"] = h5py.ExternalLink("other.h5", "/weight")

    edited(path, link)


@case("NB106_soft_link.nir", "NB106", why="a weight that points to another")
def _(path: Path) -> None:
    def link(file: Any) -> None:
        del file["node/nodes/w1/weight"]
        file["node/nodes/w1/weight"] = h5py.SoftLink("/node/nodes/w2/weight")

    edited(path, link)


@case("NB106_virtual.nir", "NB106", why="a weight put together from another file")
def _(path: Path) -> None:
    def link(file: Any) -> None:
        del file["node/nodes/w1/weight"]
        layout = h5py.VirtualLayout((3, 2), "f8")
        layout[:] = h5py.VirtualSource("other.h5", "weight", (3, 2))
        file.create_virtual_dataset("node/nodes/w1/weight", layout)

    edited(path, link)


@case("NB107_unknown_type.nir", "NB107", why="a node of a type that NIR does not have")
def _(path: Path) -> None:
    edited(path, lambda f: replaced(f, "node/nodes/hidden/type", "Izhikevich"))


@case("NB108_missing_field.nir", "NB108", why="neurons without tau_mem")
def _(path: Path) -> None:
    edited(path, lambda f: f.__delitem__("node/nodes/hidden/tau_mem"))


@case("NB108_unknown_field.nir", "NB108", why="neurons with a parameter that NIR does not have")
def _(path: Path) -> None:
    edited(path, lambda f: f.create_dataset("node/nodes/hidden/tau_adapt", data=np.ones(3)))


@case("NB109_cycle.nir", "NB109", why="a group that contains itself")
def _(path: Path) -> None:
    def loop(file: Any) -> None:
        file["node/nodes/hidden/metadata/again"] = file["node"]

    edited(path, loop)


# --- verifying -------------------------------------------------------------------------------


@case("NB201_nan.nir", "NB201", why="a weight that is NaN")
def _(path: Path) -> None:
    save(network(w1=nir.Linear(np.array([[np.nan, 1.0], [1.0, 1.0], [1.0, 1.0]]))), path)


@case("NB201_shape.nir", "NB201", why="an Input of half a channel")
def _(path: Path) -> None:
    edited(path, lambda f: replaced(f, "node/nodes/input/shape", np.array([0.5])))


@case("NB202_tau_zero.nir", "NB202", why="a time constant of 0")
def _(path: Path) -> None:
    save(_tau(0.0), path)


def _tau(tau: float) -> nir.NIRGraph:
    graph = network()
    graph.nodes["hidden"] = cuba(3, tau_mem=np.array([8e-3, tau, 8e-3]))
    return graph


@case("NB203_dangling.nir", "NB203", why="an edge to a node that is not there")
def _(path: Path) -> None:
    edges = np.array([["input", "w1"], ["w1", "hidden"], ["hidden", "w2"], ["w2", "gone"]], "S")
    edited(path, lambda f: replaced(f, "node/edges", edges))


@case("NB203_into_input.nir", "NB203", why="an edge into the Input, which would be lost")
def _(path: Path) -> None:
    graph = network()
    graph.edges.append(("out", "input"))
    save(graph, path)


@case("NB204_shape.nir", "NB204", why="a weight for four inputs behind an Input of two")
def _(path: Path) -> None:
    save(network(w1=nir.Linear(np.ones((3, 4)))), path)


@case("NB205_cycle.nir", "NB205", why="two Linear nodes in a loop without a neuron")
def _(path: Path) -> None:
    graph = network(a=nir.Linear(np.eye(3)), b=nir.Linear(np.eye(3)))
    graph.edges.extend([("w1", "a"), ("a", "b"), ("b", "a"), ("b", "hidden")])
    save(graph, path)


@case("NB206_no_way.nir", "NB206", why="an Output that nothing reaches")
def _(path: Path) -> None:
    graph = network()
    graph.edges.remove(("out", "output"))
    save(graph, path)


@case("NB207_threshold.nir", "NB207", why="a threshold below the reset")
def _(path: Path) -> None:
    graph = network()
    graph.nodes["hidden"] = cuba(3, v_reset=2 * np.ones(3))
    save(graph, path)


@case("NB209_ragged.nir", "NB209", why="neurons whose parameters have different lengths")
def _(path: Path) -> None:
    edited(path, lambda f: replaced(f, "node/nodes/hidden/tau_mem", np.full(5, 8e-3)))


# --- time ------------------------------------------------------------------------------------


def unrecorded(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Without the record of its dynamics."""
    return nir.NIRGraph(graph.nodes, graph.edges, type_check=False)


@case("NB301_no_dt.nir", "NB301", why="nothing says or implies the time step")
def _(path: Path) -> None:
    save(unrecorded(network()), path)


@case("NB302_two_dt.nir", "NB302", why="r and w_in imply different time steps")
def _(path: Path) -> None:
    graph = network()
    graph.nodes["hidden"] = cuba(3, r=8 * np.ones(3), w_in=8 * np.ones(3))
    save(unrecorded(graph), path)


@case("NB303_short_tau.nir", "NB303", why="a time constant shorter than the Euler step")
def _(path: Path) -> None:
    save(_tau(1e-4), path)


@case("NB304_record.nir", "NB304", why="a record of dynamics with a word that nobody knows")
def _(path: Path) -> None:
    graph = network()
    graph.metadata["nirbridge"] = json.dumps({"version": 1, "dt": DT, "reset": "bounce"})
    save(graph, path)


# --- lowering and fitting ----------------------------------------------------------------------


@case("NB401_series.nir", "NB401", why="two filters in series before a membrane")
def _(path: Path) -> None:
    one = np.ones(3)
    graph = network(f=nir.LI(4e-3 * one, one, 0 * one))
    graph.edges.remove(("w1", "hidden"))
    graph.edges.extend([("w1", "f"), ("f", "hidden")])
    save(graph, path)


@case("NB402_shared.nir", "NB402", why="a readout that two Outputs share")
def _(path: Path) -> None:
    one = np.ones(2)
    graph = network(out=nir.LI(4e-3 * one, one, 0 * one), output2=nir.Output(np.array([2])))
    graph.edges.append(("out", "output2"))
    save(graph, path)


@case("NB501_method.nir", "NB501", why="no such method", command=CONVERT + " --method best")
def _(path: Path) -> None:
    save(network(), path)


@case("NB601_inputs.nir", "NB601", why="20 input channels")
def _(path: Path) -> None:
    save(network(inputs=20), path)


@case("NB602_hidden.nir", "NB602", why="1200 hidden neurons")
def _(path: Path) -> None:
    save(network(hidden=1200), path)


@case("NB603_outputs.nir", "NB603", why="10 output neurons")
def _(path: Path) -> None:
    save(network(outputs=10), path)


@case("NB604_fan_out.nir", "NB604", why="a neuron that reaches 100 others")
def _(path: Path) -> None:
    weight = np.zeros((100, 100))
    weight[:, 0] = 1
    graph = network(hidden=100, rec=nir.Linear(weight))
    graph.edges.extend([("hidden", "rec"), ("rec", "hidden")])
    save(graph, path)


@case("NB605_entries.nir", "NB605", why="1000 neurons with 40 targets each")
def _(path: Path) -> None:
    weight = sum(np.roll(np.eye(1000), k, axis=0) for k in range(40))
    graph = network(hidden=1000, rec=nir.Linear(weight))
    graph.edges.extend([("hidden", "rec"), ("rec", "hidden")])
    save(graph, path)


@case("NB606_bias.nir", "NB606", why="a bias of an output neuron of 1000 thresholds per step")
def _(path: Path) -> None:
    graph = network()
    graph.nodes["out"] = cuba(2, v_leak=np.array([8e3, 0.0]))
    save(graph, path)


@case("NB608_synapses.nir", "NB608", why="three synaptic time constants in one neuron")
def _(path: Path) -> None:
    one = np.ones(3)
    filters = {f"f{k}": nir.LI(2.0**k * 1e-3 * one, one, 0 * one) for k in (1, 2, 3)}
    hidden = nir.LIF(8e-3 * one, one, 0 * one, one, 0 * one)
    graph = network(**filters)
    graph.nodes["hidden"] = hidden
    graph.edges.remove(("w1", "hidden"))
    for name in filters:
        graph.edges.extend([("w1", name), (name, "hidden")])
    save(graph, path)


# --- configurations and deployments ------------------------------------------------------------


def config() -> dict[str, Any]:
    """A good configuration as JSON holds it."""
    made: XyloConfig = convert(network()).config
    return made.to_dict()


def spoilt(path: Path, **changed: Any) -> None:
    """A configuration with some fields changed."""
    path.write_text(json.dumps({**config(), **changed}) + "\n")


RASTER = "simulate {deployment} {raster} -o {out}.npz"
CONFIG = {"command": RASTER, "replaces": "config.json"}
RECORD = {"command": RASTER, "replaces": "deployment.json"}


AUDIO_3 = CONVERT + " --target xylo-audio-3"


@case("NB609_input_end.nir", "NB609", why="130 neurons that take input", command=AUDIO_3)
def _(path: Path) -> None:
    graph = network(hidden=130, w2=nir.Linear(np.eye(2, 130)), rec=nir.Linear(np.ones((130, 130))))
    graph.nodes["rec"].weight[1:] = 0  # all lead to the first, so that none is dead
    graph.edges.extend([("hidden", "rec"), ("rec", "hidden")])
    save(graph, path)


@case("NB610_output_end.nir", "NB610", why="130 neurons that drive outputs", command=AUDIO_3)
def _(path: Path) -> None:
    graph = network(hidden=130, w1=nir.Linear(np.eye(130, 2)), rec=nir.Linear(np.ones((130, 130))))
    graph.nodes["rec"].weight[:, 1:] = 0
    graph.edges.extend([("hidden", "rec"), ("rec", "hidden")])
    save(graph, path)


IMU = CONVERT + " --target xylo-imu"


@case("NB611_both_ends.nir", "NB611", why="128 of 369 neurons at both ends", command=IMU)
def _(path: Path) -> None:
    """A loop through one neuron, which keeps the matrices small; no room for relays at the end."""
    more = {
        "w3": nir.Linear(np.ones((1, 128))),
        "one": cuba(1),
        "w4": nir.Linear(np.ones((240, 1))),
        "back": cuba(240),
        "w5": nir.Linear(np.ones((1, 240))),
        "w6": nir.Linear(np.ones((128, 1))),
    }
    graph = network(hidden=128, **more)
    graph.edges.extend(pairwise(["hidden", "w3", "one", "w4", "back", "w5", "one", "w6", "hidden"]))
    save(graph, path)


@case("NB701_shape.json", "NB701", **CONFIG, why="too few thresholds")
def _(path: Path) -> None:
    spoilt(path, threshold=[100])


@case("NB702_type.json", "NB702", **CONFIG, why="a target that is a number")
def _(path: Path) -> None:
    spoilt(path, target=7)


@case("NB703_range.json", "NB703", **CONFIG, why="a decay shift of 16")
def _(path: Path) -> None:
    spoilt(path, dash_mem=[16, 3, 3])


@case("NB704_schema.json", "NB704", **CONFIG, why="another kind of record")
def _(path: Path) -> None:
    path.write_text('{"schema": "someone else\'s"}\n')


@case("NB704_deployment.json", "NB704", **RECORD, why="no JSON at all")
def _(path: Path) -> None:
    path.write_text("{")


@case("NB704_latency.json", "NB704", **RECORD, why="an answer that comes 10⁹ steps late")
def _(path: Path) -> None:
    with TemporaryDirectory() as folder:
        convert(network()).save(Path(folder) / "good")
        record = json.loads((Path(folder) / "good" / "deployment.json").read_text())
    record["placement"]["outputs"][0]["latency"] = 10**9
    path.write_text(json.dumps(record) + "\n")


IMPORT = "import {file} -o {out} --target xylo-audio-2"


def specification() -> dict[str, Any]:
    """A Rockpool specification as JSON: 2 inputs, 1 hidden and 1 output neuron."""
    return {
        "weights_in": [[7], [-3]],
        "weights_rec": [[0]],
        "weights_out": [[5]],
        **{name: [2] for name in ("dash_mem", "dash_syn", "dash_mem_out", "dash_syn_out")},
        "threshold": [10],
        "threshold_out": [10],
        "dt": DT,
    }


@case("NB301_samna.json", "NB301", command="import {file} -o {out}", why="no time step")
def _(path: Path) -> None:
    path.write_text(json.dumps(to_samna(convert(network()).config)) + "\n")


@case("NB702_specification.json", "NB702", command=IMPORT, why="weights that are not rounded")
def _(path: Path) -> None:
    path.write_text(json.dumps(specification() | {"weights_out": [[0.5]]}) + "\n")


@case("NB705_field.json", "NB705", command=IMPORT, why="a field that nobody reads")
def _(path: Path) -> None:
    path.write_text(json.dumps(specification() | {"noise_std": [0.1]}) + "\n")


@case("NB705_default.json", "NB705", command=IMPORT, why="no thresholds")
def _(path: Path) -> None:
    path.write_text(json.dumps(specification() | {"threshold": None}) + "\n")


@case("NB705_pickle.npz", "NB705", command=IMPORT, why="weights as Python objects")
def _(path: Path) -> None:
    np.savez(path, weights_in=np.array([[1], None], object))


@case(
    "NB706_no_class.nir",
    "NB706",
    command=CONVERT + " --target xylo-1 --format samna",
    why="a chip that the vendor's library has no known class for",
)
def _(path: Path) -> None:
    save(network(), path)


# --- rasters and files ---------------------------------------------------------------------------


@case("NB801_floats.npy", "NB801", command=SIMULATE, why="0.7 spikes")
def _(path: Path) -> None:
    np.save(path, np.full((5, 2), 0.7))


@case("NB801_negative.npy", "NB801", command=SIMULATE, why="−1 spikes")
def _(path: Path) -> None:
    np.save(path, np.full((5, 2), -1))


@case("NB802_channels.npy", "NB802", command=SIMULATE, why="three channels for a network of two")
def _(path: Path) -> None:
    np.save(path, np.ones((5, 3), int))


@case("NB802_events.csv", "NB802", command=SIMULATE, why="an event in a channel that is not there")
def _(path: Path) -> None:
    path.write_text("time,channel\n0.001,0\n0.002,9\n")


@case("NB803_pickle.npy", "NB803", command=SIMULATE, why="Python objects in place of numbers")
def _(path: Path) -> None:
    np.save(path, np.array([{}, None], dtype=object), allow_pickle=True)


@case("NB803_no_x.npz", "NB803", command=SIMULATE, why="arrays, but no raster x")
def _(path: Path) -> None:
    np.savez_compressed(path, z=np.ones((5, 2), int))


@case("NB803_events.csv", "NB803", command=SIMULATE, why="a line that is no event")
def _(path: Path) -> None:
    path.write_text("time,channel\n0.001,zero\n")


@case("NB804_labels.npz", "NB804", command=CHECK, why="two labels for three samples")
def _(path: Path) -> None:
    np.savez_compressed(path, x=np.ones((3, 5, 2), int), y=np.array([0, 1]))


@case("NB806_target.nir", "NB806", why="no such chip", command=CONVERT + " --target loihi")
def _(path: Path) -> None:
    save(network(), path)


def main() -> None:
    """Write all files and the manifest anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for entry, writer in CASES:
        writer(FOLDER / entry.file)
    save(network(), FOLDER / "good.nir")
    np.save(FOLDER / "good.npy", np.ones((5, 2), np.uint8))
    text = json.dumps([asdict(entry) for entry, _ in CASES], indent=1)
    (FOLDER / "manifest.json").write_text(text + "\n")
    size = sum(p.stat().st_size for p in FOLDER.iterdir())
    print(f"{len(CASES)} cases, {size} bytes")


if __name__ == "__main__":
    main()

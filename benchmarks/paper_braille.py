"""The recurrent Braille network of the NIR paper on its first real sample.

Hidden spikes of every simulator against those that each platform recorded on the same sample.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from benchmarks.paper_plots import figure, matrix, save
from nirbridge import (
    Dynamics,
    Refused,
    adapters,
    convert,
    read,
    simulate_continuous,
    simulate_stepped,
)
from nirbridge.check.metrics import compare
from nirbridge.quantize import DATA_FREE

PLATFORMS = ("norse", "snntorch", "spyx", "s2", "rockpool", "nengo")
LATE = {"spyx": 1}  # steps by which a platform logs
HIDDEN, SIZE = "lif1.lif", 40
HOW = Dynamics(1e-4, reset="subtract")
Spikes = dict[str, NDArray[Any]]


def measure(folder: Path) -> tuple[list[dict[str, Any]], Spikes, Spikes]:
    """One row per simulator; hidden spikes (T, 40) of each, and of each platform's recording."""
    graph = read(folder / "braille_noDelay_noBias_subtract.nir")
    sample = np.load(folder / "test_sample_0_label_1.npy")
    recorded = {name: _recorded(folder, name) for name in PLATFORMS}
    found, said, failed = _simulate(graph, sample)
    rows = [_row(name, spikes, recorded, said.get(name)) for name, spikes in found.items()]
    for name, spikes in recorded.items():
        row = _row(f"{name}, recorded", spikes, recorded, None)
        row["paper's accuracy"] = _accuracy(folder, name)
        rows.append(row)
    chip = {"model": "xylo, recorded", "paper's accuracy": _accuracy(folder, "xylo")}
    return [*rows, chip, *failed], found, recorded


def _simulate(
    graph: nir.NIRGraph, sample: NDArray[Any]
) -> tuple[Spikes, dict[str, int], list[dict[str, Any]]]:
    """Hidden spikes and the class, where a simulator shows both; rows of those that cannot."""
    stepped = simulate_stepped(graph, sample, HOW)
    exact = simulate_continuous(graph, sample, HOW.dt, reset="subtract")
    found: Spikes = {
        "nirbridge stepped": stepped.spikes[HIDDEN],
        "nirbridge continuous": exact.binned()[HIDDEN],
    }
    said = {
        "nirbridge stepped": _class(stepped.output),
        "nirbridge continuous": _class(exact.binned()["lif2"]),
    }
    for method in DATA_FREE:
        result = convert(graph, method=method, reset="subtract")
        recording = result.simulate(sample, record=True)
        assert recording.spikes is not None
        name = f"chip, {method}"
        found[name], said[name] = recording.spikes, _class(recording.output)
    failed = []
    shown = _hidden_shown(graph)
    for framework in adapters.FRAMEWORKS:
        name = f"{framework}, built"
        try:
            model = adapters.build(shown, framework, HOW)
            found[name] = adapters.run(model, sample)
            said[name] = _class(adapters.run(adapters.build(graph, framework, HOW), sample))
        except Refused as refused:
            failed.append({"model": name, "spikes": refused.diagnostics[0].found})
    return found, said, failed


def _hidden_shown(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The network with its hidden spikes as output, which is all that a built model shows."""
    nodes = {n: x for n, x in graph.nodes.items() if n not in ("fc2", "lif2")}
    nodes["output"] = nir.Output(np.array([SIZE]))
    edges = [(a, b) for a, b in graph.edges if a in nodes and b in nodes]
    return nir.NIRGraph(nodes, [*edges, (HIDDEN, "output")], type_check=False)


def _recorded(folder: Path, name: str) -> NDArray[np.float64]:
    """Activity (256, 40) as a platform recorded it, its own lateness removed."""
    array = np.load(folder / f"{name}_activity_noDelay_noBias_subtract.npy")
    late = LATE.get(name, 0)
    spikes = np.asarray(array, np.float64).reshape(-1, SIZE)
    return np.concatenate([spikes[late:], np.zeros((late, SIZE))])


def _accuracy(folder: Path, name: str) -> float:
    value = float(np.load(folder / f"{name}_accuracy_noDelay_noBias_subtract.npy"))
    return value / 100 if value > 1 else value


def _class(output: NDArray[Any]) -> int:
    return int(np.argmax(output.sum(axis=0)))


def _row(name: str, spikes: NDArray[Any], recorded: Spikes, said: int | None) -> dict[str, Any]:
    row: dict[str, Any] = {"model": name, "spikes": int(spikes.sum()), "says": said}
    for platform, other in recorded.items():
        found = compare(platform, other[None], spikes[None])
        step = "equal" if found.first_step is None else f"t{found.first_step}"
        row[platform] = f"{found.rate_cosine:.3f} {step}"
    return row


def plot(found: Spikes, recorded: Spikes, folder: Path) -> Path:
    """Cosines of mean hidden rates as a matrix."""
    models = {**found, **{f"{name}, recorded": x for name, x in recorded.items()}}
    values = np.array(
        [
            [compare("", b[None], a[None]).rate_cosine for b in recorded.values()]
            for a in models.values()
        ]
    )
    drawn, ((axes,),) = figure(width=8, height=6.5)
    title = "Braille, first sample: cosine of the 40 hidden neurons' mean rates"
    matrix(axes, values, list(models), [f"{name}, recorded" for name in recorded], title)
    return save(drawn, folder, "braille")

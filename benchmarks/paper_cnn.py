"""The N-MNIST network of the NIR paper on digits of our own, between simulators.

Its test set is not at hand, so the accuracies are not the paper's: the inputs are scikit-learn's
digits as :mod:`benchmarks.paper_events` encodes them.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import paper_events
from benchmarks.paper_plots import figure, matrix, save
from nirbridge import Dynamics, Refused, adapters, read, simulate_stepped
from nirbridge.check.metrics import cosine, decisions

SAMPLES, STEPS = 100, 100
SHAPE = (2, paper_events.SIDE, paper_events.SIDE)
PLATFORMS = (
    "sinabs", "s2", "s2_brian2", "lava", "nengo", "norse", "snntorch", "spyx", "speck"
)  # fmt: skip
# r·dt = 1: a spike through a weight w adds w to the membrane. Sinabs trained it.
SOURCE = Dynamics(1.0, reset="subtract", spikes_per_step=None, comparison=">=")
# What the frameworks' IF cells do by themselves when they import the graph.
OWN = {
    "sinabs": SOURCE,
    "rockpool": SOURCE,
    "snntorch": Dynamics(1.0, reset="subtract", reset_delay=1),
    "norse": Dynamics(1.0),
    "spikingjelly": Dynamics(1.0, comparison=">="),
}
Outputs = dict[str, NDArray[Any]]
Digits = tuple[NDArray[np.uint8], NDArray[np.int64]]


def measure(folder: Path) -> tuple[list[dict[str, Any]], Outputs, Digits]:
    """One row per simulator; output spikes (N, T, 10) of each, and inputs and labels."""
    graph = read(folder / "cnn_sinabs.nir")
    raster, labels = paper_events.load(SAMPLES, STEPS)
    simulate_stepped(graph, raster[:1], SOURCE)  # compiles
    start = perf_counter()
    reference = simulate_stepped(graph, raster, SOURCE).output
    rows = [_row("nirbridge stepped", reference, reference, labels, perf_counter() - start)]
    outputs: Outputs = {"nirbridge stepped": reference}
    start = perf_counter()
    single = simulate_stepped(graph, raster, SOURCE, dtype=np.float32).output
    rows.append(_row("the same in float32", single, reference, labels, perf_counter() - start))
    for framework in adapters.FRAMEWORKS:
        for kind, how in (("as the source", SOURCE), ("own cells", OWN.get(framework))):
            if how is None:
                continue
            name = f"{framework}, {kind}"
            try:
                model = adapters.build(graph, framework, how, strict=kind == "own cells")
            except Refused as refused:
                reason = refused.diagnostics[0]
                rows.append({"simulator": name, "output spikes": f"{reason.node} {reason.found}"})
                continue
            start = perf_counter()
            outputs[name] = adapters.run(model, raster, SHAPE)
            rows.append(_row(name, outputs[name], reference, labels, perf_counter() - start))
    rows += [
        {"simulator": f"{name}, recorded on N-MNIST", "accuracy": _accuracy(folder, name)}
        for name in PLATFORMS
    ]
    return rows, outputs, (raster, labels)


def _accuracy(folder: Path, name: str) -> float:
    return float(np.load(folder / f"{name}_accuracy.npy"))


def _row(
    name: str,
    output: NDArray[Any],
    reference: NDArray[Any],
    labels: NDArray[np.int64],
    seconds: float,
) -> dict[str, Any]:
    return {
        "simulator": name,
        "accuracy": float((decisions(output) == labels).mean()),
        "output spikes": int(output.sum()),
        "differ": int(np.abs(output - reference).sum()),
        "decided alike": float((decisions(output) == decisions(reference)).mean()),
        "cosine": _cosine(output, reference),
        "ms per sample and step": seconds * 1e3 / output[..., 0].size,
    }


def _cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Of the mean rates of the ten outputs in every sample."""
    rates = [np.asarray(x, np.float64).mean(axis=1).ravel() for x in (a, b)]
    return cosine(rates[0], rates[1])


def plot(outputs: Outputs, digits: Digits, folder: Path) -> list[Path]:
    """Cosines between the simulators, and what the network is shown."""
    raster, labels = digits
    names = list(outputs)
    values = np.array([[_cosine(a, b) for b in outputs.values()] for a in outputs.values()])
    drawn, ((axes,),) = figure(width=10, height=7)
    title = f"N-MNIST network, {len(raster)} digits: cosine of the outputs' mean rates per sample"
    matrix(axes, values, names, names, title)
    pictures, grid = figure(2, 5, width=9, height=4)
    kinds, first = np.unique(labels, return_index=True)
    images = [paper_events.frame(counts) for counts in raster[first]]
    limit = np.abs(images).max()
    for axes, image, label in zip(grid.ravel(), images, kinds, strict=False):
        shown = axes.imshow(image, cmap="PuOr", vmin=-limit, vmax=limit)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"digit {label}", fontsize=9)
    pictures.colorbar(shown, ax=grid, label="ON − OFF events", shrink=0.8)
    pictures.suptitle("First saccade (100 ms) of a sample of each digit, 34x34 pixels", fontsize=10)
    return [save(drawn, folder, "cnn"), save(pictures, folder, "cnn_input")]

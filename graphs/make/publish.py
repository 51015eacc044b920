"""Write an example network: the graph with its provenance, the check, the line in the manifest."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import digits
import nir
import numpy as np
import training
import verify

from nirbridge import Dynamics, write

MANIFEST = digits.GRAPHS / "manifest.json"
STATED = ("dt", "scheme", "reset", "reset_delay", "spikes_per_step", "comparison")


@dataclass(frozen=True)
class Example:
    """What a script knows about its network and no run has to find out."""

    name: str
    script: str
    framework: str
    seed: int
    sizes: tuple[int, ...]
    dynamics: Dynamics
    description: str


def publish(example: Example, train: training.Train) -> None:
    """Train; write the graph exactly as its framework exported it, with its dynamics as metadata.
    """
    print(example.name, flush=True)
    data = digits.load()
    graph, run = train(example.seed, data)
    counts = training.count(run, data.x_test)
    accuracy = training.accuracy(counts, data.y_test)
    path = digits.GRAPHS / f"{example.name}.nir"
    write(example.dynamics.attach(graph), path)
    inputs = digits.save_test()
    with np.load(inputs) as stored:
        found = verify.simulate(nir.read(path), stored["x"], asdict(example.dynamics))
    print(f"  test accuracy {accuracy:.4f}; NumPy against {example.framework}: "
          f"{verify.compare(counts, found)}")
    record(entry(example, graph, accuracy))


def entry(example: Example, graph: nir.NIRGraph, accuracy: float) -> dict[str, Any]:
    """The manifest's description of one graph."""
    stated = asdict(example.dynamics)
    return {
        "name": example.name,
        "file": f"{example.name}.nir",
        "made_by": f"graphs/make/{example.script}",
        "framework": example.framework,
        "framework_version": version(example.framework),
        "torch_version": version("torch"),
        "nir_version": version("nir"),
        "seed": example.seed,
        **{key: stated[key] for key in STATED},
        "float_accuracy": accuracy,
        "primitives": sorted({type(node).__name__ for node in graph.nodes.values()}),
        "parameters": list(example.sizes),
        "input": digits.INPUT_FILE,
        "labels": f"{digits.INPUT_FILE}:y",
        "description": example.description,
    }


def record(new: dict[str, Any]) -> None:
    """Put one entry into the manifest and leave the others as they are."""
    graphs: dict[str, dict[str, Any]] = {}
    if MANIFEST.exists():
        graphs = {old["name"]: old for old in json.loads(MANIFEST.read_text())["graphs"]}
    graphs[new["name"]] = new
    text = json.dumps({"graphs": [graphs[name] for name in sorted(graphs)]}, indent=2)
    MANIFEST.write_text(text + "\n")

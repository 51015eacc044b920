"""Thousands of generated graphs through the whole compiler: converted, or refused with a reason.

``python -m benchmarks.generated [--graphs 10000] [--nodes 50] [--seed 0] [--target CHIP]``

What is converted has no violation, does in every state what the vendor's simulator does (if that
is installed), and lowers to the same integers again.
Where every pass that was used preserves the dynamics exactly, the stepped model of the lowered
graph must equal that of the source bit for bit, moved back by its latency.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from importlib.util import find_spec
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.conformance import differences
from benchmarks.graphs import Options, any_graph, any_raster
from nirbridge import Deployment, Dynamics, Refused, convert, simulate_stepped
from nirbridge.check.models import MODELS
from nirbridge.graph.inline import inline
from nirbridge.targets import TARGETS, ChipSpec

# Everything at once, where most graphs hold something that is approximate or has no form.
ANYTHING = Options(
    populations=12,
    neurons=("LIF", "CubaLIF", "CubaLIF", "IF"),
    extras=("Delay", "Threshold", "LI"),
    space=0.1,
    v_reset=True,
)

# Only what has an exact form: no biases, no IF.
EXACT = Options(populations=14, extras=("Delay", "Threshold"), affine=False, v_leak=False)


def of_size(rng: np.random.Generator, nodes: int) -> nir.NIRGraph:
    """A generated graph with about so many nodes, nested ones counted flat."""
    while True:
        graph = any_graph(rng, ANYTHING if rng.random() < 0.5 else EXACT)
        if nodes * 0.6 <= len(inline(graph).nodes) <= nodes * 1.4:
            return graph


def judge(seed: int, nodes: int, target: str | ChipSpec = "xylo-audio-2") -> str:
    """What becomes of one generated graph."""
    rng = np.random.default_rng(seed)
    graph = of_size(rng, nodes)
    how = Dynamics.of(graph)
    assert how is not None
    raster = any_raster(rng, graph) % 2
    try:
        result = convert(graph, target)
    except Refused as refusal:
        code = refusal.diagnostics[0].code
        return f"refused {code}" if all(d.found for d in refusal.diagnostics) else "BAD refusal"
    if result.config.violations(target):
        return "WRONG: the chip cannot hold it"
    if find_spec("xylosim") and _differs(result, raster[0]):
        return "WRONG: xylosim does something else"
    if convert(result.deployed, target).config != result.config:
        return "WRONG: lowering what was lifted gives other integers"
    later = ("quantize", "fit", "schedule")
    sized = any(note.size for note in result.journal if note.stage not in later)
    # a schedule that only adds relays is exact; its other notes are those of late or early spikes
    sized |= any(n.stage == "schedule" and n.unit == "steps" and n.size for n in result.journal)
    if sized:
        return "converted, with approximations"
    return "converted, exact" if equals_source(result, graph, raster) else "WRONG"


def _differs(result: Deployment, raster: NDArray[Any]) -> bool:
    from benchmarks.xylosim_oracle import Oracle

    expected = Oracle.of(result.config).run(result.chip_input(raster))
    return differences(vars(result.simulate(raster, record=True)), expected) > 0


def equals_source(result: Deployment, graph: nir.NIRGraph, raster: NDArray[Any]) -> bool:
    """Whether the lowered graph does bit for bit what the source does."""
    run = next(m.run for m in MODELS if m.name == "lowered")(result, raster)
    wanted = simulate_stepped(graph, raster, result.dynamics)
    return all(np.array_equal(run.outputs[end], wanted.outputs[end]) for end in wanted.outputs)


def main() -> None:
    """Judge them all and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=list(TARGETS), default="xylo-audio-2")
    options = parser.parse_args()
    console = Console()
    counts: Counter[str] = Counter()
    wrong = []
    seeds = range(options.seed, options.seed + options.graphs)
    for seed in track(seeds, "graphs", console=Console(stderr=True)):
        verdict = judge(seed, options.nodes, options.target)
        counts[verdict] += 1
        if verdict.startswith(("WRONG", "BAD")):
            wrong.append(seed)
    title = f"{options.graphs} graphs of about {options.nodes} nodes, {options.target}"
    table = Table("verdict", "graphs", title=title)
    for verdict, count in counts.most_common():
        table.add_row(verdict, str(count))
    console.print(table)
    if wrong:
        console.print(f"wrong: seeds {wrong[:20]}")
        sys.exit(1)


if __name__ == "__main__":
    main()

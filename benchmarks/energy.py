"""Cycles and estimated power of the example networks, beside the figures that were published.

``python -m benchmarks.energy [--reference DIR] [--json FILE]``. The Braille network needs the NIR
paper's data; its one sample stands for all of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.examples import GRAPHS, ROOT
from benchmarks.machine import write_json
from nirbridge import convert, read
from nirbridge.energy import Energy, estimate_power
from nirbridge.report.units import quantity, span
from nirbridge.targets.power import POWER

REFERENCE = ROOT.parent / "shared" / "reference" / "nir-paper"
CHIP = "xylo-audio-2"


def networks(reference: Path) -> dict[str, Energy]:
    """Each example on the test digits, the Braille network on its sample; one is an inference."""
    with np.load(GRAPHS / "digits.npz") as stored:
        x = stored["x"]
    found = {p.stem: convert(read(p)).energy(x) for p in sorted(GRAPHS.glob("*.nir"))}
    folder = reference / "braille"
    if folder.is_dir():
        graph = read(folder / "braille_noDelay_noBias_subtract.nir")
        sample = np.load(folder / "test_sample_0_label_1.npy")
        found["braille"] = convert(graph, method="global", reset="subtract").energy(sample)
    return found


def row(name: str, found: Energy) -> dict[str, Any]:
    """The figures of one network as the table has them."""
    power, steps = found.power, found.activity.steps
    return {
        "network": name,
        "dt, steps": f"{found.dt * 1e3:g} ms, {steps}",
        "cycles/step": f"{found.activity.mean.total:,.0f}",
        "all spike": f"{found.worst.total:,.0f}",
        "slowest clock": quantity(found.clock, "Hz"),
        "cycles/inf": f"{found.activity.mean.total * steps:,.0f}",
        "operations/s": quantity(found.operations_per_second, ""),
        "silent": f"{found.activity.sparsity:.1%}",
        "dynamic": span(power.dynamic, "W"),
        "dynamic/inf": span(power.dynamic_energy, "J"),
        "energy/inf": span(power.energy, "J"),
    }


def as_published(braille: Energy) -> list[str]:
    """The Braille network at the paper's own rate, with one end of the range at a time."""
    rate = 277 / 23.8  # samples per second
    cycles = braille.activity.mean.total * braille.activity.steps
    found = estimate_power(POWER[CHIP], cycles * rate, rate)
    return [
        f"Braille at the published {rate:.3g} samples per second: {span(found.active, 'W')} "
        f"(published 277 µW), {span(found.energy, 'J')} per sample (published 23.8 µJ).",
        "The lower end is derived from this very measurement, the upper one from keyword spotting.",
    ]


def table(title: str, rows: list[dict[str, Any]]) -> Table:
    """Rows as a table."""
    shown = Table(*rows[0], title=title)
    for each in rows:
        shown.add_row(*map(str, each.values()))
    return shown


def main() -> None:
    """Print estimates and published figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="the NIR paper's data")
    parser.add_argument("--json", help="also write the figures, with the machine, to this file")
    options = parser.parse_args()
    found = networks(options.reference)
    console = Console(width=150)
    rows = [row(name, energy) for name, energy in found.items()]
    console.print(table("Estimated, Xylo Audio 2, `fit` (braille: `global`)", rows))
    if "braille" in found:
        console.print("\n".join(as_published(found["braille"])))
    else:
        console.print(f"no Braille network: no data in {options.reference}")
    figures = [vars(f) for f in POWER[CHIP].figures]
    shown = [{**f, "value": f"{f['value']:.3g}"} for f in figures]
    console.print(table("Published, and derived from that, Xylo Audio 2", shown))
    if options.json:
        write_json(options.json, {"estimated": {n: e.to_dict() for n, e in found.items()}})


if __name__ == "__main__":
    main()

"""One network on all simulators that are installed: whether they say the same, and how fast.

Names after the command, such as ``stepped xylo``, choose some of them. A picture of all pairs goes
to ``rates.svg`` in the current folder, which must not exist yet.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import nirbridge

GRAPHS = Path(__file__).resolve().parents[1] / "graphs"


def main() -> None:
    """Each simulator runs in a process of its own; one that fails has a line that says so."""
    picture = Path("rates.svg")
    if picture.exists():
        sys.exit(f"{picture} exists; move it away first")
    data = np.load(GRAPHS / "digits.npz")
    graph = nirbridge.read(GRAPHS / "digits_lif.nir")
    some = sys.argv[1:] or None
    found = nirbridge.bench(graph, data["x"][:20], data["y"][:20], on=some, repeat=1, ideal=2)
    for row in found.rows:
        if not row.samples:
            print(f"{row.simulator:13} {row.status}: {row.error}")
            continue
        same = "never" if row.first_step is None else f"at step {row.first_step}"
        print(
            f"{row.simulator:13} {row.accuracy:6.1%}  {1e6 * row.step_s:9.2f} µs per step, "
            f"differs {same}, rate cosine {row.rate_cosine:.4f}"
        )
    found.heat_map(picture)
    print(f"compared with {found.reference}; all pairs in {picture}")


if __name__ == "__main__":
    main()

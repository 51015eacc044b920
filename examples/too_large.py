"""A network that does not fit: read the refusal as data, have it pruned, see what that costs."""

from __future__ import annotations

import nir
import numpy as np
from numpy.typing import NDArray

import nirbridge

HIDDEN = 120
CHIP = "xylo-audio-2"


def network(recurrent: NDArray[np.float64]) -> nir.NIRGraph:
    """16 inputs, a recurrent population, 8 outputs."""
    rng = np.random.default_rng(0)

    def neurons(size: int) -> nir.CubaLIF:
        one = np.ones(size)
        return nir.CubaLIF(
            tau_mem=0.01 * one, tau_syn=0.005 * one, r=one, w_in=one, v_leak=0 * one,
            v_threshold=one, v_reset=0 * one,
        )  # fmt: skip

    nodes = {
        "in": nir.Input(np.array([16])),
        "w": nir.Linear(rng.normal(2, 4, (HIDDEN, 16))),
        "hidden": neurons(HIDDEN),
        "recurrent": nir.Linear(recurrent),
        "read": nir.Linear(rng.normal(0.1, 1, (8, HIDDEN))),
        "answer": neurons(8),
        "out": nir.Output(np.array([8])),
    }
    edges = [
        ("in", "w"), ("w", "hidden"), ("hidden", "recurrent"), ("recurrent", "hidden"),
        ("hidden", "read"), ("read", "answer"), ("answer", "out"),
    ]  # fmt: skip
    return nir.NIRGraph(nodes, edges)


def main() -> None:
    """All-to-all is more than a neuron of the chip can reach."""
    weights = np.random.default_rng(1).normal(0, 1, (HIDDEN, HIDDEN))  # row = target
    how = nirbridge.Dynamics(dt=1e-3, reset="subtract", spikes_per_step=None)
    try:
        nirbridge.convert(network(weights), CHIP, dynamics=how)
    except nirbridge.Refused as refusal:
        for found in refusal.diagnostics[:2]:
            print(found)
        print(f"... {len(refusal.diagnostics)} in all")

    # The weights of the smallest effect go: each counts with how often its source spikes.
    typical = np.random.default_rng(2).integers(0, 2, (20, 50, 16))
    deployment = nirbridge.convert(
        network(weights), CHIP, dynamics=how, prune="fan-out", calibration=typical
    )
    assert not deployment.config.violations()
    for note in deployment.journal:
        if note.stage == "fan-out":
            print(note)
    cosine = deployment.check(typical).rungs[-1].populations[0].rate_cosine
    print(f"it fits; cosine of mean rates, chip and float: {cosine:.3f}")


if __name__ == "__main__":
    main()

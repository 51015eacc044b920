"""Deployments that the tests of training and robustness share."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge import Deployment, Dynamics, XyloConfig, convert
from nirbridge.mapping.place import Placement, Population

DT = 1e-3
CLASSES = 3
STEPS = 12


def around(config: XyloConfig, relays: int = 0) -> Deployment:
    """A configuration as a deployment without graphs, its first hidden neurons ``relays``."""
    hidden = [Population("relay", 0, relays, relay=True)] if relays else []
    hidden.append(Population("hidden", relays, config.n_hidden - relays))
    none = nir.NIRGraph({}, [], type_check=False)
    return Deployment(
        config=config,
        lowered=none,
        shifted=none,
        deployed=none,
        journal=(),
        source=none,
        dynamics=Dynamics(config.dt),
        placement=Placement(
            tuple(hidden), (Population("readout", 0, config.n_out, latency=1, end="output"),)
        ),
        units={},
        method="none",
    )


def coarse(readout: bool = False, seed: int = 0) -> Deployment:
    """A small network with random weights: 4 channels, 12 recurrent neurons, 3 classes."""
    rng = np.random.default_rng(seed)
    tau = np.full(12, 8 * DT), np.full(12, 4 * DT)
    nodes: dict[str, nir.NIRNode] = {
        "input": nir.Input(np.array([4])),
        "w1": nir.Linear(rng.normal(0.1, 0.2, (12, 4))),
        "hidden": _cuba(12, *tau),
        "loop": nir.Linear(rng.normal(0, 0.05, (12, 12))),
        "w2": nir.Linear(rng.normal(0, 0.2, (CLASSES, 12))),
        "readout": _cuba(CLASSES, *(t[:CLASSES] for t in tau)),
        "output": nir.Output(np.array([CLASSES])),
    }
    if readout:
        last = nodes["readout"]
        nodes["readout"] = nir.CubaLI(
            last.tau_syn, last.tau_mem, last.r, last.v_leak, last.w_in
        )
    edges = [
        ("input", "w1"), ("w1", "hidden"), ("hidden", "loop"), ("loop", "hidden"),
        ("hidden", "w2"), ("w2", "readout"), ("readout", "output"),
    ]  # fmt: skip
    graph = nir.NIRGraph(nodes, edges)
    return convert(graph, dt=DT, method="channel", reset="subtract")


def _cuba(n: int, tau_mem: Any, tau_syn: Any) -> nir.CubaLIF:
    one = np.ones(n)
    return nir.CubaLIF(tau_syn, tau_mem, 8 * one, 0 * one, one, 0 * one, 4 * one)


def task(samples: int = 120, seed: int = 1) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the first three channels is busiest; the fourth is noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(samples) % CLASSES
    chance = np.full((samples, 1, 4), 0.25)
    chance[np.arange(samples), 0, y] = 0.6
    x = rng.random((samples, STEPS, 4)) < chance
    return x.astype(np.int64), y

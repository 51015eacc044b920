"""Small changes of the integers, kept where the chip comes nearer to the trained network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.calibrate.score import Judge, Score
from nirbridge.intformat import INT8, THRESHOLD
from nirbridge.mapping.config import XyloConfig
from nirbridge.mapping.lift import fires_once
from nirbridge.mapping.place import Placement

FACTORS = np.exp(np.linspace(-0.5, 0.5, 21))  # of an output's threshold
SHARES = (0.003, 0.01, 0.03)  # of the weights that change in one try
WEIGHTS = ("weights_in", "weights_rec", "weights_out")


def fit_outputs(
    config: XyloConfig, placement: Placement, judge: Judge, tries: Iterable[float] = FACTORS
) -> XyloConfig:
    """Scale the threshold of each output neuron so that it fires as often as in training.

    Output neurons do not feed back, so all are tried at once and each keeps its own best.
    """
    fires = [not (p.readout or p.relay) for p in placement.outputs for _ in range(p.size)]
    spiking = np.array(fires, bool)
    best = config.threshold_out.astype(np.int64)
    least = np.full(len(best), np.inf)
    for factor in (1.0, *tries):
        scaled = np.rint(config.threshold_out * factor).astype(np.int64)
        trial = np.where(spiking, np.clip(scaled, THRESHOLD.low, THRESHOLD.high), best)
        wanted, found = judge.outputs(replace(config, threshold_out=trial.astype(np.int16)))
        error = np.abs(wanted - found).sum(axis=0)
        better = spiking & (error < least)
        best, least = np.where(better, trial, best), np.where(better, error, least)
    return replace(config, threshold_out=best.astype(np.int16))


def search(
    config: XyloConfig,
    placement: Placement,
    judge: Judge,
    score: Score,
    tries: Iterable[int],
    seed: int,
) -> tuple[XyloConfig, Score]:
    """Round some weights the other way, or move a threshold, and keep what helps.

    Every proposal is judged by the chip itself. Connections that do not exist are not made, and
    relays stay exact. The same seed gives the same result.
    """
    moves = _moves(config, placement, np.random.default_rng(seed))
    for _ in tries:
        proposal = next(moves)
        trial = replace(config, **proposal(config))
        found = judge.score(trial)
        if found.total < score.total:
            config, score = trial, found
    return config, score


Proposal = Any  # a function: configuration → the fields that change


def _moves(
    config: XyloConfig, placement: Placement, rng: np.random.Generator
) -> Iterator[Proposal]:
    """An endless row of proposals."""
    fixed = np.array([p.relay for p in placement.hidden for _ in range(p.size)], bool)
    ends = np.array([p.relay for p in placement.outputs for _ in range(p.size)], bool)
    read = placement.readouts
    free = {
        "weights_in": (config.weights_in != 0) & ~fixed[None, :, None],
        "weights_rec": (config.weights_rec != 0) & ~fixed[None, :, None] & ~fixed[:, None, None],
        "weights_out": (config.weights_out != 0) & ~ends[None, :] & ~fixed[:, None],
    }
    names = [n for n in WEIGHTS if free[n].any()]
    thresholds = {"threshold": ~fixed, "threshold_out": ~(ends | read)}
    names += [n for n, mask in thresholds.items() if mask.any()]
    if not names:
        yield from iter(lambda: lambda _: {}, None)
    while True:
        name = str(rng.choice(names))
        if name in free:
            mask = free[name] & (rng.random(free[name].shape) < rng.choice(SHARES))
            steps = mask * rng.choice([-1, 1], size=mask.shape)
            yield lambda c, n=name, s=steps: {n: _weights(getattr(c, n), s)}
        else:
            which = int(rng.choice(np.flatnonzero(thresholds[name])))
            factor = float(np.exp(rng.normal(0, 0.05)))
            yield lambda c, n=name, i=which, f=factor: {n: _threshold(getattr(c, n), i, f)}


def _weights(old: NDArray[np.int8], steps: NDArray[np.int64]) -> NDArray[np.int8]:
    return np.asarray(np.clip(old + steps, INT8.low, INT8.high), np.int8)


def _threshold(old: NDArray[np.int16], which: int, factor: float) -> NDArray[np.int16]:
    """One threshold scaled; a neuron that fires once per step keeps doing so."""
    changed = old.astype(np.int64)
    low = 2**14 if fires_once(old)[which] else THRESHOLD.low
    high = THRESHOLD.high if fires_once(old)[which] else 2**14 - 1
    changed[which] = np.clip(np.rint(old[which] * factor), low, high)
    return changed.astype(np.int16)

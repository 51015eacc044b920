"""Generated networks through the chip simulator and through ``xylosim``: every integer compared.

``python -m benchmarks.conformance [--networks N] [--seed S] [--steps T] [--target CHIP]``

The target decides which arithmetic is run: that of the first chip, ``xylo-1``, is ``xylosim.v1``,
that of all others ``xylosim.v2``. Each network runs through the kernel in one piece and in two,
every tenth also through the readable rules. Exit status 1 if a single state, spike or output
differs from the vendor's.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.networks import any_config, any_raster
from nirbridge.intformat import DASH, HIDDEN_SPIKES, INPUT_SPIKES, INT16, SHIFT
from nirbridge.mapping import XyloConfig
from nirbridge.simulate import Recording, simulate
from nirbridge.simulate.packing import packed
from nirbridge.simulate.recording import RECORDED
from nirbridge.simulate.reference import simulate_by_rule
from nirbridge.targets import TARGETS, arithmetic

DEFAULT = "xylo-audio-2"
SHARE_BY_RULE = 10  # one network in so many is also run by the readable rules

Wide = NDArray[np.int64]

_CURRENTS = ("i_syn", "i_syn_2", "i_syn_out")
_MEMBRANES = ("v_mem", "v_mem_out")
_SHIFTS = range(SHIFT.low, SHIFT.high + 1)
_DASHES = range(DASH.low, DASH.high + 1)

# What a set of generated networks should reach, sorted into groups for the table.
RULES: dict[str, tuple[str, ...]] = {
    "a current saturates": (
        *(f"{name} at the {end} rail" for name in _CURRENTS for end in ("upper", "lower")),
    ),
    "the order of the entries decides": (*(f"order in {name}" for name in _CURRENTS),),
    "weight shifts": (*(f"shift_{name} {k}" for name in ("in", "rec", "out") for k in _SHIFTS),),
    "decay shifts": (
        *(
            f"dash_{name} {k}"
            for name in ("syn", "syn_2", "syn_out", "mem", "mem_out")
            for k in _DASHES
        ),
    ),
    "linear decay of small values": (
        *(f"{name} loses 1" for name in (*_CURRENTS, *_MEMBRANES)),
    ),
    "negative states": (
        *(f"{name} below 0" for name in (*_CURRENTS, *_MEMBRANES)),
    ),
    "a membrane saturates": (
        *(f"{name} at the {end} rail" for name in _MEMBRANES for end in ("upper", "lower")),
    ),
    # here the two arithmetics part: one saturates and wraps what the other takes whole
    "a change beyond 16 bits": (
        "sum of currents",
        "sum with bias",
        "output sum",
        "output sum with bias",
        "leak of -32768",
    ),
    "biases": ("bias > 0", "bias < 0", "output bias > 0", "output bias < 0"),
    "several spikes in a step": ("input above 15", "2 to 30 hidden spikes", "wide products"),
    "spike limits with a residual": ("31 spikes and more charge", "1 output and more charge"),
    "aliases that fired": (
        "alias up",
        "alias down",
        "alias to itself",
        "alias to neuron 0",
        "alias passed on in the same step",
        "alias target shared",
        "alias cut at 31",
        "alias leaves less than 31 to fire",
    ),
    "forms of weight rows": ("dense rows", "lists", "several bands"),
    "sizes": ("second synapse", "one synapse", "over 32 hidden", "over 128 hidden", "over 32 out"),
}


def rules_of(target: str) -> dict[str, tuple[str, ...]]:
    """Those that a chip has: without biases there are no rules about them."""
    if TARGETS[target].bias_bits.value:
        return RULES
    kept = {group: tuple(m for m in members if "bias" not in m) for group, members in RULES.items()}
    return {group: members for group, members in kept.items() if members}


def rules_reached(config: XyloConfig, raster: NDArray[Any], recording: Recording) -> set[str]:
    """Which of ``RULES`` a recording from zeros passed.

    Parameters
    ----------
    config, raster
        The network and its (T, n_in) counts.
    recording
        What it did, with all states.

    """
    counts = np.minimum(raster, INPUT_SPIKES).astype(np.int64)
    before = {name: _delayed(getattr(recording, name)) for name in RECORDED}
    spikes = before["spikes"]
    w_in = config.weights_in.astype(np.int64) << config.weight_shift_in
    w_rec = config.weights_rec.astype(np.int64) << config.weight_shift_rec
    w_out = config.weights_out.astype(np.int64) << config.weight_shift_out
    sources = np.hstack([counts, spikes])
    reached: set[str] = set()
    currents = []
    for name, dash, by, weights in (
        ("syn", config.dash_syn, sources, np.vstack([w_in[:, :, 0], w_rec[:, :, 0]])),
        ("syn_2", config.dash_syn_2, sources, np.vstack([w_in[:, :, 1], w_rec[:, :, 1]])),
        ("syn_out", config.dash_syn_out, spikes, w_out),
    ):
        x, passed = _accumulated(f"i_{name}", before[f"i_{name}"], by, weights)
        reached |= passed | _decays(name, f"i_{name}", dash, x)
        currents.append(np.asarray(getattr(recording, f"i_{name}"), np.int64))
    reached |= _shifts(config, counts, spikes)
    reached |= _membranes("", config, before["v_mem"], currents[0] + currents[1])
    reached |= _membranes("_out", config, before["v_mem_out"], currents[2])
    reached |= _limits(config, raster, recording) | _aliases(config, recording)
    return reached | _forms(config)


def _when(conditions: dict[str, Any]) -> set[str]:
    return {name for name, condition in conditions.items() if np.any(condition)}


def _delayed(values: Any) -> Wide:
    """The same a step later: what each step starts from."""
    wide = np.asarray(values, np.int64)
    return np.vstack([np.zeros_like(wide[:1]), wide[:-1]])


def _accumulated(name: str, start: Wide, counts: Wide, weights: Wide) -> tuple[Wide, set[str]]:
    """Currents (T, n) after all entries and before decay; whether they saturated on the way."""
    x, upper, lower = start, False, False
    for source in range(counts.shape[1]):
        total = x + counts[:, source, None] * weights[source]
        upper |= bool(np.any(total > INT16.high))
        lower |= bool(np.any(total < INT16.low))
        x = np.clip(total, INT16.low, INT16.high)
    at_once = np.clip(start + counts @ weights, INT16.low, INT16.high)
    return x, _when(
        {
            f"{name} at the upper rail": upper,
            f"{name} at the lower rail": lower,
            f"order in {name}": at_once != x,
        }
    )


def _lost(x: Wide, dash: NDArray[Any]) -> Wide:
    shifted = x >> dash
    return np.where((x > 0) & (shifted == 0), 1, shifted)


def _decays(name: str, state: str, dash: NDArray[Any], x: Wide) -> set[str]:
    """Which decay shifts acted on a state, and how."""
    used = {f"dash_{name} {k}" for k in np.unique(dash[(x != 0).any(axis=0)])}
    floor = {f"{state} loses 1": (x > 0) & (x >> dash == 0), f"{state} below 0": x < 0}
    return used | _when(floor)


def _shifts(config: XyloConfig, counts: Wide, spikes: Wide) -> set[str]:
    """Weight shifts of matrices through which any spike went."""
    return _when(
        {
            f"shift_{name} {shift}": counts.any(axis=0) @ (weights.reshape(len(weights), -1) != 0)
            for name, shift, counts, weights in (
                ("in", config.weight_shift_in, counts, config.weights_in),
                ("rec", config.weight_shift_rec, spikes, config.weights_rec),
                ("out", config.weight_shift_out, spikes, config.weights_out),
            )
        }
    )


def _membranes(which: str, config: XyloConfig, v: Wide, current: Wide) -> set[str]:
    """What happened to the membranes of the hidden ("") or output ("_out") neurons."""
    name, said = f"v_mem{which}", "output " if which else ""
    bias = getattr(config, f"bias{which}").astype(np.int64)
    dash = getattr(config, f"dash_mem{which}")
    leak = _lost(v, dash)
    if arithmetic(config.target) == "v1":
        change = biased = current - leak
        x = v + change
    else:
        change = np.where(leak == INT16.low, INT16.low, -leak) + current
        biased = np.clip(change, INT16.low, INT16.high) + bias
        x = v + np.clip(biased, INT16.low, INT16.high)
    return _decays(f"mem{which}", name, dash, v) | _when(
        {
            f"{name} at the upper rail": x > INT16.high,
            f"{name} at the lower rail": x < INT16.low,
            f"{said}sum" if which else "sum of currents": _outside(change),
            f"{said}sum with bias": _outside(biased),
            "leak of -32768": leak == INT16.low,
            f"{said}bias > 0": bias > 0,
            f"{said}bias < 0": bias < 0,
        }
    )


def _outside(x: Wide) -> NDArray[np.bool_]:
    return (x < INT16.low) | (x > INT16.high)


def _limits(config: XyloConfig, raster: NDArray[Any], recording: Recording) -> set[str]:
    """Spike counts, and membranes that kept a whole threshold because of a limit."""
    spikes = np.asarray(recording.spikes)
    rest = np.asarray(recording.v_mem) >= config.threshold
    rest_out = np.asarray(recording.v_mem_out) >= config.threshold_out
    fits = packed(config)[0][3][: config.n_in].astype(np.int64)
    factor = np.minimum(raster, INPUT_SPIKES).astype(np.int64) << config.weight_shift_in
    return _when(
        {
            "input above 15": raster > INPUT_SPIKES,
            "2 to 30 hidden spikes": (spikes > 1) & (spikes < HIDDEN_SPIKES),
            "31 spikes and more charge": (spikes == HIDDEN_SPIKES) & rest,
            "1 output and more charge": (recording.output == 1) & rest_out,
            "wide products": factor > fits,
        }
    )


def _aliases(config: XyloConfig, recording: Recording) -> set[str]:
    """What aliases did whose source fired."""
    spikes = np.asarray(recording.spikes, np.int64)
    source = np.flatnonzero((config.aliases >= 0) & spikes.any(axis=0))
    target = config.aliases[source]
    chained = (target > source) & (config.aliases[target] > target)
    received = np.zeros_like(spikes)
    for a, b in zip(source, target, strict=True):
        received[:, b] += spikes[:, a]
    early = np.zeros_like(spikes)
    for a, b in zip(source, target, strict=True):
        if b > a:
            early[:, b] += spikes[:, a]
    kept = np.asarray(recording.v_mem) >= config.threshold
    return _when(
        {
            "alias up": target > source,
            "alias down": target < source,
            "alias to itself": target == source,
            "alias to neuron 0": target == 0,
            "alias passed on in the same step": chained,
            "alias target shared": len(np.unique(target)) < len(target),
            "alias cut at 31": received > HIDDEN_SPIKES,
            "alias leaves less than 31 to fire": (early > 0) & kept,
        }
    )


def _forms(config: XyloConfig) -> set[str]:
    """How the kernel holds the weights, and sizes that matter to it."""
    (bands, *_), _, _, _, two, *_ = packed(config)
    return _when(
        {
            "dense rows": (bands[:, 2] == 0) & (bands[:, 1] > 0),
            "lists": bands[:, 2] == 1,
            "several bands": np.sum(bands[:, 1] > 0) > 2,
            "second synapse": two,
            "one synapse": not two,
            "over 32 hidden": config.n_hidden > 32,
            "over 128 hidden": config.n_hidden > 128,
            "over 32 out": config.n_out > 32,
        }
    )


def differences(found: dict[str, Any], expected: dict[str, Any]) -> int:
    """How many integers differ, over all recorded arrays."""
    return sum(int(np.sum(np.asarray(found[name]) != expected[name])) for name in expected)


def in_pieces(config: XyloConfig, raster: NDArray[Any], cut: int) -> dict[str, NDArray[Any]]:
    """What the kernel records when fed ``raster`` up to ``cut`` and then the rest."""
    first = simulate(config, raster[:cut], record=True)
    rest = simulate(config, raster[cut:], record=True, state=first.state)
    return {
        name: np.vstack([getattr(first, name), getattr(rest, name)])
        for name in ("output", *RECORDED)
    }


def compare(
    seeds: Iterable[Any], steps: int, target: str = DEFAULT
) -> tuple[Counter[str], Counter[str], list[Any]]:
    """Run a network per seed. Totals; networks that reached each rule; seeds that differ."""
    from benchmarks.xylosim_oracle import Oracle

    totals: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    wrong = []
    for k, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        config = any_config(rng, target)
        raster = any_raster(rng, config.n_in, steps)
        expected = Oracle.of(config).run(raster)
        recording = simulate(config, raster, record=True)
        differ = differences(vars(recording), expected)
        differ += differences(in_pieces(config, raster, int(rng.integers(steps + 1))), expected)
        if k % SHARE_BY_RULE == 0:
            differ += differences(simulate_by_rule(config, raster), expected)
            totals["networks by the readable rules"] += 1
        wrong += [seed] if differ else []
        totals["networks"] += 1
        totals["steps"] += steps
        totals["integers compared"] += sum(values.size for values in expected.values())
        totals["differences"] += differ
        rules.update(rules_reached(config, raster, recording))
    return totals, rules, wrong


def report(totals: Counter[str], rules: Counter[str], target: str = DEFAULT) -> Table:
    """The table: totals, then per group of rules how many networks reached its rarest rule."""
    names = ("networks", "networks by the readable rules", "steps", "integers compared")
    table = Table(
        title=f"Chip simulator against xylosim.{arithmetic(target)} ({target})",
        caption="\n".join(f"{totals[name]:,} {name}" for name in (*names, "differences")),
    )
    table.add_column("what networks reached")
    table.add_column("rules", justify="right")
    table.add_column("the rarest of them")
    table.add_column("in networks", justify="right")
    for group, members in rules_of(target).items():
        rarest = min(members, key=lambda name: rules[name])
        table.add_row(group, str(len(members)), rarest, f"{rules[rarest]:,}")
    return table


def main() -> int:
    """Compare, print the table; 1 if anything differed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--networks", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--target", choices=list(TARGETS), default=DEFAULT)
    options = parser.parse_args()
    console = Console()
    seeds = track(
        [(options.seed, k) for k in range(options.networks)], "networks", console=console
    )
    totals, rules, wrong = compare(seeds, options.steps, options.target)
    console.print(report(totals, rules, options.target))
    for seed in wrong[:10]:
        console.print(f"differs: numpy.random.default_rng({seed})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

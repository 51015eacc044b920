"""Rows as Markdown: means and standard deviations over the seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from benchmarks.accuracy.measure import Row

ABSENT = "-"
HARD = "recurrent"

# Most points below the trained network that a method should lose, as a mean over seeds.
AIMS = {"fit": 3.0, "calibrate": 1.0, "finetune": 0.0}
HARD_AIMS = {"fit": 12.0, "calibrate": 8.0, "finetune": 0.0}

RUNGS = {
    "lowered": "chip's form",
    "reset": "reset, spikes per step",
    "decays": "decays",
    "rounded": "rounding",
    "chip": "saturation, floor",
}
"""What each rung of the check changes, in few words."""

Value = Callable[[Row], float]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean ± standard deviation."""
    if not values:
        return ABSENT
    text = f"{mean(values):.{digits}f}"
    return f"{text} ± {stdev(values):.{digits}f}" if len(values) > 1 else text


def gap(row: Row) -> float:
    """Points above (or below, negative) the trained network."""
    return 100 * (row.chip - row.trained)


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines))


def per_method(rows: Sequence[Row], methods: Sequence[str], value: Value, digits: int = 1) -> str:
    """A line per task, a column per method."""
    lines = [
        [task, *(spread([value(r) for r in _of(rows, task, m)], digits) for m in methods)]
        for task in tasks(rows)
    ]
    return markdown(["task", *methods], lines)


def accuracies(rows: Sequence[Row], methods: Sequence[str]) -> str:
    """The first table: accuracy in per cent, as trained and on the chip."""
    lines = []
    for task in tasks(rows):
        trained = {r.seed: 100 * r.trained for r in rows if r.task == task}
        cells = [spread([100 * r.chip for r in _of(rows, task, m)]) for m in methods]
        lines.append([task, spread(list(trained.values())), *cells])
    return markdown(["task", "as trained", *methods], lines)


def budget(rows: Sequence[Row], task: str) -> str:
    """Decisions, in per cent, that each rung costs; a line per method."""
    lines = []
    for method in dict.fromkeys(r.method for r in rows if r.task == task and r.losses):
        mine = _of(rows, task, method)
        cells = [spread([100 * r.losses[name] for r in mine]) for name in RUNGS]
        ratio = spread([r.spike_ratio for r in mine], 2)
        lines.append([method, *cells, spread([100 * (1 - r.agreement) for r in mine]), ratio])
    return markdown(["method", *RUNGS.values(), "in all", "spikes, chip / trained"], lines)


def aims(rows: Sequence[Row]) -> str:
    """What should be reached, what is, and which rung costs most where it is not."""
    lines = []
    for task in tasks(rows):
        for method, most in (HARD_AIMS if task == HARD else AIMS).items():
            mine = _of(rows, task, method)
            if not mine:
                lines.append([task, method, f"{0 - most:.0f}", ABSENT, ABSENT, ABSENT])
                continue
            found = mean(gap(r) for r in mine)
            reached = found >= -most - 1e-9  # sums of shares are not exact
            losses = {name: mean(r.losses[name] for r in mine) for name in RUNGS}
            worst = max(losses, key=lambda name: losses[name])
            rung = "" if reached else f"{RUNGS[worst]} ({100 * losses[worst]:.1f})"
            lines.append(
                [task, method, f"{0 - most:.0f}", f"{found:+.2f}", "yes" if reached else "no", rung]
            )
    return markdown(["task", "method", "aim", "found", "reached", "rung that costs most"], lines)


def tasks(rows: Sequence[Row]) -> list[str]:
    """Names in the order in which they come."""
    return list(dict.fromkeys(r.task for r in rows))


def page(
    rows: Sequence[Row],
    methods: Sequence[str],
    networks: Mapping[str, str],
    failed: Mapping[str, str],
    machine: Mapping[str, Any],
) -> str:
    """The whole page."""
    seeds = len({r.seed for r in rows})
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    parts = [
        "# Accuracy of trained networks on the chip",
        f"`python -m benchmarks.accuracy`; {seeds} seeds of each network, mean ± standard "
        "deviation; Xylo Audio 2, simulated bit for bit. Decisions are those of the whole test "
        f"set. {machine['processor']}, {machine['cores']} cores, Python {machine['python']}; "
        f"{versions}.",
        markdown(["task", "network"], [[t, networks[t]] for t in tasks(rows)]),
        "## Accuracy, per cent",
        accuracies(rows, methods),
        "## Points above the trained network",
        per_method(rows, methods, gap),
        "## Aims: points above the trained network, as means",
        aims(rows),
        "## Decisions that agree with the trained network, per cent",
        per_method(rows, methods, lambda r: 100 * r.agreement),
    ]
    for task in tasks(rows):
        title = f"## Error budget, {task}: per cent of the decisions lost on each rung"
        parts += [title, budget(rows, task)]
    parts += [
        "## Seconds to convert a network",
        per_method(rows, methods, lambda r: r.seconds, 2),
        "## Memory for it, megabytes above what the process held before (most over the seeds)",
        per_method(_highest(rows), methods, lambda r: r.megabytes, 0),
    ]
    if failed:
        parts += ["## Not possible", *(f"- {what}: {why}" for what, why in failed.items())]
    return "\n\n".join(parts) + "\n"


def _of(rows: Sequence[Row], task: str, method: str) -> list[Row]:
    return [r for r in rows if (r.task, r.method) == (task, method)]


def _highest(rows: Sequence[Row]) -> list[Row]:
    """One row per task and method: the last, whose peak is the highest."""
    return list({(r.task, r.method): r for r in rows}.values())

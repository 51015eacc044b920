"""Train five networks per task, deploy them by every method, write the tables.

``python -m benchmarks.accuracy``

The trainings need ``pip install "torch==2.13.0" snntorch nirtorch scikit-learn``, the keywords
also ``pip install --no-deps espeakng-loader`` (espeak-ng is GPL-3; it is used to make the data and
by nothing else). What is in the cache needs none of these. Rockpool's quantisers are in the table
where ``pip install rockpool`` was done; without it, and for a method that nirbridge does not have
yet, the table has a dash.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.accuracy import table
from benchmarks.accuracy.cache import Cache
from benchmarks.accuracy.measure import Row, measure
from benchmarks.accuracy.methods import METHODS
from benchmarks.accuracy.tasks.all import TASKS
from benchmarks.machine import describe, write_json

BENCHMARKS = Path(__file__).resolve().parents[1]
PAGE = "accuracy.md"


def main() -> None:
    """Train what is not in the cache, measure, write."""
    options = _options()
    chosen = [t for t in TASKS if t.name in options.tasks]
    methods = [m for m in METHODS if m.name in options.methods]
    seeds = list(range(1, options.seeds + 1))
    rows: list[Row] = []
    failed: dict[str, str] = {}
    options.results.mkdir(parents=True, exist_ok=True)
    for task in chosen:
        for seed in seeds:
            Cache(options.cache).network(task, seed, options.retrain)
        for method in methods:
            if not method.possible:
                continue
            found = measure(task, method, seeds, options.cache)
            if isinstance(found, str):
                failed[f"{task.name}, {method.name}"] = found
                print(task.name, method.name, found, flush=True)
                continue
            rows += found
            gaps = table.spread([table.gap(r) for r in found])
            print(f"{task.name:12} {method.name:18} {gaps} points", flush=True)
        _write(options, rows, failed)  # after each task: all of them take long
    print((options.results / PAGE).read_text(encoding="utf-8"))


def _write(options: argparse.Namespace, rows: list[Row], failed: dict[str, str]) -> None:
    networks = {t.name: t.network for t in TASKS}
    text = table.page(rows, options.methods, networks, failed, describe())
    (options.results / PAGE).write_text(text, encoding="utf-8")
    content = {"rows": [row.to_dict() for row in rows], "failed": failed}
    write_json(str(options.json or options.results / "accuracy.json"), content)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks, methods = [t.name for t in TASKS], [m.name for m in METHODS]
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=tasks)
    parser.add_argument("--seeds", type=int, default=5, help="how many networks of each")
    parser.add_argument("--methods", nargs="+", choices=methods, default=methods, metavar="METHOD")
    parser.add_argument("--cache", type=Path, default=BENCHMARKS / "cache")
    parser.add_argument("--results", type=Path, default=BENCHMARKS / "results")
    parser.add_argument("--retrain", action="store_true", help="even what is in the cache")
    parser.add_argument("--json", type=Path, help="figures; by default beside the tables")
    return parser.parse_args()


if __name__ == "__main__":
    main()

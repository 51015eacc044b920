"""``nirbridge bench``: one network on every simulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli_common import (
    REFUSED,
    AsJson,
    Dt,
    Force,
    GraphFile,
    ResetWord,
    SchemeWord,
    SpikeLimit,
    dynamics_words,
    given,
    needs,
    show,
    show_json,
)
from nirbridge.diagnostics import visible

if TYPE_CHECKING:
    import nir

    from nirbridge.bench import Bench, Input
    from nirbridge.diagnostics import Diagnostic


def bench(
    graph: GraphFile,
    input: Annotated[
        list[Path] | None,
        typer.Option(metavar="RASTER", help="What it runs on; may be given several times."),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Simulators, by name.", show_default="all installed"),
    ] = None,
    random: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Instead of --input: spikes per channel and step."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of a random input.", show_default="100")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Random inputs, one for each seed.", show_default="1"),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="First samples of an input; or to draw.", show_default="all"),
    ] = None,
    ideal: Annotated[int, typer.Option(min=1, help="Samples to run in continuous time.")] = 10,
    dt: Dt = None,
    scheme: SchemeWord = None,
    reset: ResetWord = None,
    spikes_per_step: SpikeLimit = None,
    repeat: Annotated[int, typer.Option(min=1, help="Timed runs, after a first one.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each simulator.")] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds for each simulator and input.")] = 300.0,
    jobs: Annotated[
        int, typer.Option(min=1, help="Simulators at a time; timings suffer from more than one.")
    ] = 1,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on a Dask cluster instead.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="New .json: all figures.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="New heat map: .png, .svg, .pdf.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Run a graph on every simulator that is installed, and compare what they send.

    Each has a process of its own; one that fails has a row that says so. Exit code 3 if none runs.
    """
    from nirbridge import bench as run
    from nirbridge import read
    from nirbridge.bench.picture import SUFFIXES
    from nirbridge.files import check_suffix
    from nirbridge.places import check_places
    from nirbridge.progress import bar
    from nirbridge.report.bench import comparison
    from nirbridge.timing import resolve

    if (random is None) == (not input):
        raise typer.BadParameter("give either --input FILE or --random RATE", param_hint="--input")
    needs(steps, "--steps", random, "--random")
    needs(seeds, "--seeds", random, "--random")
    if not 0 < timeout < 1e8:
        raise typer.BadParameter("not a number of seconds > 0", param_hint="--timeout")
    for path, suffixes in ((output, (".json",)), (picture, SUFFIXES)):
        if path is not None:
            check_suffix(path, suffixes)
    check_places([graph, *(input or [])], files=given(output, picture), force=force)
    network = read(graph)
    how = resolve(network, dt, **dynamics_words(scheme, reset, spikes_per_step))
    if random is None:
        inputs = list(_read(network, input or [], how.dt))
    else:
        inputs = _draw(network, random, steps or 100, samples or 1, seeds or 1)
    found = run(
        network, inputs, on=None if on is None else [n.strip() for n in on.split(",") if n.strip()],
        dynamics=how, samples=samples, threads=threads, repeat=repeat, timeout=timeout,
        ideal=ideal, jobs=jobs, dask=dask, track=bar("simulating"),
    )  # fmt: skip
    content = {"graph": graph.name, **found.to_dict()}
    if output is not None:
        _write_json(output, content, force)
    if picture is not None and found.ran:
        found.heat_map(picture, force=force)
    problem = None if found.ran else _none_ran(found)
    if as_json:
        show_json(content if problem is None else {**content, "refused": [problem.to_dict()]})
    else:
        show(comparison(found, visible(graph.name)))
    if problem is not None:
        typer.echo(str(problem), err=True)
        raise typer.Exit(REFUSED)


def _read(network: nir.NIRGraph, paths: list[Path], dt: float) -> Iterator[Input]:
    """Raster files, called by their names, and by their paths where two have the same name."""
    from nirbridge.bench import Input
    from nirbridge.pipeline import channels
    from nirbridge.rasterfiles import read_raster

    names = [path.name for path in paths]
    for path in paths:
        name = visible(path.name if names.count(path.name) == 1 else str(path))
        yield Input(name, *read_raster(path, channels(network), dt))


def _draw(
    network: nir.NIRGraph, rate: float, steps: int, samples: int, seeds: int
) -> list[Input]:
    from nirbridge.bench import random_inputs
    from nirbridge.pipeline import channels

    return random_inputs(channels(network), rate, steps, samples, range(seeds))


def _write_json(path: Path, content: dict[str, Any], force: bool) -> None:
    from nirbridge.files import replacing
    from nirbridge.report.facts import to_json

    with replacing(path, force) as temporary:
        temporary.write_text(to_json(content) + "\n", encoding="utf-8")


def _none_ran(found: Bench) -> Diagnostic:
    from nirbridge.diagnostics import diagnose

    reasons = "; ".join(f"{row.simulator}: {row.status}" for row in found.rows)
    return diagnose("NB811", limit="one or more", found=reasons)

"""The ``nirbridge`` command: arguments in, exit code out.

Exit codes: 0 done; 1 the check found more difference than tolerated; 2 wrong usage; 3 refused,
with the diagnostics on stderr.
"""

from __future__ import annotations

import io
import json
import os
import sys
from enum import Enum
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

DIFFERS, USAGE, REFUSED = 1, 2, 3

app = typer.Typer(
    help="From a spiking network in NIR to a verified configuration of a Xylo chip.",
    epilog="Exit codes: 0 done, 1 differs beyond the tolerance, 2 wrong usage, 3 refused.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


class Scheme(str, Enum):
    """Integration schemes."""

    euler = "euler"
    exponential = "exponential"


class Reset(str, Enum):
    """Resets."""

    value = "value"
    subtract = "subtract"


GraphFile = Annotated[Path, typer.Argument(metavar="GRAPH", help="A .nir file.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="What `convert` wrote.")]
RasterFile = Annotated[
    Path, typer.Argument(metavar="RASTER", help=".npy, .npz (x, optional y) or .csv of events.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing output.")]
Dt = Annotated[float | None, typer.Option(help="Time step in seconds.", show_default="the graph's")]


@app.command()
def convert(
    graph: GraphFile,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="New directory.")],
    target: Annotated[str, typer.Option(help="Chip; see `nirbridge targets`.")] = "xylo-audio-2",
    dt: Dt = None,
    scheme: Annotated[Scheme | None, typer.Option(help="How the source integrates.")] = None,
    reset: Annotated[Reset | None, typer.Option(help="How the source resets.")] = None,
    spikes_per_step: Annotated[
        str | None, typer.Option(metavar="N|any", help="Most spikes of a neuron in one step.")
    ] = None,
    method: Annotated[str, typer.Option(help="How to quantise: global, channel, fit.")] = "fit",
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A raster of typical input.")
    ] = None,
    force: Force = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the journal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rewrite, quantise and map a NIR graph for a chip, and write the result into a directory."""
    from nirbridge import pipeline, read
    from nirbridge.deployment import check_place
    from nirbridge.rasterfiles import read_raster
    from nirbridge.report import text
    from nirbridge.timing import resolve

    check_place(output, force)
    network = read(graph)
    words: dict[str, Any] = {}
    if scheme is not None:
        words["scheme"] = scheme.value
    if reset is not None:
        words["reset"] = reset.value
    if spikes_per_step is not None:
        words["spikes_per_step"] = _spike_limit(spikes_per_step)
    raster = None
    if calibration is not None:
        how = resolve(network, dt, None, **words)
        raster, _ = read_raster(calibration, pipeline.channels(network), how.dt)
    result = pipeline.convert(
        network, target, dt=dt, method=method, calibration=raster, **words
    )
    result.save(output, force=force)
    if as_json:
        _print_json({"directory": str(output), "journal": [n.to_dict() for n in result.journal]})
        return
    shown: list[RenderableType] = [text.journal(result.journal)] if verbose else []
    _print(*shown, text.deployment(result, str(output)))


def _spike_limit(word: str) -> int | None:
    if word == "any":
        return None
    if not word.isdecimal() or len(word) > 9:
        raise typer.BadParameter(f"{word[:20]!r} is neither a number nor 'any'")
    return int(word)


@app.command()
def simulate(
    directory: Folder,
    raster: RasterFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="New .npy, .npz or .csv.")
    ],
    record: Annotated[bool, typer.Option(help="Also write all states (.npz).")] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Run the chip on a raster, bit for bit, and write its output spikes."""
    from nirbridge import load
    from nirbridge.rasterfiles import check_output, read_raster, write_recording

    check_output(output, force, record=record)
    deployment = load(directory)
    counts, _ = read_raster(raster, deployment.n_in, deployment.config.dt)
    check_output(output, force, batched=counts.ndim == 3, record=record)
    recording = deployment.simulate(counts, record)
    write_recording(recording, output, deployment.config.dt, force)
    facts = {
        "file": str(output),
        "shape": list(recording.output.shape),
        "output_spikes": int(recording.output.sum()),
        "clipped_inputs": recording.clipped_inputs,
    }
    if as_json:
        _print_json(facts)
    else:
        typer.echo("\n".join(f"{name.replace('_', ' ')}: {facts[name]}" for name in facts))


@app.command()
def finetune(
    directory: Folder,
    raster: Annotated[
        Path, typer.Argument(metavar="RASTER", help=".npz with samples x and labels y.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="New directory.")],
    epochs: Annotated[int, typer.Option(help="Most passes over the samples.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the split, the order and the noise.")] = 0,
    rate: Annotated[float, typer.Option(help="Learning rate of Adam.")] = 1e-3,
    batch: Annotated[int, typer.Option(help="Samples per update.")] = 64,
    validation: Annotated[float, typer.Option(help="Share of the samples kept apart.")] = 0.1,
    patience: Annotated[
        int, typer.Option(help="Epochs without a better one after which to stop.")
    ] = 5,
    decays: Annotated[bool, typer.Option("--decays", help="Train the decays too.")] = False,
    noise: Annotated[float, typer.Option(help="Relative noise on the parameters.")] = 0.0,
    adversarial: Annotated[
        float, typer.Option(help="Relative bound of the perturbation to train against.")
    ] = 0.0,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Written after each epoch; continued from if there."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Train a deployment on, through the arithmetic of its chip."""
    from nirbridge import finetune as train
    from nirbridge import load
    from nirbridge.deployment import check_place
    from nirbridge.rasterfiles import read_raster
    from nirbridge.report import text

    check_place(output, force)
    deployment = load(directory)
    counts, labels = read_raster(raster, deployment.n_in, deployment.config.dt)
    result = train(
        deployment,
        counts,
        labels,
        epochs,
        seed=seed,
        rate=rate,
        batch=batch,
        validation=validation,
        patience=patience,
        decays=decays,
        noise=noise,
        adversarial=adversarial,
        checkpoint=checkpoint,
    )
    result.save(output, force=force)
    done = result.journal[len(deployment.journal) :]
    if as_json:
        _print_json({"directory": str(output), "journal": [note.to_dict() for note in done]})
    else:
        _print(text.journal(done), text.deployment(result, str(output)))


@app.command()
def check(
    directory: Folder,
    raster: RasterFile,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of samples that chip and float network may decide otherwise."
        ),
    ] = 0.1,
    ideal: Annotated[
        int, typer.Option(min=0, help="Samples to run in continuous time as well.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Compare the chip with the network as it was trained, on one raster."""
    from nirbridge import load
    from nirbridge.progress import bar
    from nirbridge.rasterfiles import read_raster
    from nirbridge.report import text

    if isnan(tolerance):  # which the range lets pass
        raise typer.BadParameter("nan is not in the range 0<=x<=1", param_hint="--tolerance")
    deployment = load(directory)
    counts, labels = read_raster(raster, deployment.n_in, deployment.config.dt)
    drift = deployment.check(counts, labels, ideal, track=bar("checking"))
    within = 1 - drift.agreement <= tolerance
    if as_json:
        _print_json({**drift.to_dict(), "tolerance": tolerance, "within": within})
    else:
        verdict = "within" if within else "BEYOND"
        _print(
            text.drift(drift),
            f"{1 - drift.agreement:.1%} of the decisions differ: {verdict} the tolerance of "
            f"{tolerance:.1%}",
        )
    if not within:
        raise typer.Exit(DIFFERS)


@app.command()
def inspect(graph: GraphFile, dt: Dt = None, as_json: AsJson = False) -> None:
    """Show a graph: nodes, shapes, time constants, the time step it implies, what it fits on."""
    from nirbridge import Dynamics, read
    from nirbridge.report import facts, text

    if dt is not None:
        Dynamics(dt)  # refuses what is no time step
    network = read(graph)
    found = facts.inspect(network, dt)
    if as_json:
        _print_json(found.to_dict())
    else:
        _print(text.inspection(found, graph.name))


@app.command()
def targets(as_json: AsJson = False) -> None:
    """List the chips and their limits, with the source of each."""
    from nirbridge.report import facts, text
    from nirbridge.targets import TARGETS

    if as_json:
        _print_json({name: facts.chip(spec) for name, spec in TARGETS.items()})
    else:
        _print(text.targets(TARGETS.values()))


def _print(*shown: RenderableType) -> None:
    from rich.console import Console

    # no markup: what looks like it is the user's own name of a node or a file
    console = Console(highlight=False, markup=False, emoji=False)
    for each in shown:
        console.print(each)


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(_plain(content), indent=1, allow_nan=False))


def _plain(content: Any) -> Any:
    """The same without infinities and NaN, which JSON does not have: null stands for them."""
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    return None if isinstance(content, float) and not isfinite(content) else content


def main() -> None:
    """Run the command; what was refused goes to stderr, one diagnostic after the other."""
    from nirbridge.diagnostics import Refused, diagnose

    for stream in (sys.stdout, sys.stderr):  # arrows and Greek letters on a terminal without them
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except Refused as refusal:
        found = list(refusal.diagnostics)
    except OSError as error:
        place = str(error.filename or "")
        found = [diagnose("NB807", node=place, limit="access", found=error.strerror or error)]
    except MemoryError:
        found = [diagnose("NB807", limit="the memory of this machine", found="not enough")]
    try:
        if "--json" in sys.argv:
            typer.echo(json.dumps({"refused": [d.to_dict() for d in found]}, indent=1))
        typer.echo("\n".join(str(d) for d in found), err=True)
    except BrokenPipeError:  # nobody reads; nor shall Python complain when it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(REFUSED)

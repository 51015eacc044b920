"""The ``nirbridge`` command: arguments in, exit code out.

Exit codes: 0 done; 1 the check found more difference than tolerated; 2 wrong usage; 3 refused,
with the diagnostics on stderr; 128 and the signal's number where one ended it, as shells have it:
130 for Ctrl-C, 141 if nobody reads what it prints.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from nirbridge.cli_bench import bench
from nirbridge.cli_common import (
    BROKEN,
    DIFFERS,
    REFUSED,
    AsJson,
    DataNode,
    Dt,
    Folder,
    Force,
    Formats,
    GraphFile,
    RasterFile,
    ResetWord,
    SchemeWord,
    SpikeLimit,
    dynamics_words,
    format_names,
    given,
    needs,
    show,
    show_json,
)
from nirbridge.cli_deploy import deploy
from nirbridge.cli_energy import energy
from nirbridge.cli_export import export, import_
from nirbridge.cli_finetune import finetune
from nirbridge.cli_report import (
    IdealSamples,
    ReportFile,
    Tolerance,
    check_tolerance,
    pages,
    report,
    write_report,
)
from nirbridge.diagnostics import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nirbridge.deployment import Deployment

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

app = typer.Typer(
    epilog="Exit codes: 0 done, 1 the chip differs, 2 wrong usage, 3 refused, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(asked: bool) -> None:
    if asked:
        from nirbridge import __version__

        typer.echo(f"nirbridge {__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_version, help="Print the version."),
    ] = False,
) -> None:
    """From a spiking network in NIR to a verified configuration of a Xylo chip."""


@app.command()
def convert(
    graph: GraphFile,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="New directory.")],
    target: Annotated[str, typer.Option(help="Chip; see `nirbridge targets`.")] = "xylo-audio-2",
    dt: Dt = None,
    scheme: SchemeWord = None,
    reset: ResetWord = None,
    spikes_per_step: SpikeLimit = None,
    method: Annotated[
        str, typer.Option(help="How to quantise: global, channel, fit, calibrate.")
    ] = "fit",
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Typical input, without labels.")
    ] = None,
    node: DataNode = None,
    formats: Formats = None,
    report: ReportFile = None,
    prune: Annotated[
        str | None,
        typer.Option(help="What to give up where the chip has too little room: fan-out."),
    ] = None,
    force: Force = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the journal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rewrite, quantise and map a NIR graph for a chip, and write the result into a directory."""
    from nirbridge import pipeline, read
    from nirbridge.configfiles import check_formats
    from nirbridge.origin import command_line
    from nirbridge.places import check_places
    from nirbridge.progress import bar
    from nirbridge.rasterfiles import read_typical
    from nirbridge.report import text
    from nirbridge.timing import resolve

    needs(node, "--node", calibration, "--calibration")
    inputs = [graph, *given(calibration)]
    check_places(inputs, folder=output, files=pages(report), force=force)
    wanted = check_formats(format_names(formats), target)
    network = read(graph)
    words = dynamics_words(scheme, reset, spikes_per_step)
    typical = None
    if calibration is not None:
        how = resolve(network, dt, None, **words)
        typical = read_typical(calibration, pipeline.channels(network), how.dt, node)
    result = pipeline.convert(
        network,
        target,
        dt=dt,
        method=method,
        calibration=typical,
        prune=prune,
        track=bar("calibrating"),
        **words,
    )
    result = replace(result, origin=result.origin.then(command_line(), inputs))
    counts, labels = _shown(typical, None if report is None else calibration, result)
    result.save(output, force=force, formats=wanted)
    if report is not None:
        write_report(
            result, report, [*inputs, output], graph.stem, counts, labels, source=calibration,
            force=force, track=bar("checking"),
        )  # fmt: skip
    if as_json:
        show_json({"directory": str(output), "journal": [n.to_dict() for n in result.journal]})
        return
    shown: list[RenderableType] = [text.journal(result.journal)] if verbose else []
    show(*shown, text.deployment(result, visible(str(output))))


def _shown(typical: Any, file: Path | None, result: Deployment) -> tuple[Any, Any]:
    """What a report shows: a calibration in the time step that was chosen, labels of its file."""
    from nirbridge.check.drift import check_labels
    from nirbridge.data import to_raster
    from nirbridge.rasterfiles import read_raster

    if file is None or typical is None:
        return None, None
    if hasattr(typical, "nodes"):
        return to_raster(typical, result.n_in, result.config.dt), None
    _, labels = read_raster(file, result.n_in)
    check_labels(labels, len(typical) if typical.ndim == 3 else 1, result.config.n_out)
    return typical, labels


@app.command()
def simulate(
    directory: Folder,
    raster: RasterFile,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="New .npy, .npz, .csv (one sample), or NIR's data (.nir, .h5, .hdf5).",
        ),
    ],
    record: Annotated[
        bool, typer.Option("--record", help="Also write all states; not into .npy or .csv.")
    ] = False,
    node: DataNode = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Simulate the chip on a raster, bit for bit, and write its output spikes."""
    from nirbridge import load
    from nirbridge.places import check_places
    from nirbridge.rasterfiles import check_output, read_raster, write_recording

    check_output(output, force, record=record)
    check_places([directory, raster], files=[output], force=force)
    deployment = load(directory)
    counts, _ = read_raster(raster, deployment.n_in, deployment.config.dt, node)
    check_output(output, force, batched=counts.ndim == 3, record=record)
    recording = deployment.simulate(counts, record)
    write_recording(recording, output, deployment.config.dt, force, deployment.placement)
    facts = {
        "file": str(output),
        "shape": list(recording.output.shape),
        "output_spikes": int(recording.output.sum()),
        "clipped_inputs": recording.clipped_inputs,
    }
    if as_json:
        show_json(facts)
    else:
        lines = [f"{name.replace('_', ' ')}: {fact}" for name, fact in facts.items()]
        typer.echo("\n".join(map(visible, lines)))


@app.command()
def check(
    directory: Folder,
    raster: RasterFile,
    tolerance: Tolerance = 0.1,
    ideal: IdealSamples = 1,
    node: DataNode = None,
    report: ReportFile = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Compare the simulated chip with the network as it was trained, on one raster."""
    from nirbridge import load
    from nirbridge.places import check_places
    from nirbridge.progress import bar
    from nirbridge.rasterfiles import read_raster
    from nirbridge.report import text

    check_tolerance(tolerance)
    check_places([directory, raster], files=pages(report), force=force)
    deployment = load(directory)
    counts, labels = read_raster(raster, deployment.n_in, deployment.config.dt, node)
    drift = deployment.check(counts, labels, ideal, track=bar("checking"))
    if report is not None:
        write_report(
            deployment, report, [directory, raster], directory.resolve().name, counts, labels,
            source=raster, drift=drift, tolerance=tolerance, force=force,
        )  # fmt: skip
    state = drift.state(tolerance)
    if as_json:
        within = state != "bad"
        show_json({**drift.to_dict(), "tolerance": tolerance, "within": within, "state": state})
    else:
        show(text.drift(drift), text.judged(drift, tolerance))
    if state == "bad":
        raise typer.Exit(DIFFERS)


app.command()(finetune)
app.command()(bench)
app.command()(export)
app.command("import")(import_)
app.command()(deploy)
app.command()(energy)
app.command()(report)


@app.command()
def inspect(
    graph: GraphFile,
    dt: Dt = None,
    draw: Annotated[
        Path | None, typer.Option(metavar="FILE", help="New .svg: the graph as a picture.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Show a graph: nodes, shapes, time constants, the time step it implies, what it fits on."""
    from nirbridge import Dynamics, read
    from nirbridge.files import check_suffix, replacing
    from nirbridge.places import check_places
    from nirbridge.report import drawing, facts, text

    if draw is not None:
        check_suffix(draw, (".svg",))
        check_places([graph], files=[draw], force=force)
    if dt is not None:
        Dynamics(dt)  # refuses what is no time step
    network = read(graph)
    if draw is not None:
        picture = drawing.draw(network, dt=dt, title=graph.name)
        with replacing(draw, force) as temporary:
            temporary.write_text(picture, encoding="utf-8")
    found = facts.inspect(network, dt)
    if as_json:
        show_json(found.to_dict())
    else:
        show(text.inspection(found, visible(graph.name)))


@app.command()
def targets(
    fits: Annotated[
        Path | None,
        typer.Option(metavar="GRAPH", help="What this graph takes up on each, and why not."),
    ] = None,
    dt: Dt = None,
    scheme: SchemeWord = None,
    reset: ResetWord = None,
    spikes_per_step: SpikeLimit = None,
    as_json: AsJson = False,
) -> None:
    """List the chips and their limits, with the source of each; or what fits on them."""
    from nirbridge import read
    from nirbridge.report import facts, text
    from nirbridge.targets import TARGETS
    from nirbridge.usage import usage

    for value, name in (
        (dt, "--dt"), (scheme, "--scheme"), (reset, "--reset"),
        (spikes_per_step, "--spikes-per-step"),
    ):  # fmt: skip
        needs(value, name, fits, "--fits")
    if fits is not None:
        words = dynamics_words(scheme, reset, spikes_per_step)
        found = usage(read(fits), TARGETS.values(), dt, **words)
        if as_json:
            show_json({each.chip.name: each.to_dict() for each in found})
        else:
            show(text.usage(found, visible(fits.name)))
        return
    if as_json:
        show_json({name: facts.chip(spec) for name, spec in TARGETS.items()})
    else:
        show(text.targets(TARGETS.values()))


def main() -> None:
    """Run the command; what was refused goes to stderr, one diagnostic after the other."""
    from nirbridge.diagnostics import Diagnostic, Refused, diagnose

    _prepare()
    code: int | str | None = REFUSED
    found: list[Diagnostic] = []
    try:
        app()
    except SystemExit as end:
        # Click says 1 where nobody reads any more, which here would mean that something differs
        code = BROKEN if isinstance(end.__context__, BrokenPipeError) else end.code
    except Refused as refusal:
        found = list(refusal.diagnostics)
    except OSError as error:
        place, said = str(error.filename or ""), error.strerror or error
        remedy = "make room, or choose another place" if error.errno in FULL else None
        found = [diagnose("NB807", node=place, limit="access", found=said, remedy=remedy)]
    except MemoryError:
        found = [diagnose("NB807", limit="the memory of this machine", found="not enough")]
    if found:
        if "--json" in sys.argv:
            _tell(sys.stdout, json.dumps({"refused": [d.to_dict() for d in found]}, indent=1))
        _tell(sys.stderr, "\n".join(str(d) for d in found))
    whole = [_tell(stream) for stream in (sys.stdout, sys.stderr)]
    sys.exit(code if all(whole) else code or REFUSED)


def _prepare() -> None:
    for stream in (sys.stdout, sys.stderr):  # arrows and Greek letters on a terminal without them
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for name in ("SIGTERM", "SIGHUP"):  # that what runs or was begun is tidied up
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


def _stop(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _tell(stream: TextIO | None, text: str = "") -> bool:
    """Write on a stream all that it holds; whether it took it. One that did not is closed."""
    if stream is None:
        return True
    try:
        if text:
            stream.write(f"{text}\n")
        stream.flush()
    except OSError:  # nor shall Python complain when it ends
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return False
    return True

"""The command ``report``, and what ``convert`` and ``check`` do for their ``--report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli_common import AsJson, DataNode, Folder, Force, given, needs, show_json
from nirbridge.diagnostics import visible

if TYPE_CHECKING:
    from nirbridge.check import Drift
    from nirbridge.deployment import Deployment

ReportFile = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="New .html: all about it, on one page."),
]
Tolerance = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        help="Share of samples on which chip and trained network may decide differently.",
    ),
]


IdealSamples = Annotated[
    int, typer.Option(min=0, help="Samples to run in continuous time as well; 0 for none.")
]


def report(
    directory: Folder,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="New .html; a .json beside it.")
    ],
    input: Annotated[
        Path | None,
        typer.Option(metavar="RASTER", help="Typical input.", show_default="random spikes"),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=".npy or .npz (y).", show_default="those of the input"),
    ] = None,
    tolerance: Tolerance = 0.1,
    ideal: IdealSamples = 1,
    node: DataNode = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a page with all that there is to know about a deployment, and its facts as JSON.

    The page is one file that needs nothing else: verdict, error budget, accuracy, spikes, states,
    the network before and after, the chip, energy, findings, and how to make it again.
    """
    from nirbridge import load
    from nirbridge.places import check_places
    from nirbridge.progress import bar
    from nirbridge.rasterfiles import read_labels, read_raster

    needs(labels, "--labels", input, "--input")
    needs(node, "--node", input, "--input")
    check_tolerance(tolerance)
    files = [directory, *given(input, labels)]
    check_places(files, files=pages(output), force=force)
    deployment = load(directory)
    counts = answers = None
    if input is not None:
        counts, answers = read_raster(input, deployment.n_in, deployment.config.dt, node)
        if labels is not None:
            answers = read_labels(labels)
    verdict = write_report(
        deployment, output, files, directory.resolve().name,
        counts, answers, source=input, tolerance=tolerance, ideal=ideal, force=force,
        track=bar("checking"),
    )  # fmt: skip
    if as_json:
        show_json({"page": str(output), "facts": str(output.with_suffix(".json")), **verdict})
    else:
        said = " ".join([verdict["sentence"], *verdict["caveats"]])
        typer.echo(f"{said}\nwritten to {visible(str(output))}")


def pages(report: Path | None) -> list[Path]:
    """What a report is written to: the page, and the facts beside it; nothing without a report.

    Raises
    ------
    Refused
        NB806 for another suffix than .html.

    """
    from nirbridge.files import check_suffix
    from nirbridge.report.page import SUFFIXES

    if report is None:
        return []
    check_suffix(report, SUFFIXES)
    return [report, report.with_suffix(".json")]


def check_tolerance(tolerance: float) -> None:
    """Refuse NaN, which the range of the option lets pass."""
    if tolerance != tolerance:
        raise typer.BadParameter("nan is not in the range 0<=x<=1", param_hint="--tolerance")


def write_report(
    deployment: Deployment,
    path: Path,
    files: list[Path],
    title: str,
    raster: Any = None,
    labels: Any = None,
    *,
    source: Path | None = None,
    drift: Drift | None = None,
    tolerance: float = 0.1,
    ideal: int = 1,
    force: bool = False,
    track: Any = None,
) -> dict[str, Any]:
    """Gather and write a report; ``files`` are those that were read. Gives back the verdict."""
    from nirbridge.origin import command_line
    from nirbridge.report.page import write
    from nirbridge.report.provenance import provenance
    from nirbridge.report.story import gather

    story = gather(
        deployment,
        raster,
        labels,
        title=title,
        source="" if source is None else source.name,
        drift=drift,
        tolerance=tolerance,
        ideal=ideal,
        made_by=provenance(files, command_line()),
        track=track,
    )
    write(story, path, force)
    found: dict[str, Any] = story.to_dict()["verdict"]
    return found

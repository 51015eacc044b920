"""``nirbridge energy``: what a converted network costs on the chip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nirbridge.cli_common import AsJson, DataNode, Folder, show, show_json


def energy(
    directory: Folder,
    input: Annotated[
        Path, typer.Option(metavar="RASTER", help="Typical input: what the chip will be fed.")
    ],
    rate: Annotated[
        float | None,
        typer.Option(help="Inferences per second.", show_default="a sample is an inference"),
    ] = None,
    steps_per_inference: Annotated[
        float | None, typer.Option(help="The same, as time steps from one to the next.")
    ] = None,
    node: DataNode = None,
    as_json: AsJson = False,
) -> None:
    """Estimate clock cycles, the clock that they need, operations, power and energy.

    At the activity that the simulation has on the input. Power is estimated from published
    figures, which are shown with what the estimate takes for granted.
    """
    from nirbridge import load
    from nirbridge.rasterfiles import read_raster
    from nirbridge.report import energy as text

    if rate is not None and steps_per_inference is not None:
        raise typer.BadParameter("not with --rate", param_hint="--steps-per-inference")
    deployment = load(directory)
    counts, _ = read_raster(input, deployment.n_in, deployment.config.dt, node)
    found = deployment.energy(counts, rate, steps_per_inference)
    if as_json:
        show_json(found.to_dict())
    else:
        show(text.energy(found))

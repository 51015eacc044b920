"""The command ``deploy``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nirbridge.cli_common import DIFFERS, AsJson, DataNode, Folder, needs, show, show_json


def deploy(
    directory: Folder,
    raster: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="RASTER",
            help="What to stream; as for `simulate`.",
            show_default="random spikes",
        ),
    ] = None,
    states: Annotated[
        bool, typer.Option("--states", help="Also compare states, where they can be read.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=86400, help="Seconds to wait for each sample.")
    ] = 60.0,
    node: DataNode = None,
    as_json: AsJson = False,
) -> None:
    """Run a deployment on the chip that is attached, and compare it with the simulation.

    It needs the vendor's library samna. No silicon has confirmed this way yet.
    """
    from nirbridge import load
    from nirbridge.calibrate import random_spikes
    from nirbridge.deploy import deploy as run
    from nirbridge.rasterfiles import read_raster
    from nirbridge.report import text

    needs(node, "--node", raster, "--input")
    deployment = load(directory)
    if raster is None:
        counts = random_spikes(deployment.n_in, deployment.dynamics.spikes_per_step == 1)
    else:
        counts, _ = read_raster(raster, deployment.n_in, deployment.config.dt, node)
    found = run(deployment, counts, states=states, timeout=timeout)
    if as_json:
        show_json(found.to_dict())
    else:
        show(text.comparison(found))
    if not found.same:
        raise typer.Exit(DIFFERS)

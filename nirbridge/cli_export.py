"""The commands ``export`` and ``import``: configurations of other tools."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from nirbridge.cli_common import AsJson, Folder, Force, show, show_json
from nirbridge.diagnostics import visible


def export(
    directory: Folder,
    form: Annotated[str, typer.Option("--format", metavar="NAME", help="json, rockpool or samna.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="New .json or, for rockpool, .npz."),
    ],
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a deployment's configuration in the format of another tool."""
    from nirbridge import load
    from nirbridge.configfiles import write_config
    from nirbridge.places import check_places

    check_places([directory], files=[output], force=force, formats=True)
    written = write_config(load(directory).config, output, form, force)
    if as_json:
        show_json({"format": form, "files": [str(path) for path in written]})
    else:
        typer.echo("\n".join(f"{form}: {visible(str(path))}" for path in written))


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A config.json, a Rockpool specification, samna's JSON."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="New directory.")],
    target: Annotated[
        str | None, typer.Option(help="Chip; see `nirbridge targets`.", show_default="the file's")
    ] = None,
    dt: Annotated[
        float | None, typer.Option(help="Time step in seconds.", show_default="the file's")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make a deployment of another tool's configuration, with what it computes as NIR."""
    from nirbridge import imported
    from nirbridge.configfiles import read_with_losses
    from nirbridge.origin import command_line
    from nirbridge.places import check_places
    from nirbridge.report import text

    check_places([file], folder=output, force=force)
    config, losses = read_with_losses(file, target, dt)
    result = imported(config, file.name, losses)
    result = replace(result, origin=result.origin.then(command_line(), [file]))
    result.save(output, force=force)
    if as_json:
        show_json({"directory": str(output), "target": result.config.target})
    else:
        show(text.deployment(result, visible(str(output))))

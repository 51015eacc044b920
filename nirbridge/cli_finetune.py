"""The command ``finetune``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from nirbridge.cli_common import AsJson, Folder, Force, given, show, show_json
from nirbridge.diagnostics import visible


def finetune(
    directory: Folder,
    raster: Annotated[
        Path, typer.Argument(metavar="RASTER", help=".npz with samples x and labels y.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="New directory.")],
    epochs: Annotated[int, typer.Option(help="Most passes over the samples.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the split, the order and the noise.")] = 0,
    rate: Annotated[float, typer.Option(help="Rate of Adam, relative to the weights.")] = 3e-3,
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
    from nirbridge.origin import command_line
    from nirbridge.places import check_places
    from nirbridge.rasterfiles import read_raster
    from nirbridge.report import text

    check_places([directory, raster], folder=output, updated=given(checkpoint), force=force)
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
    result = replace(result, origin=result.origin.then(command_line(), [raster]))
    result.save(output, force=force)
    done = result.journal[len(deployment.journal) :]
    if as_json:
        show_json({"directory": str(output), "journal": [note.to_dict() for note in done]})
    else:
        show(text.journal(done), text.deployment(result, visible(str(output))))

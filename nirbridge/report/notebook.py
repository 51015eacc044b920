"""What a notebook shows of a deployment, a check and a recording: small pieces of HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nirbridge.report.drawing import draw
from nirbridge.report.templates import render, trusted
from nirbridge.report.units import counted, seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nirbridge.check import Drift
    from nirbridge.deployment import Deployment
    from nirbridge.simulate import Recording

DRAWN = 16  # boxes


def deployment_html(result: Deployment) -> str:
    """What a deployment is, and the network as the chip has it."""
    config = result.config
    late = max((p.latency for p in result.placement.outputs), default=0)
    rows = [
        ("neurons", f"{config.n_in} in, {config.n_hidden} hidden, {config.n_out} out"),
        ("recurrent entries", f"{int((config.weights_rec != 0).any(axis=2).sum()):,}"),
        ("time step", seconds(config.dt)),
        ("method", result.method),
        ("latency", counted(late, "step")),
    ]
    picture = draw(result.deployed, dt=config.dt, limit=DRAWN, populations=True)
    return _piece(f"Deployment for {config.target}", ("", ""), rows, picture)


def drift_html(found: Drift) -> str:
    """The error budget as a table, and the findings."""
    from nirbridge.report.tables import rungs

    table = rungs(found)
    lines = [str(finding) for finding in found.findings]
    title = f"Chip against the trained network: {counted(found.samples, 'sample')}"
    return _piece(title, table.columns, table.rows, lines=lines)


def recording_html(found: Recording) -> str:
    """Shape and spikes of a recording."""
    *batch, steps, outputs = found.output.shape
    rows = [("samples", str(batch[0]))] if batch else []
    rows += [
        ("steps", f"{steps:,}"),
        ("output spikes", f"{int(found.output.sum()):,} of {counted(outputs, 'neuron')}"),
    ]
    if found.spikes is not None:
        hidden = counted(found.spikes.shape[-1], "neuron")
        rows.append(("hidden spikes", f"{int(found.spikes.sum()):,} of {hidden}"))
    rows.append(("input spikes cut", f"{found.clipped_inputs:,}"))
    return _piece("Recording", ("", ""), rows)


def recording_figure(found: Recording, sample: int = 0) -> Figure:
    """Hidden spikes, if they were recorded, and output spikes of one sample, step by step."""
    from nirbridge.report.figures.spikes import plain_band, stacked
    from nirbridge.report.figures.style import CHIP, INK

    parts = [("hidden", found.spikes, INK), ("output", found.output, CHIP)]
    bands = []
    for name, values, colour in parts:
        if values is not None:
            one = values[sample] if values.ndim == 3 else values
            bands.append(plain_band(name, one, colour))
    return stacked(bands, found.output.shape[-2], None)


def _piece(
    title: str,
    columns: tuple[str, ...],
    rows: Any,
    picture: str = "",
    lines: Any = (),
) -> str:
    return render(
        "notebook.html.j2",
        title=title,
        columns=columns,
        rows=rows,
        picture=trusted(picture),
        lines=lines,
    )

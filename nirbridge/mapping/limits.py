"""What a chip cannot hold of a configuration: every violation at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, diagnose
from nirbridge.targets import ChipSpec, target
from nirbridge.targets.spec import named_sum

if TYPE_CHECKING:
    from nirbridge.mapping.config import XyloConfig


def violations(
    config: XyloConfig, chip: str | ChipSpec, names: Sequence[str] | None = None
) -> list[Diagnostic]:
    """Say everything of a configuration that a chip cannot hold.

    Parameters
    ----------
    config
        Any well-formed configuration.
    chip
        Name or record of the chip.
    names
        What to call each hidden neuron in a diagnostic; ``hidden[i]`` by default.

    Returns
    -------
    list of Diagnostic
        NB601 to NB610, one for each limit that is broken, with the first or the worst place and
        the number of places. Empty if the chip can hold the configuration.

    Raises
    ------
    Refused
        NB806 if there is no chip of that name.

    """
    spec = target(chip)
    found = _counts(config, spec)
    label = names if names is not None else [f"hidden[{i}]" for i in range(config.n_hidden)]
    found += too_many(config.weights_rec, spec, label)
    found += _aliases(config, spec, label)
    found += _biases(config, spec, label)
    found += _synapses(config, spec, label)
    found += _reach(config, spec, label)
    return found


def _counts(config: XyloConfig, spec: ChipSpec) -> list[Diagnostic]:
    counts = (
        ("NB601", "inputs", config.n_in, "input"),
        ("NB602", "hidden", config.n_hidden, "hidden"),
        ("NB603", "outputs", config.n_out, "output"),
    )
    return [
        diagnose(code, node=node, limit=spec.cite(limit), found=found)
        for code, limit, found, node in counts
        if found > spec.limits()[limit].value
    ]


def too_many(
    weights_rec: NDArray[Any],
    spec: ChipSpec,
    label: Sequence[str],
    spots: Mapping[str, slice] | None = None,
) -> list[Diagnostic]:
    """NB604 and NB605: recurrent connections that the chip has no room for.

    Pairs are counted: one memory entry carries the weights of both synapses.

    Parameters
    ----------
    weights_rec
        (n_hidden, n_hidden, 2), source first; integers, or not rounded yet.
    spec
        The chip.
    label
        What to call each hidden neuron.
    spots
        Where each population lies, to name those that have the connections.

    """
    fan_out = (weights_rec != 0).any(axis=2).sum(axis=1)
    found = []
    over = np.flatnonzero(fan_out > spec.fan_out.value)
    if len(over):
        worst = int(fan_out.argmax())
        excess = spec.excess("fan_out", int(fan_out[worst]))
        found.append(
            diagnose(
                "NB604",
                node=label[worst],
                limit=spec.cite("fan_out"),
                found=f"{excess} ({len(over)} neurons over the limit)",
            )
        )
    if fan_out.sum() > spec.entries.value:
        excess = spec.excess("entries", int(fan_out.sum()))
        counts = {name: int(fan_out[ids].sum()) for name, ids in (spots or {}).items()}
        parts = {name: count for name, count in counts.items() if count}
        node, said = next(iter(parts), "hidden"), f": {named_sum(parts)}" if parts else ""
        limit = spec.cite("entries")
        found.append(diagnose("NB605", node=node, limit=limit, found=excess + said))
    return found


def _aliases(config: XyloConfig, spec: ChipSpec, label: Sequence[str]) -> list[Diagnostic]:
    found = []
    if spec.aliases.value == 0 and (config.aliases >= 0).any():
        first = int(np.argmax(config.aliases >= 0))
        found.append(
            diagnose(
                "NB608",
                node=label[first],
                limit=spec.cite("aliases"),
                found="an alias",
                remedy="remove the alias, or choose a target with aliases",
            )
        )
    return found


def _biases(config: XyloConfig, spec: ChipSpec, label: Sequence[str]) -> list[Diagnostic]:
    """Signed biases of the chip's width."""
    low, high = spec.bias_range
    found = []
    for field, values in (("bias", config.bias), ("bias_out", config.bias_out)):
        outside = np.flatnonzero((values < low) | (values > high))
        if len(outside):
            i = int(outside[0])
            node = label[i] if field == "bias" else f"output[{i}]"
            found.append(
                diagnose(
                    "NB606",
                    node=node,
                    limit=f"{low}..{high}: {spec.cite('bias_bits')}",
                    found=f"{field}[{i}] = {values[i]} ({len(outside)} such values)",
                )
            )
    return found


def _synapses(config: XyloConfig, spec: ChipSpec, label: Sequence[str]) -> list[Diagnostic]:
    """A synapse with shift 0 is silent; a second synapse needs a chip that has one."""
    found = []
    used = [
        (config.weights_in[:, :, k] != 0).any(axis=0)
        | (config.weights_rec[:, :, k] != 0).any(axis=0)
        for k in (0, 1)
    ]
    used_out = (config.weights_out != 0).any(axis=0)
    outputs = [f"output[{i}]" for i in range(config.n_out)]
    for field, dash, carries, names in (
        ("dash_syn", config.dash_syn, used[0], label),
        ("dash_syn_2", config.dash_syn_2, used[1], label),
        ("dash_syn_out", config.dash_syn_out, used_out, outputs),
    ):
        dead = np.flatnonzero((dash == 0) & carries)
        if len(dead):
            i = int(dead[0])
            found.append(
                diagnose(
                    "NB607",
                    node=names[i],
                    limit=f"{field} 1..15",
                    found=f"{field}[{i}] = 0 ({len(dead)} such neurons)",
                )
            )
    if spec.synapses.value < 2 and used[1].any():
        i = int(np.argmax(used[1]))
        found.append(
            diagnose("NB608", node=label[i], limit=spec.cite("synapses"), found="2 synapses")
        )
    return found


def _reach(config: XyloConfig, spec: ChipSpec, label: Sequence[str]) -> list[Diagnostic]:
    """Input reaches the first hidden neurons only, and outputs hear the last ones only."""
    first, last = spec.input_neurons.value, config.n_hidden - spec.output_neurons.value
    ids = np.arange(config.n_hidden)
    takes = (config.weights_in != 0).any(axis=(0, 2)) & (ids >= first)
    drives = (config.weights_out != 0).any(axis=1) & (ids < last)
    return [
        diagnose(
            code,
            node=label[int(np.argmax(beyond))],
            limit=spec.cite(limit),
            found=f"{what}[{int(np.argmax(beyond))}] ({int(beyond.sum())} such neurons)",
        )
        for code, limit, beyond, what in (
            ("NB609", "input_neurons", takes, "weights into hidden"),
            ("NB610", "output_neurons", drives, "weights out of hidden"),
        )
        if beyond.any() and spec.limits()[limit].value < spec.hidden.value
    ]

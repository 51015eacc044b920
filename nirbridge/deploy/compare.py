"""One raster on the device and in the simulation, value by value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.deploy.device import Device
from nirbridge.deploy.samna import SamnaDevice
from nirbridge.diagnostics import Refused, refuse, refuse_all
from nirbridge.intformat import INPUT_SPIKES
from nirbridge.mapping.config import XyloConfig
from nirbridge.mapping.export_samna import samna_chip
from nirbridge.simulate import Recording, simulate
from nirbridge.simulate.recording import RECORDED
from nirbridge.targets import target

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

NAMES = ("output", *RECORDED)

# What a library of compiled code raises when something is wrong with the device or its release.
FAILURES = (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError)


@dataclass(frozen=True)
class First:
    """The first difference: where, and what either says."""

    sample: int
    step: int
    neuron: int
    device: int
    simulation: int


@dataclass(frozen=True)
class Row:
    """One recorded quantity: how many values were compared, and how many differ."""

    name: str
    values: int
    differing: int
    first: First | None


@dataclass(frozen=True)
class Comparison:
    """What a device computed beside the simulation, for each quantity that was read from it.

    ``clipped_inputs``: input spikes beyond 15 per channel and step, which neither gets.
    """

    chip: str
    samples: int
    steps: int
    rows: tuple[Row, ...]
    clipped_inputs: int

    @property
    def same(self) -> bool:
        """Whether no value differs."""
        return not any(row.differing for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows], "same": self.same}


def deploy(
    deployment: Deployment,
    raster: Any,
    device: Device | None = None,
    *,
    states: bool = False,
    timeout: float = 60.0,
) -> Comparison:
    """Run a deployment on the chip that is attached, and compare it with the simulation.

    No silicon has confirmed the way to the device; see :mod:`nirbridge.deploy.samna`.

    Parameters
    ----------
    deployment
        For the chip that is attached.
    raster
        Spike counts (T, n_in) or (B, T, n_in); each sample starts from states of 0.
    device
        Who drives the chip; by default the vendor's library.
    states
        Whether the vendor's library reads the neurons' states too, where it can; slow.
    timeout
        Seconds that it waits for the answer to a sample.

    Raises
    ------
    Refused
        NB6xx for what the chip cannot hold, NB801 and NB802 for the raster, NB903 if the vendor's
        library is missing, NB906 if the chip is not attached, NB907 if it does not answer, or not
        in the form that was asked for.

    """
    config = deployment.config
    chip = target(config.target)
    refuse_all(config.violations())
    counts = deployment.chip_input(raster)
    batch = counts if counts.ndim == 3 else counts[None]
    if not batch.shape[0] * batch.shape[1]:
        limit = "at least one sample of one step"
        raise refuse("NB801", node="raster", limit=limit, found=f"shape {counts.shape}")
    if device is None:
        samna_chip(chip.name)
        device = SamnaDevice(timeout=timeout, states=states)
    attached = _find(device)
    if chip.name not in attached:
        found = ", ".join(attached) or "none"
        raise refuse("NB906", node="device", limit=f"{chip.title} ({chip.name})", found=found)
    simulated = simulate(config, batch, record=True)
    limited = np.minimum(batch, INPUT_SPIKES).astype(np.uint8)
    answers = [_answer(device, config, sample) for sample in limited]
    return Comparison(
        chip.name,
        len(batch),
        int(batch.shape[1]),
        tuple(_row(name, answers, simulated) for name in NAMES if all(name in a for a in answers)),
        simulated.clipped_inputs,
    )


def _find(device: Device) -> list[str]:
    try:
        return device.find()
    except Refused:
        raise
    except FAILURES as error:
        raise _failed("the attached devices", error) from error


def _answer(device: Device, config: XyloConfig, sample: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What the device says to one sample, checked for its shapes."""
    try:
        device.apply(config)
        answer: Mapping[str, NDArray[Any]] = device.run(sample)
        found = {name: np.asarray(answer[name]) for name in NAMES if name in answer}
    except Refused:
        raise
    except FAILURES as error:
        raise _failed("the configuration taken, every step answered", error) from error
    for name in ("output", *found):
        width = config.n_out if name.endswith("out") or name == "output" else config.n_hidden
        array = found.get(name)
        if array is None or array.shape != (len(sample), width) or array.dtype.kind not in "iub":
            limit = f"{name}: integers {len(sample), width}"
            said = f"{name}: " + ("none" if array is None else f"{array.dtype} {array.shape}")
            raise refuse("NB907", node="device", limit=limit, found=said)
    return found


def _failed(limit: str, error: Exception) -> Refused:
    found = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return refuse("NB907", node="device", limit=limit, found=found)


def _row(name: str, answers: list[dict[str, NDArray[Any]]], simulated: Recording) -> Row:
    device = np.stack([answer[name] for answer in answers]).astype(np.int64)
    expected = np.asarray(getattr(simulated, name), np.int64)
    places = np.argwhere(device != expected)
    first = None
    if len(places):
        sample, step, neuron = place = tuple(places[0].tolist())
        first = First(sample, step, neuron, int(device[place]), int(expected[place]))
    return Row(name, int(expected.size), len(places), first)

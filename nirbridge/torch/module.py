"""``XyloModule``: a deployment as a torch module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from nirbridge.check.models import padded
from nirbridge.intformat import DASH, INT8, INT16, THRESHOLD, IntFormat
from nirbridge.mapping.lift import fires_once
from nirbridge.rasters import check_raster
from nirbridge.targets import target
from nirbridge.torch.run import TRAINED, ChipRun, run
from nirbridge.torch.surrogate import straight_through

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment
    from nirbridge.mapping.config import XyloConfig

Tensor = torch.Tensor
Parameters = Mapping[str, Tensor]

_FORMATS: dict[str, IntFormat] = {
    **dict.fromkeys(("weights_in", "weights_rec", "weights_out"), INT8),
    **dict.fromkeys(("threshold", "threshold_out"), THRESHOLD),
    **dict.fromkeys(("bias", "bias_out"), INT16),
    **dict.fromkeys(TRAINED[7:], DASH),
}
DECAYS = TRAINED[7:]


class XyloModule(torch.nn.Module):
    """The chip as a module: every state equals :func:`nirbridge.simulate` bit for bit.

    Parameters are float32 and named as in :class:`nirbridge.XyloConfig`. Weights and biases are in
    thresholds (volts for a population that is read by its membrane): a weight w acts as the
    integer round(w·θ/2^shift), with the threshold θ of the deployment as a fixed unit. Thresholds
    are relative to it. Shifts of decays, real numbers that are rounded, are trained with
    ``decays`` only.

    Gradients pass rounding as if it were not there, spikes by a surrogate, and end where a state
    was limited to 16 bits. Weights that are 0 stay 0, so the fan-out never grows; what leads into
    a relay stays as it is, as do aliases, weight shifts and the thresholds of populations that are
    read by their membranes.

    Parameters
    ----------
    deployment
        What :func:`nirbridge.convert` made.
    decays
        Whether the decays are trained too.

    """

    def __init__(self, deployment: Deployment, decays: bool = False):
        super().__init__()
        self.deployment = deployment
        self.decays = decays
        free = _free(deployment)
        for name, unit in _units(deployment).items():
            start = np.asarray(getattr(deployment.config, name), np.float64)
            low, high = _limits(deployment, name, start)
            for key, value in (("unit", unit), ("low", low / unit), ("high", high / unit)):
                self.register_buffer(f"_{key}_{name}", _tensor(value), persistent=False)
            mask = torch.from_numpy(np.array(free[name], bool))
            self.register_buffer(f"_free_{name}", mask, persistent=False)
            trained = decays or name not in DECAYS
            self.register_parameter(
                name, torch.nn.Parameter(_tensor(start / unit), requires_grad=trained)
            )

    def forward(self, raster: Any, parameters: Parameters | None = None) -> ChipRun:
        """Run the chip from rest.

        Parameters
        ----------
        raster
            Counts as for :meth:`nirbridge.Deployment.simulate`, (B, T, n_in) or (T, n_in), an
            array or a tensor of integers.
        parameters
            Values to use in the place of the module's own, by name, as for a perturbed chip.

        Returns
        -------
        ChipRun
            float32 tensors (B, T, n); a raster without batch counts as a batch of one.

        Raises
        ------
        Refused
            NB801, NB802 for a raster that does not fit.

        """
        counts = self.deployment.chip_input(_array(raster))
        counts = np.ascontiguousarray(counts if counts.ndim == 3 else counts[None])
        integers = self._integers(parameters or {})
        return run(self._config(integers), torch.from_numpy(counts), list(integers.values()))

    def answer(self, raster: Any, parameters: Parameters | None = None) -> Tensor:
        """What all Outputs say in the source's time, (B, T, n_out): spikes, or volts.

        The Outputs are in the order of their names, which is that of the classes. The chip's
        latency is taken off. Arguments and errors as for calling the module.
        """
        counts = check_raster(_array(raster), self.deployment.n_in)
        counts = counts if counts.ndim == 3 else counts[None]
        place, steps = self.deployment.placement, counts.shape[1]
        ran = self(padded(place, counts), parameters)
        parts = []
        for p in sorted(place.outputs, key=lambda p: p.end):
            at = slice(p.latency, p.latency + steps)
            if p.readout:
                volts = torch.tensor(self.deployment.units[p.name], device=ran.output.device)
                parts.append(ran.v_mem_out[:, at, p.ids] / volts)
            else:
                parts.append(ran.output[:, at, p.ids])
        return torch.cat(parts, dim=2)

    def logits(self, answer: Tensor) -> Tensor:
        """What a softmax takes: spike counts, or mean volts, (B, n_out) of (B, T, n_out)."""
        volts = any(p.readout for p in self.deployment.placement.outputs)
        return answer.mean(dim=1) if volts else answer.sum(dim=1)

    def meaningful(self, name: str) -> Tensor:
        """1 where an entry of a parameter decides anything, 0 at thresholds of what is read."""
        readouts = self.deployment.placement.readouts
        value: Tensor = getattr(self, name)
        if name != "threshold_out":
            return torch.ones_like(value)
        return torch.from_numpy(~readouts).to(value)

    def to_config(self) -> XyloConfig:
        """The integers that the parameters stand for now."""
        with torch.no_grad():
            return self._config(self._integers({}))

    @torch.no_grad()
    def keep_in_range(self) -> None:
        """Bring the parameters back to what the chip can hold; to be called after each update.

        A threshold so high that its neuron fires once per step stays so, and a lower one lower:
        the two forms are trained apart, as they were chosen apart.
        """
        for name in TRAINED:
            low, high = (getattr(self, f"_{key}_{name}") for key in ("low", "high"))
            getattr(self, name).clamp_(low, high)

    def _integers(self, instead: Parameters) -> dict[str, Tensor]:
        """The parameters as the chip's integers, with gradients."""
        found = {}
        for name in TRAINED:
            value = instead[name] if name in instead else getattr(self, name)
            free = getattr(self, f"_free_{name}")
            value = torch.where(free, value, value.detach()) * getattr(self, f"_unit_{name}")
            number = _FORMATS[name]
            found[name] = straight_through(value, number.low, number.high)
        return found

    def _config(self, integers: Parameters) -> XyloConfig:
        arrays: dict[str, Any] = {
            name: value.detach().cpu().numpy().astype(_FORMATS[name].dtype)
            for name, value in integers.items()
        }
        return replace(self.deployment.config, **arrays)


def _units(deployment: Deployment) -> dict[str, Any]:
    """How many of a parameter's integers are 1."""
    config = deployment.config
    unit, unit_out = units(deployment)
    return {
        "weights_in": unit[:, None] / 2.0**config.weight_shift_in,
        "weights_rec": unit[:, None] / 2.0**config.weight_shift_rec,
        "weights_out": unit_out / 2.0**config.weight_shift_out,
        "threshold": config.threshold.astype(np.float64),
        "threshold_out": config.threshold_out.astype(np.float64),
        "bias": unit,
        "bias_out": unit_out,
        **dict.fromkeys(DECAYS, np.ones(1)),
    }


def units(deployment: Deployment) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Integer units per threshold of hidden and output neurons, per volt where one is read."""
    config = deployment.config
    hidden, outputs = (x.astype(np.float64) for x in (config.threshold, config.threshold_out))
    for p in deployment.placement.outputs:
        if p.readout:
            outputs[p.ids] = deployment.units[p.name]
    return hidden, outputs


def _limits(
    deployment: Deployment, name: str, start: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Range of a parameter in training, in integers; it holds where the parameter starts."""
    number = _FORMATS[name]
    low, high = np.full(start.shape, number.low), np.full(start.shape, number.high)
    if name == "threshold":
        once = fires_once(start.astype(np.int16))
        first = INT16.high // 2 + 1  # the lowest threshold of which a membrane holds only one
        low, high = np.where(once, first, low), np.where(once, high, first - 1)
    elif name.startswith("bias"):
        low, high = (np.full(start.shape, b) for b in target(deployment.config.target).bias_range)
    elif name.startswith("dash_syn"):
        low = low + 1  # with 0 a synapse is silent
    return np.minimum(low, start), np.maximum(high, start)


def _free(deployment: Deployment) -> dict[str, NDArray[np.bool_]]:
    """Which entries of each parameter may change."""
    config, place = deployment.config, deployment.placement
    relay, relay_out = (
        np.array([p.relay for p in part for _ in range(p.size)], bool)
        for part in (place.hidden, place.outputs)
    )
    found = {}
    for name in TRAINED:
        value = np.asarray(getattr(config, name))
        free = ~(relay_out if name.endswith("_out") else relay)
        if value.ndim == 3:  # the last axis is that of the synapses
            free = free[:, None]
        found[name] = np.broadcast_to(free, value.shape)
        if name.startswith("weights"):
            found[name] = found[name] & (value != 0)
        if name.startswith("bias") and not target(config.target).bias_bits.value:
            found[name] = np.zeros(value.shape, bool)
    found["threshold_out"] = found["threshold_out"] & ~place.readouts
    return found


def _array(raster: Any) -> Any:
    return raster.cpu().numpy() if isinstance(raster, torch.Tensor) else raster


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(np.array(values, np.float32))

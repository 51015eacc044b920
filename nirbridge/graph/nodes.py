"""What each NIR primitive is made of: its fields, which of them are time constants, its state.

Source: the NIR primitives' reference (nir 1.0.8, ``nir/ir``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.dynamics import Dynamics

Array = NDArray[np.float64]

# Field names by type, in the order of the constructors; a trailing "?" marks those that old
# files lack.
FIELDS: dict[str, tuple[str, ...]] = {
    "Input": ("shape",),
    "Output": ("shape",),
    "Affine": ("weight", "bias"),
    "Linear": ("weight",),
    "Scale": ("scale",),
    "Conv1d": ("input_shape?", "weight", "stride", "padding", "dilation", "groups", "bias"),
    "Conv2d": ("input_shape?", "weight", "stride", "padding", "dilation", "groups", "bias"),
    "SumPool2d": ("kernel_size", "stride", "padding"),
    "AvgPool2d": ("kernel_size", "stride", "padding"),
    "Delay": ("delay",),
    "Flatten": ("start_dim", "end_dim", "input_type?"),
    "Threshold": ("threshold",),
    "I": ("r",),
    "IF": ("r", "v_threshold", "v_reset?"),
    "LI": ("tau", "r", "v_leak"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset?"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in?"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset?", "w_in?"),
}
TIME_CONSTANTS = ("tau", "tau_syn", "tau_mem")
# A Threshold is a neuron without memory: it answers within the step, but sends spikes.
NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")
SPIKING = ("IF", "LIF", "CubaLIF", "Threshold")
LINEAR = ("Affine", "Linear", "Scale")


def kind(node: nir.NIRNode) -> str:
    """NIR type name of a node."""
    return type(node).__name__


def is_neuron(node: nir.NIRNode) -> bool:
    """Whether a node has a state that integrates its input."""
    return kind(node) in NEURONS


def shape_of(node: nir.NIRNode) -> tuple[int, ...]:
    """Shape of a population of neurons."""
    return tuple(np.shape(node.threshold if kind(node) == "Threshold" else node.r))


def parameters(node: nir.NIRNode) -> dict[str, Any]:
    """Numeric fields of a node that are present, by name."""
    names = [name.rstrip("?") for name in FIELDS.get(kind(node), ())]
    if kind(node) in ("Input", "Output", "Flatten"):
        names = []
    return {name: getattr(node, name) for name in names if getattr(node, name, None) is not None}


@dataclass(frozen=True)
class Step:
    """The canonical step of one population: I = A·I + gs·x; v = B·v + gm·I + c.

    All arrays have the population's shape, float64. ``threshold`` and ``v_reset`` are None for
    neurons that do not spike. A population without a synapse has A = 0 and gs = 1.
    """

    A: Array
    gs: Array
    B: Array
    gm: Array
    c: Array
    threshold: Array | None
    v_reset: Array | None


def canonical_step(node: nir.NIRNode, dynamics: Dynamics) -> Step:
    """Per-step factors and gains of a neuron node when it is stepped as ``dynamics`` says.

    NIR's equations are τ_syn·dI/dt = −I + w_in·S and τ_mem·dv/dt = (v_leak − v) + r·I. With
    α = :meth:`Dynamics.factor`, the step is I = α_s·I + (1 − α_s)·w_in·S and
    v = α_m·v + (1 − α_m)·(v_leak + r·I). Neurons without leak integrate: B = 1, gm = r·dt.
    """
    values = {k: np.asarray(v, np.float64) for k, v in parameters(node).items()}
    zero, one = np.zeros(shape_of(node)), np.ones(shape_of(node))
    if kind(node) == "Threshold":
        return Step(zero, one, zero, one, zero, values["threshold"], zero)
    r = values["r"]
    tau_mem = values.get("tau_mem", values.get("tau"))
    tau_syn = values.get("tau_syn")
    if tau_mem is None:
        B, gm, c = one, r * dynamics.dt, zero
    else:
        B, rest = dynamics.factor(tau_mem), dynamics.complement(tau_mem)
        gm, c = rest * r, rest * values["v_leak"]
    if tau_syn is None:
        A, gs = zero, one
    else:
        A, gs = dynamics.factor(tau_syn), dynamics.complement(tau_syn) * values.get("w_in", one)
    threshold = values.get("v_threshold")
    v_reset = None if threshold is None else values.get("v_reset", zero)
    return Step(A, gs, B, gm, c, threshold, v_reset)

"""The method ``fit``: decays, gains, both synapses and scales of a neuron, chosen together.

No data are needed. What each choice costs is in :mod:`nirbridge.quantize.kernels`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nirbridge.intformat import INT8, SHIFT, THRESHOLD
from nirbridge.journal import Note
from nirbridge.mapping.lift import chip_factor
from nirbridge.mapping.place import Layer, Network
from nirbridge.quantize.kernels import ENDLESS, Fit, charge, fit_neuron, overlap
from nirbridge.quantize.rounding import WANTED_THRESHOLD, Plan, choose_scale, limited
from nirbridge.targets import ChipSpec

Array = NDArray[np.float64]

# A membrane of 16 bits cannot reach twice this threshold: the neuron fires once per step.
ONCE = 2**14
# Relays repeat up to 31 spikes in a step, which this many units per threshold leave room for.
RELAY = 2**10
PACE = 2**6


@dataclass(frozen=True)
class Form:
    """How high thresholds are, and what a reset takes. ``once``: hidden neurons fire once per step.

    Else ``height`` is the median threshold that is aimed at, as far as the weight shift allows.
    ``excess``: what a reset to a value takes away, in thresholds; the membrane was above its
    threshold when it fired, and the chip takes exactly a threshold.
    """

    once: bool
    height: int = WANTED_THRESHOLD
    excess: float = 1.0

    def __str__(self) -> str:
        if self.once:
            return f"one spike per step, thresholds from {ONCE}"
        more = f", resets of {self.excess:g} thresholds" if self.excess > 1 else ""
        return f"many spikes per step, thresholds near {self.height}{more}"


def forms(network: Network, thorough: bool) -> list[Form]:
    """The forms that suit the source, the best guess first."""
    heights = [256, 64, 128, 512, 1024] if thorough else [256, 64, 1024]
    excesses = [1.0, 1.15, 1.3, 1.5] if thorough else [1.0, 1.3]
    if not network.hidden.clears.any():
        excesses = [1.0]
    many = [Form(False, height, excess) for excess in excesses for height in heights]
    return [Form(True), *many] if fires_once(network) else many


@dataclass(frozen=True)
class Fitted:
    """Fits of one layer, by neuron, and the plan that they make."""

    fits: list[Fit | None]
    plan: Plan
    once: bool = False


def fit_hidden(
    network: Network, plan: Plan, chip: ChipSpec, form: Form
) -> Fitted:
    """The hidden layer: ``plan`` (decays rounded one by one) with what can be chosen better.

    Relays are left as they are, since they are exact. Where both synapses of a neuron have the
    same time constant and the same weights they are one synapse that was split, and share its
    response; else each is fitted by itself. ``form``: how high
    the thresholds are.
    """
    layer = network.hidden
    twins = _twins(network)
    loops = _room(network, chip)
    fits: list[Fit | None] = []
    dash_mem, dash_syn, c = plan.dash_mem.copy(), plan.dash_syn.copy(), plan.c.copy()
    gain = 1.0 / chip_factor(dash_syn)
    loop = np.zeros((layer.size, 2))
    known: dict[tuple[float, ...], Fit] = {}
    for i in range(layer.size):
        if plan.relay[i] or plan.readout[i] or not _fittable(layer, i, twins[i]):
            fits.append(None)
            continue
        # with the membrane full at its threshold, a spike leaves nothing, as in the source
        clears = form.once and bool(layer.clears[i])
        key = (layer.A[i, 0], layer.B[i], layer.drop[i], twins[i], loops[i])
        if key not in known:
            A, B, drop = (float(v) for v in key[:3])
            drop *= form.excess if layer.clears[i] else 1.0
            known[key] = fit_neuron(
                A, B, None if clears else drop, 1 + int(twins[i]), bool(loops[i]) and not clears
            )
        found = known[key]
        fits.append(found)
        dash_mem[i], loop[i] = found.dash_mem, found.loop
        if twins[i]:  # each of the two holds half of the weight
            dash_syn[i], gain[i] = found.dash_syn, 2 * np.array(found.gain)
        else:
            dash_syn[i, 0], gain[i, 0] = found.dash_syn[0], found.gain[0]
        c[i] *= _drive(layer.B[i], found.dash_mem)
    both = (network.weights_in * gain, network.weights_rec * gain)
    np.einsum("iik->ik", both[1])[...] += loop
    groups = tuple(w[:, :, k] for w in both for k in range(2))
    made = replace(plan, groups=groups, c=c, dash_syn=dash_syn, dash_mem=dash_mem)
    if form.once:
        return Fitted(fits, _scaled_once(made, layer.clears, half=2), True)
    return Fitted(fits, _scaled(made, chip, form))


def fit_outputs(network: Network, plan: Plan, form: Form) -> Fitted:
    """The output layer: one synapse, no connection of a neuron to itself.

    The chip lets an output fire once per step in any form. Where its reset clears the membrane,
    ``form.once`` puts the threshold where 16 bits are full.
    """
    layer = network.outputs
    fits: list[Fit | None] = []
    dash_mem, dash_syn, c = plan.dash_mem.copy(), plan.dash_syn.copy(), plan.c.copy()
    gain = 1.0 / chip_factor(dash_syn[:, 0])
    for i in range(layer.size):
        if plan.relay[i]:
            fits.append(None)
            continue
        clears = form.once and bool(layer.clears[i])
        drop = None if plan.readout[i] or clears else float(layer.drop[i])
        found = fit_neuron(float(layer.A[i, 0]), float(layer.B[i]), drop, 1, False)
        fits.append(found)
        dash_mem[i], dash_syn[i, 0], gain[i] = found.dash_mem, found.dash_syn[0], found.gain[0]
        c[i] *= _drive(layer.B[i], found.dash_mem)
    made = replace(
        plan, groups=(network.weights_out * gain,), c=c, dash_syn=dash_syn, dash_mem=dash_mem
    )
    if form.once and layer.clears.any() and (layer.clears | plan.relay).all():
        made = _scaled_once(made, layer.clears, half=1)
    return Fitted(fits, made)


def _twins(network: Network) -> NDArray[np.bool_]:
    """Neurons whose second synapse repeats the first, (n_hidden,)."""
    A = network.hidden.A
    same = A[:, 0] == A[:, 1]
    for weights in (network.weights_in, network.weights_rec):
        same &= (weights[..., 0] == weights[..., 1]).all(axis=0)
    return np.asarray(same & (A[:, 0] > 0), bool)


def _fittable(layer: Layer, i: int, twin: bool) -> bool:
    """Whether a neuron has one time constant to fit; with two, each keeps its own shift."""
    return bool(twin or not layer.A[i, 1]) and bool(0 <= layer.B[i] < 1 > layer.A[i, 0] >= 0)


def _room(network: Network, chip: ChipSpec) -> NDArray[np.bool_]:
    """Neurons that may be connected to themselves: room in the fan-out, and nobody's alias."""
    pairs = (network.weights_rec != 0).any(axis=2)
    itself = np.diag(pairs)
    free = itself | (pairs.sum(axis=1) < chip.fan_out.value)
    if int(pairs.sum() + (free & ~itself).sum()) > chip.entries.value:
        free = itself.copy()
    free[network.aliases[network.aliases >= 0]] = False
    return np.asarray(free, bool)


def _drive(B: float, dash_mem: int) -> float:
    """What a constant drive is multiplied with, so that it lifts the membrane as before."""
    b, wanted = chip_factor(np.array([dash_mem])), np.array([min(B, ENDLESS)])
    zero = np.zeros(1)
    if abs(float(b[0]) - B) < 1e-12:
        return 1.0
    near = overlap(b, zero, wanted, zero) / overlap(b, zero, b, zero)
    steady = charge(wanted, zero) / charge(b, zero)
    return float((near[0] + steady[0]) / 2)


def fires_once(network: Network) -> bool:
    """Whether all hidden neurons of the source fire at most once per step."""
    own = ~np.array([p.relay for p in network.placement.hidden for _ in range(p.size)], bool)
    return bool(own.any() and (network.hidden.most[own] == 1).all())


def _scaled_once(plan: Plan, clears: NDArray[np.bool_], half: int) -> Plan:
    """Thresholds so high that a neuron fires once, each matrix with its own weight shift.

    Where the reset clears the membrane the threshold is where 16 bits are full, as far as the
    weights reach there. ``half``: groups of the first matrix.
    """
    largest = np.max([np.abs(w).max(axis=0, initial=0.0) for w in plan.groups], axis=0)
    reach = limited(INT8.high * 2.0**SHIFT.high, largest)
    full = np.clip(np.floor(reach), ONCE, THRESHOLD.high)
    units = np.where(clears, full, ONCE)
    # a pacemaker fires by its bias alone
    relays = np.where(plan.c > 0, PACE, RELAY)
    units = np.where(plan.relay, relays, units).astype(np.int64)
    shifts: list[int] = []
    for part in (plan.groups[:half], plan.groups[half:]):
        most = max((float((np.abs(w) * units).max(initial=0.0)) for w in part), default=0.0)
        need = np.ceil(np.log2(max(most, 1.0) / (INT8.high + 0.5)))
        shifts += [int(np.clip(need, SHIFT.low, SHIFT.high))] * len(part)
    return replace(plan, units=units, shifts=tuple(shifts))


def _scaled(plan: Plan, chip: ChipSpec, form: Form) -> Plan:
    """Scales as the method ``channel`` chooses them, but for their height."""
    units, shift = choose_scale(plan, chip.bias_range, True, form.height)
    return replace(plan, units=units, shifts=(shift,) * len(plan.groups))


def fit_notes(network: Network, hidden: Fitted, outputs: Fitted) -> list[Note]:
    """How near the fits come, by population, and the form that was chosen."""
    notes = []
    for part, fitted in ((network.placement.hidden, hidden), (network.placement.outputs, outputs)):
        for p in part:
            found = [f for f in fitted.fits[p.ids] if f is not None]
            if not found:
                continue
            text = f"response to a spike, fitted with {_count(found)}"
            worst = max(f.misfit for f in found)
            notes.append(Note("fit", p.name, text, worst, "of its size, largest misfit"))
            if any(f.reset for f in found):
                worst = max(f.reset for f in found)
                notes.append(Note("fit", p.name, "reset", worst, "of its size, largest misfit"))
            ties = sum(f.tie for f in found)
            if ties:
                notes.append(Note("fit", p.name, "other decays were as good", ties, "neurons"))
    if hidden.once:
        text = f"threshold {ONCE}: a neuron fires once per step; states beyond 2 thresholds are cut"
        notes.append(Note("fit", "", text))
    return notes


def _count(fits: list[Fit]) -> str:
    both = sum(f.gain[0] != 0 and f.gain[1] != 0 for f in fits)
    loops = sum(any(f.loop) for f in fits)
    return f"both synapses in {both}, a loop in {loops} of {len(fits)} neurons"

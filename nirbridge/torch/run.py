"""One differentiable run of the chip: forward by the simulator, backward through time by hand.

Forward there is nothing of its own here: the integers are those of :func:`nirbridge.simulate`.
Backward, the recorded states give the derivative of every step, worked out for all steps at once;
only the sum over later steps is left to a loop. A state that was limited to 16 bits passes no
gradient on, else training diverges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from nirbridge.intformat import HIDDEN_SPIKES, INPUT_SPIKES, INT16, OUTPUT_SPIKES
from nirbridge.mapping.config import XyloConfig
from nirbridge.simulate import simulate
from nirbridge.torch.surrogate import shift_derivative, spike_derivative

Tensor = torch.Tensor

TRAINED = (
    "weights_in", "weights_rec", "weights_out",
    "threshold", "threshold_out", "bias", "bias_out",
    "dash_mem", "dash_syn", "dash_syn_2", "dash_mem_out", "dash_syn_out",
)  # fmt: skip


class ChipRun(NamedTuple):
    """All that the chip does on a raster, (B, T, n), float32 that holds exact integers.

    Names and values are those of :class:`nirbridge.Recording`.
    """

    output: Tensor
    spikes: Tensor
    i_syn: Tensor
    i_syn_2: Tensor
    v_mem: Tensor
    i_syn_out: Tensor
    v_mem_out: Tensor


def run(config: XyloConfig, counts: Tensor, values: Sequence[Tensor]) -> ChipRun:
    """Run the chip on counts (B, T, n_in), so that gradients reach ``values``.

    ``values`` are the arrays of ``config`` named in ``TRAINED``, as float32 tensors of the same
    shapes and integers; the configuration is what is run.
    """
    return ChipRun(*_Run.apply(config, counts, *values))  # type: ignore[no-untyped-call]


class _Run(torch.autograd.Function):
    """The rule of differentiation."""

    @staticmethod
    def forward(ctx: Any, config: XyloConfig, counts: Tensor, *values: Tensor) -> Any:
        ctx.set_materialize_grads(False)
        device = values[0].device
        recording = simulate(config, counts.cpu().numpy(), record=True)
        states = tuple(
            torch.from_numpy(getattr(recording, name).astype(np.float32)).to(device)
            for name in ChipRun._fields
        )
        ctx.config = config
        ctx.counts = counts
        ctx.save_for_backward(*values, *states)
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        saved = ctx.saved_tensors
        values = dict(zip(TRAINED, saved[: len(TRAINED)], strict=True))
        states = ChipRun(*(_by_time(x) for x in saved[len(TRAINED) :]))
        given = ChipRun(*(None if g is None else _by_time(g) for g in gradients))  # type: ignore[arg-type]
        counts = _by_time(ctx.counts).clamp(max=INPUT_SPIKES).to(states.v_mem)
        found = _Backward(ctx.config, counts, values, states, given).run()
        return None, None, *(found[name] for name in TRAINED)


class _Layer:
    """Derivatives of a layer's steps, (T, B, n), from what was recorded."""

    def __init__(
        self,
        values: dict[str, Tensor],
        suffix: str,
        currents: Sequence[Tensor],
        v: Tensor,
        limit: int,
    ):
        self.currents, self.v = currents, v
        names = [f"dash_syn{suffix}", *([] if suffix else ["dash_syn_2"])]
        self.dash_syn = [values[name] for name in names]
        self.dash_mem = values[f"dash_mem{suffix}"]
        self.threshold = values[f"threshold{suffix}"]
        self.keep_syn = [_kept(d) for d in self.dash_syn]
        self.keep_mem = _kept(self.dash_mem)
        self.v_before = _delayed(v)
        # the membrane before it spikes, by the chip's rule, with the saturations on its way
        leak = -_lost(self.v_before, self.dash_mem)
        leak = torch.where(leak > INT16.high, leak - 2.0**16, leak)
        change = leak + sum(currents)
        biased = change.clamp(INT16.low, INT16.high) + values[f"bias{suffix}"]
        x = self.v_before + biased.clamp(INT16.low, INT16.high)
        self.u = x.clamp(INT16.low, INT16.high)
        self.open = (_inside(change) & _inside(biased) & _inside(x)).to(v)
        self.open_syn = [
            (keep * _unsaturated(i, d)).to(v)
            for i, d, keep in zip(currents, self.dash_syn, self.keep_syn, strict=True)
        ]
        most = torch.clamp(torch.floor(INT16.high / self.threshold), 1, limit)
        self.slope = spike_derivative(self.u, self.threshold, most)
        self.fired = (self.u - v) / self.threshold


class _Backward:
    """Gradients of all parameters from those of all states."""

    def __init__(
        self,
        config: XyloConfig,
        counts: Tensor,
        values: dict[str, Tensor],
        states: ChipRun,
        given: ChipRun,
    ):
        self.counts, self.values, self.states, self.given = counts, values, states, given
        currents = (states.i_syn, states.i_syn_2)
        self.hidden = _Layer(values, "", currents, states.v_mem, HIDDEN_SPIKES)
        self.outputs = _Layer(values, "_out", (states.i_syn_out,), states.v_mem_out, OUTPUT_SPIKES)
        self.shifts = [2.0**s for s in _shifts(config)]
        self.aliases = _alias_paths(config, counts)

    def run(self) -> dict[str, Tensor]:
        """Gradients by name, in units of the integers."""
        given, before = self.given, _delayed(self.states.spikes)
        onto_outputs = self.values["weights_out"] * self.shifts[2]
        rec = self.values["weights_rec"] * self.shifts[1]
        onto_hidden = torch.cat([rec[:, :, 0], rec[:, :, 1]], dim=1)
        # outputs reach nobody, so theirs is done before the hidden layer's is begun
        out = _through_time(self.outputs, given.output, given.v_mem_out, [given.i_syn_out])
        late = _advanced(out.current[0] @ onto_outputs.T)
        spikes = late if given.spikes is None else late + given.spikes
        each = [given.i_syn, given.i_syn_2]
        hidden = _through_time(
            self.hidden, spikes, given.v_mem, each, onto_hidden.T, self.aliases
        )
        w_in, w_rec = (
            torch.stack([_outer(x, g) * shift for g in hidden.current], dim=2)
            for x, shift in ((self.counts, self.shifts[0]), (before, self.shifts[1]))
        )
        found = {
            "weights_in": w_in,
            "weights_rec": w_rec,
            "weights_out": _outer(before, out.current[0]) * self.shifts[2],
        }
        found |= _vectors(self.hidden, hidden, "", self._sums(before))
        return found | _vectors(self.outputs, out, "_out", [before @ onto_outputs])

    def _sums(self, before: Tensor) -> list[Tensor]:
        """What each step adds to both currents of the hidden neurons."""
        w_in = self.values["weights_in"] * self.shifts[0]
        w_rec = self.values["weights_rec"] * self.shifts[1]
        return [self.counts @ w_in[:, :, k] + before @ w_rec[:, :, k] for k in (0, 1)]


class _Flow(NamedTuple):
    """Gradients (T, B, n) at places of a layer's step.

    ``current``: at each sum of entries before it decays; ``decayed``: after; ``u``: the membrane
    before it spikes; ``v``: after; ``fired``: at the neuron's own spikes.
    """

    current: list[Tensor]
    decayed: list[Tensor]
    u: Tensor
    v: Tensor
    fired: Tensor


def _through_time(
    layer: _Layer,
    spikes: Tensor | None,
    v: Tensor | None,
    currents: Sequence[Tensor | None],
    onto_self: Tensor | None = None,
    aliases: Tensor | None = None,
) -> _Flow:
    """From the last step to the first.

    The reset by subtraction passes the membrane's gradient on as it is (dv/du = 1): through the
    surrogate it would be multiplied with itself over all spikes.
    """
    zero = torch.zeros_like(layer.v)
    n_syn = len(layer.currents)
    flow = _Flow(
        [torch.empty_like(zero) for _ in range(n_syn)],
        [torch.empty_like(zero) for _ in range(n_syn)],
        *(torch.empty_like(zero) for _ in range(3)),
    )
    spikes = zero if spikes is None else spikes
    v_next = torch.zeros_like(zero[0]) if len(zero) else zero
    i_next = [v_next] * n_syn
    for t in range(len(zero) - 1, -1, -1):
        g_spikes = spikes[t]
        if onto_self is not None and t + 1 < len(zero):
            g_spikes = g_spikes + torch.cat(i_next, dim=1) @ onto_self
        if aliases is not None:
            g_spikes = g_spikes @ aliases
        g_v = v_next if v is None else v_next + v[t]
        g_u = (g_v + g_spikes * layer.slope[t]) * layer.open[t]
        flow.fired[t], flow.v[t], flow.u[t] = g_spikes, g_v, g_u
        v_next = g_u * layer.keep_mem
        for k in range(n_syn):
            given = currents[k]
            g_i = g_u + i_next[k] if given is None else g_u + i_next[k] + given[t]
            flow.decayed[k][t] = g_i
            flow.current[k][t] = i_next[k] = g_i * layer.open_syn[k][t]
    return flow


def _vectors(
    layer: _Layer, flow: _Flow, suffix: str, sums: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Gradients of thresholds, biases and decay shifts."""
    both = (0, 1)
    at_threshold = flow.fired * layer.slope * layer.u / layer.threshold + flow.v * layer.fired
    lost = (flow.u * layer.v_before).sum(both)
    found = {
        f"threshold{suffix}": -at_threshold.sum(both),
        f"bias{suffix}": flow.u.sum(both),
        f"dash_mem{suffix}": lost * shift_derivative(layer.dash_mem),
    }
    names = [f"dash_syn{suffix}", *([] if suffix else ["dash_syn_2"])]
    for name, i, dash, added, g in zip(
        names, layer.currents, layer.dash_syn, sums, flow.decayed, strict=True
    ):
        before = (_delayed(i) + added).clamp(INT16.low, INT16.high)
        found[name] = (g * before).sum(both) * shift_derivative(dash)
    return found


def _alias_paths(config: XyloConfig, like: Tensor) -> Tensor | None:
    """Transposed: how often the own spikes of each neuron count for each other one, (n, n).

    In the order of the chip's loop, but for the cap at 31. None without aliases.
    """
    aliases = config.aliases.tolist()
    if max(aliases, default=-1) < 0:
        return None
    paths = np.eye(len(aliases), dtype=np.float32)
    for source, target in enumerate(aliases):
        if target >= 0:
            paths[:, target] += paths[:, source]
    return torch.from_numpy(paths.T.copy()).to(like)


def _by_time(x: Tensor) -> Tensor:
    """(B, T, n) → (T, B, n), each step in one piece."""
    return x.transpose(0, 1).contiguous()


def _delayed(x: Tensor) -> Tensor:
    """The same one step later, from zeros."""
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


def _advanced(x: Tensor) -> Tensor:
    return torch.cat([x[1:], torch.zeros_like(x[:1])])


def _outer(x: Tensor, g: Tensor) -> Tensor:
    return x.flatten(0, 1).T @ g.flatten(0, 1)


def _kept(dash: Tensor) -> Tensor:
    return 1.0 - 2.0**-dash


def _lost(x: Tensor, dash: Tensor) -> Tensor:
    """D(x, d) = floor(x / 2^d), at least 1 where x is positive."""
    shifted = torch.floor(x * 2.0**-dash)  # exact: a power of two, and fewer than 24 bits
    return torch.where((x > 0) & (shifted == 0), 1.0, shifted)


def _inside(x: Tensor) -> Tensor:
    return (x >= INT16.low) & (x <= INT16.high)


def _unsaturated(i: Tensor, dash: Tensor) -> Tensor:
    """Where a decayed current did not come from one of the rails."""
    rails = (torch.full_like(dash, x) for x in (INT16.low, INT16.high))
    low, high = (rail - _lost(rail, dash) for rail in rails)
    return (i > low) & (i < high)


def _shifts(config: XyloConfig) -> tuple[int, int, int]:
    return config.weight_shift_in, config.weight_shift_rec, config.weight_shift_out

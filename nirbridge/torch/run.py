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
from nirbridge.targets import arithmetic
from nirbridge.torch.layer import Layer, delayed
from nirbridge.torch.surrogate import shift_derivative

Tensor = torch.Tensor

LARGEST = 1e20  # of a gradient at a spike: where it explodes, it shall not become infinite

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
        decays = any(ctx.needs_input_grad[-len(TRAINED[7:]) :])
        found = _Backward(ctx.config, counts, values, states, given, decays).run()
        return None, None, *(found.get(name) for name in TRAINED)


class _Backward:
    """Gradients of all parameters from those of all states."""

    def __init__(
        self,
        config: XyloConfig,
        counts: Tensor,
        values: dict[str, Tensor],
        states: ChipRun,
        given: ChipRun,
        decays: bool,
    ):
        self.counts, self.values, self.states, self.given = counts, values, states, given
        self.decays = decays
        # a second synapse without weights stays without, and is half of the work
        currents = (states.i_syn, states.i_syn_2)[: 1 + config.uses_second]
        v1 = arithmetic(config.target) == "v1"
        out = (states.i_syn_out,), states.v_mem_out, OUTPUT_SPIKES
        self.hidden = Layer(values, "", currents, states.v_mem, HIDDEN_SPIKES, v1=v1)
        self.outputs = Layer(values, "_out", *out, v1=v1)
        self.shifts = [2.0**s for s in _shifts(config)]
        self.aliases = _alias_paths(config, counts)

    def run(self) -> dict[str, Tensor]:
        """Gradients by name, in units of the integers."""
        given, before = self.given, delayed(self.states.spikes)
        onto_outputs = self.values["weights_out"] * self.shifts[2]
        rec = self.values["weights_rec"] * self.shifts[1]
        synapses = range(len(self.hidden.currents))
        onto_hidden = torch.cat([rec[:, :, k] for k in synapses], dim=1)
        # outputs reach nobody, so theirs is done before the hidden layer's is begun
        out = _through_time(self.outputs, given.output, given.v_mem_out, [given.i_syn_out])
        late = _advanced(out.current[0] @ onto_outputs.T)
        spikes = late if given.spikes is None else late + given.spikes
        each = [given.i_syn, given.i_syn_2]
        hidden = _through_time(
            self.hidden, spikes, given.v_mem, each, onto_hidden.T, self.aliases
        )
        found = {"weights_out": _outer(before, out.current[0]) * self.shifts[2]}
        for name, x, shift in (
            ("weights_in", self.counts, self.shifts[0]),
            ("weights_rec", before, self.shifts[1]),
        ):
            found[name] = torch.zeros_like(self.values[name])
            for k in synapses:
                found[name][:, :, k] = _outer(x, hidden.current[k]) * shift
        found |= _vectors(self.hidden, hidden, "") | _vectors(self.outputs, out, "_out")
        if self.decays:
            found["dash_syn_2"] = torch.zeros_like(self.values["dash_syn_2"])
            found |= _shift_gradients(self.hidden, hidden, "", self._sums(before))
            found |= _shift_gradients(self.outputs, out, "_out", [before @ onto_outputs])
        return found

    def _sums(self, before: Tensor) -> list[Tensor]:
        """What each step adds to the currents of the hidden neurons."""
        w_in = self.values["weights_in"] * self.shifts[0]
        w_rec = self.values["weights_rec"] * self.shifts[1]
        synapses = range(len(self.hidden.currents))
        return [self.counts @ w_in[:, :, k] + before @ w_rec[:, :, k] for k in synapses]


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
    layer: Layer,
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
        g_spikes = g_spikes.clamp(-LARGEST, LARGEST)
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


def _vectors(layer: Layer, flow: _Flow, suffix: str) -> dict[str, Tensor]:
    """Gradients of thresholds and biases."""
    at_threshold = flow.fired * layer.slope * layer.u / layer.threshold + flow.v * layer.fired
    return {
        f"threshold{suffix}": -at_threshold.sum((0, 1)),
        f"bias{suffix}": flow.u.sum((0, 1)),
    }


def _shift_gradients(
    layer: Layer, flow: _Flow, suffix: str, sums: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Gradients of the decays; ``sums`` are what each step adds to the currents."""
    lost = (flow.u * layer.v_before).sum((0, 1))
    found = {f"dash_mem{suffix}": lost * shift_derivative(layer.dash_mem)}
    for name, i, dash, added, g in zip(
        layer.names, layer.currents, layer.dash_syn, sums, flow.decayed, strict=True
    ):
        before = (delayed(i) + added).clamp(INT16.low, INT16.high)
        found[name] = (g * before).sum((0, 1)) * shift_derivative(dash)
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


def _advanced(x: Tensor) -> Tensor:
    return torch.cat([x[1:], torch.zeros_like(x[:1])])


def _outer(x: Tensor, g: Tensor) -> Tensor:
    return x.flatten(0, 1).T @ g.flatten(0, 1)


def _shifts(config: XyloConfig) -> tuple[int, int, int]:
    return config.weight_shift_in, config.weight_shift_rec, config.weight_shift_out

"""SynNet in plain PyTorch: layers of neurons whose synapses span several time constants.

Layer l has n_l synaptic time constants, ``BASE``^j steps for j = 1 … n_l, dealt out over its
neurons in turn (Weidel & Sheik 2021). The step is the canonical one of :class:`nirbridge.Dynamics`,
I = A·I + x; v = B·v + I; spike; v −= spikes, and the graph says exactly that.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.accuracy.tasks import Data, Trained
from nirbridge import Dynamics
from nirbridge.dynamics import annotate
from nirbridge.intformat import HIDDEN_SPIKES, OUTPUT_SPIKES

Floats = NDArray[np.float32]

BASE = 2.0  # steps
BATCH = 32
LOGIT = 0.2  # per output spike
CLIP = 1.0  # norm of the gradient, which spikes now and then


@dataclass(frozen=True)
class Shape:
    """Sizes of all layers, and how many synaptic time constants each layer after the first has.

    ``gain`` scales the weights, ``dt`` is in seconds.
    """

    sizes: tuple[int, ...]
    constants: tuple[int, ...]
    dt: float
    gain: float


class _Neurons(torch.autograd.Function):
    """Spikes (N, T, n) of neurons whose currents jump by ``drive``: all steps in one call.

    A neuron fires floor(v) times, at most ``most``; the derivative of that is taken as a window
    that opens towards the threshold and is 1 above it.
    """

    @staticmethod
    def forward(ctx: Any, drive: Tensor, decay: Tensor, leak: float, most: int) -> Tensor:
        ctx.decay, ctx.leak = decay.numpy(), leak
        ctx.v, spikes = _forward(drive.detach().numpy(), ctx.decay, np.float32(leak), most)
        return torch.from_numpy(spikes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (grad,) = grads
        found = _backward(grad.contiguous().numpy(), ctx.v, ctx.decay, np.float32(ctx.leak))
        return torch.from_numpy(found), None, None, None


@njit(cache=True)  # type: ignore[untyped-decorator]
def _forward(drive: Floats, decay: Floats, leak: np.float32, most: int) -> tuple[Floats, Floats]:
    """Membranes before their resets, and spikes."""
    v, spikes = np.empty_like(drive), np.empty_like(drive)
    samples, steps, size = drive.shape
    for b in range(samples):
        current, left = np.zeros(size, np.float32), np.zeros(size, np.float32)
        for t in range(steps):
            for k in range(size):
                current[k] = decay[k] * current[k] + drive[b, t, k]
                v[b, t, k] = leak * left[k] + current[k]
                spikes[b, t, k] = min(max(np.floor(v[b, t, k]), 0), most)
                left[k] = v[b, t, k] - spikes[b, t, k]
    return v, spikes


@njit(cache=True)  # type: ignore[untyped-decorator]
def _backward(grad: Floats, v: Floats, decay: Floats, leak: np.float32) -> Floats:
    """What a jump of each current changes, from what each spike changes."""
    found = np.empty_like(grad)
    samples, steps, size = grad.shape
    for b in range(samples):
        current, membrane = np.zeros(size, np.float32), np.zeros(size, np.float32)
        for t in range(steps - 1, -1, -1):
            for k in range(size):
                below = max(np.float32(1) - v[b, t, k], np.float32(0))
                window = np.float32(1) / (np.float32(1) + np.float32(4) * below) ** 2
                left = leak * membrane[k]
                membrane[k] = left + window * (grad[b, t, k] - left)
                current[k] = membrane[k] + decay[k] * current[k]
                found[b, t, k] = current[k]
    return found


class SynNet(nn.Module):
    """[Linear, current, membrane] for each layer; nothing but the weights is learned."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.leak = float(np.exp(-1 / BASE))
        self.weights, self.decays = nn.ParameterList(), []
        for (before, after), count in zip(pairwise(shape.sizes), shape.constants, strict=True):
            layer = nn.Linear(before, after, bias=False)
            steps = BASE ** (1 + torch.arange(after) % count)
            self.weights.append(layer.weight)
            self.decays.append(torch.exp(-1 / steps))

    def folded(self) -> list[Tensor]:
        """Weights per layer with the scale of their time constants.

        So a synapse has the same mean drive, and learns at the same pace, however long it
        remembers.
        """
        pairs = zip(self.weights, self.decays, strict=True)
        return [w * (self.shape.gain * -d.log())[:, None] for w, d in pairs]

    def forward(self, x: Tensor) -> Tensor:
        """Output spikes (N, T, n) for counts (N, T, n_in), from a network at rest."""
        last = len(self.decays) - 1
        for k, (weight, decay) in enumerate(zip(self.folded(), self.decays, strict=True)):
            most = OUTPUT_SPIKES if k == last else HIDDEN_SPIKES
            x = _Neurons.apply(x @ weight.T, decay, self.leak, most)  # type: ignore[no-untyped-call]
        return x

    def graph(self) -> nir.NIRGraph:
        """The same in NIR."""
        how = Dynamics(
            dt=self.shape.dt,
            scheme="exponential",
            reset="subtract",
            spikes_per_step=HIDDEN_SPIKES,
            comparison=">=",
        )
        nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([self.shape.sizes[0]]))}
        for k, (weight, decay) in enumerate(zip(self.folded(), self.decays, strict=True), 1):
            nodes[f"fc{k}"] = nir.Linear(weight.detach().double().numpy())
            nodes[f"lif{k}"] = self._neurons(decay.double().numpy(), how)
        annotate(nodes[f"lif{len(self.decays)}"], spikes_per_step=OUTPUT_SPIKES)
        nodes["output"] = nir.Output(np.array([self.shape.sizes[-1]]))
        graph = nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False)
        return how.attach(graph)

    def _neurons(self, decay: NDArray[np.float64], how: Dynamics) -> nir.CubaLIF:
        one = np.ones_like(decay)
        return nir.CubaLIF(
            tau_syn=-how.dt / np.log(decay),
            tau_mem=BASE * how.dt * one,
            r=one / (1 - self.leak),
            v_leak=0 * one,
            v_threshold=one,
            v_reset=0 * one,
            w_in=1 / (1 - decay),
        )


def moved(x: Tensor, most: int) -> Tensor:
    """Counts (N, T, channels), those of each sample up to ``most`` channels higher or lower."""
    if most == 0:
        return x
    wide = nn.functional.pad(x, (most, most))
    starts = torch.randint(2 * most + 1, (len(x),)).tolist()
    return torch.stack([w[:, s : s + x.shape[2]] for w, s in zip(wide, starts, strict=True)])


def train(
    shape: Shape, seed: int, data: Data, *, epochs: int, rate: float, move: int = 0
) -> Trained:
    """Train on the cross entropy of the output spike counts, and on nothing else.

    The number of epochs is fixed; the test data are looked at once, at the end. ``move``: by how
    many channels at most each sample is moved, anew each time.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    net = SynNet(shape)
    x, y = torch.from_numpy(data.x_train).float(), torch.from_numpy(data.y_train)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for rows in torch.randperm(len(x)).split(BATCH):  # type: ignore[no-untyped-call]
            loss = nn.functional.cross_entropy(LOGIT * net(moved(x[rows], move)).sum(1), y[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            optimizer.step()
            total += loss.item() * len(rows)
        schedule.step()
        if epoch % 5 == 0 or epoch == epochs:
            print(f"  epoch {epoch:3d}  loss {total / len(x):.4f}", flush=True)
    with torch.no_grad():
        counts = net(torch.from_numpy(data.x_test).float()).sum(1).numpy()
    return Trained(net.graph(), float(np.mean(counts.argmax(1) == data.y_test)))

"""The networks in the frameworks whose models are torch modules: snnTorch, Norse, Sinabs, ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.interop.nets import CHANNELS, HIDDEN, IMAGE, MAPS, OUT, Net

Cell = Callable[..., Any]

CELLS = {
    "LIF": ("lif", "lif"),
    "CubaLIF": ("cuba", "cuba"),
    "recurrent LIF": ("rlif", "lif"),
    "recurrent CubaLIF": ("rcuba", "cuba"),
    "LI readout": ("cuba", "li"),
    "biases": ("biased", "cuba"),
    "per-neuron parameters": ("many", "many"),
}
"""Neurons of the two layers, by the names that each framework's ``cell`` knows."""


def _net(kind: str, cell: Cell, sample: Callable[..., Any], over_time: bool = False) -> Net:
    """A network of two or three layers; ``cell(name, size)`` makes the framework's neurons."""
    from torch import nn

    sequence = getattr(cell, "sequence", nn.Sequential)
    if kind == "IF, convolution":
        flat, last = nn.Flatten(2 if over_time else 1), nn.Linear(64, OUT)
        model = sequence(nn.Conv2d(2, 4, 3), cell("if", MAPS), flat, last, cell("if", OUT))
        return Net(_louder(model), IMAGE, sample(IMAGE))
    first, second = nn.Linear(CHANNELS, HIDDEN), nn.Linear(HIDDEN, OUT, bias=kind == "biases")
    if kind == "nested":
        inner = sequence(first, cell("lif", HIDDEN))
        model = sequence(inner, sequence(second, nn.Dropout(0.5), cell("cuba", OUT)))
    elif kind == "branch":
        names = {"one": ("lif", HIDDEN), "two": ("cuba", HIDDEN), "three": ("lif", OUT)}
        model = _branch({k: cell(*n) for k, n in names.items()}, hasattr(cell, "sequence"))
    else:
        hidden, out = CELLS[kind]
        model = sequence(first, cell(hidden, HIDDEN), second, cell(out, OUT))
    return Net(_louder(model), (CHANNELS,), sample((CHANNELS,)))


def _louder(model: Any) -> Any:
    """Weights that make the neurons spike; the model as it is used after training."""
    import torch
    from torch import nn

    with torch.no_grad():
        for _, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and module.weight.shape[1] != len(
                module.weight
            ):
                module.weight.mul_(4)
    model.train(False)
    return model


def _branch(cells: dict[str, Any], with_state: bool) -> Any:
    """Two branches from the input that join before the third population."""
    from torch import nn

    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(CHANNELS, HIDDEN), nn.Linear(CHANNELS, HIDDEN)
            self.out_left = nn.Linear(HIDDEN, OUT)
            self.out_right = nn.Linear(HIDDEN, OUT, bias=False)
            self.one, self.two, self.three = cells["one"], cells["two"], cells["three"]

        def forward(self, x: Any, state: Any = None) -> Any:
            if not with_state:
                joined = self.out_left(self.one(self.left(x)))
                return self.three(joined + self.out_right(self.two(self.right(x))))
            a, b, c = state or (None, None, None)
            one, a = self.one(self.left(x), a)
            two, b = self.two(self.right(x), b)
            out, c = self.three(self.out_left(one) + self.out_right(two), c)
            return out, (a, b, c)

    return Branch()


def _loop(cells: tuple[Any, Any], with_state: bool) -> Any:
    """A recurrence that the model keeps itself, for neurons without recurrent weights."""
    import torch
    from torch import nn

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.back = nn.Linear(CHANNELS, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
            self.second = nn.Linear(HIDDEN, OUT, bias=False)
            self.one, self.two = cells
            self.last: Any = None

        def reset_mem(self) -> None:
            self.last = None

        def forward(self, x: Any, state: Any = None) -> Any:
            rest = torch.zeros(len(x), HIDDEN)
            if not with_state:
                last = rest if self.last is None else self.last
                self.last = self.one(self.first(x) + self.back(last))
                return self.two(self.second(self.last))
            last, a, b = state or (rest, None, None)
            last, a = self.one(self.first(x) + self.back(last), a)
            out, b = self.two(self.second(last), b)
            return out, (last, a, b)

    return Loop()


def snntorch(kind: str) -> Net:
    """Leaky and Synaptic as they are by default: reset by subtraction, a step late."""
    return _net(kind, _snntorch_cell, _step)


def _step(shape: tuple[int, ...]) -> Any:
    import torch

    return torch.zeros(1, *shape)


def _snntorch_cell(name: str, size: Any) -> Any:
    import snntorch as snn
    import torch

    options: dict[str, Any] = {"init_hidden": True}
    if name == "many":
        beta, theta = torch.rand(size) * 0.9, torch.rand(size) + 0.5
        return snn.Synaptic(alpha=torch.rand(size) * 0.9, beta=beta, threshold=theta, **options)
    shape = size if isinstance(size, tuple) else (size,)
    one, beta = (torch.full(shape, v) for v in (1.0, 0.9))
    options["threshold"] = one
    if name == "if":
        return snn.Leaky(beta=one, **options)
    if name == "li":
        return _membrane(snn.Leaky(beta=beta, reset_mechanism="none", output=True, **options))
    if name == "cuba":
        return snn.Synaptic(alpha=beta * 0.9, beta=beta, **options)
    if name == "rlif":
        return snn.RLeaky(beta=beta, linear_features=size, **options)
    if name == "rcuba":
        return snn.RSynaptic(alpha=beta * 0.9, beta=beta, linear_features=size, **options)
    return snn.Leaky(beta=beta, **options)


def _membrane(cell: Any) -> Any:
    """A cell that sends its membrane in place of its spikes."""
    from torch import nn

    class Membrane(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell

        def forward(self, x: Any) -> Any:
            return self.cell(x)[-1]

    return Membrane()


def snntorch_zero(kind: str) -> Net:
    """Leaky and Synaptic that are reset to zero in the same step."""
    if kind == "recurrent CubaLIF":  # RSynaptic resets late, whatever it is told
        cells = _snntorch_cell("cuba", HIDDEN), _snntorch_cell("cuba", OUT)
        net = Net(_louder(_loop(cells, False)), (CHANNELS,), _step((CHANNELS,)))
    else:
        net = snntorch(kind)
    for _, module in net.model.named_modules():
        if getattr(module, "reset_mechanism", "none") != "none":
            module.reset_mechanism, module.reset_delay = "zero", False
            module.state_function = module._base_zero
    return net


class _NorseCell:
    """Cells of Norse; their states are passed from step to step."""

    def sequence(self, *layers: Any) -> Any:
        import norse.torch as norse

        return norse.SequentialState(*layers)

    def __call__(self, name: str, size: Any) -> Any:
        import norse.torch as norse
        import torch

        one = torch.ones(size)
        if name == "rcuba":
            p = norse.LIFParameters(v_th=torch.tensor(0.3))
            return norse.LIFRecurrentCell(size, size, p)
        if name == "if":
            return norse.IAFCell(norse.IAFParameters(v_th=one, v_reset=0 * one))
        values = {"tau_mem_inv": 100 * one, "v_leak": 0 * one}
        if name == "li":
            return norse.LIBoxCell(norse.LIBoxParameters(**values))
        values |= {"v_th": 0.2 * one, "v_reset": 0 * one}
        if name == "biased":
            values["v_leak"] = 0.1 * torch.rand(size)
        if name in ("lif", "biased"):
            return norse.LIFBoxCell(norse.LIFBoxParameters(**values))
        values["tau_syn_inv"] = 200 * one
        if name == "many":
            for key in ("tau_mem_inv", "tau_syn_inv"):
                values[key] = 50 + 450 * torch.rand(size)
            values["v_th"], values["v_reset"] = 0.2 + 0.3 * torch.rand(size), -0.2 * one
        return norse.LIFCell(norse.LIFParameters(**values))


def norse(kind: str) -> Net:
    """LIFBoxCell, LIFCell, LIFRecurrentCell, LIBoxCell and IAFCell."""
    cell = _NorseCell()
    if kind == "recurrent LIF":  # no cell of its own
        loop = _loop((cell("lif", HIDDEN), cell("lif", OUT)), True)
        return Net(_louder(loop), (CHANNELS,), _step((CHANNELS,)))
    return _net(kind, cell, _step)


def _sinabs_cell(name: str, size: Any) -> Any:
    import sinabs.layers as sl
    import torch
    from torch import nn

    one = torch.ones(size)
    if name == "if":
        return sl.IAFSqueeze(batch_size=1, spike_threshold=one)
    if name == "li":
        return sl.ExpLeak(tau_mem=10 * one)
    options: dict[str, Any] = {"tau_mem": 10 * one, "spike_threshold": 0.15 * one}
    if name in ("cuba", "rcuba"):
        options["tau_syn"] = 5 * one
    if name == "many":
        options = {
            "tau_mem": 2 + 20 * torch.rand(size),
            "tau_syn": 2 + 10 * torch.rand(size),
            "spike_threshold": 0.1 + 0.2 * torch.rand(size),
        }
    if name not in ("rlif", "rcuba"):
        return sl.LIF(**options)
    loop = nn.Linear(size, size, bias=False)
    with torch.no_grad():
        loop.weight.mul_(0.2)  # several spikes per step run away
    return sl.LIFRecurrent(rec_connect=loop, **options)


def sinabs(kind: str) -> Net:
    """LIF, LIFRecurrent, IAFSqueeze and ExpLeak."""
    import torch

    squeezed = kind == "IF, convolution"
    times = () if squeezed else (4,)
    return _net(kind, _sinabs_cell, lambda shape: torch.zeros(1, *times, *shape))


def _spikingjelly_cell(name: str, size: Any) -> Any:
    import torch
    from spikingjelly.activation_based import layer, neuron
    from torch import nn

    if name == "if":
        return neuron.IFNode()
    if name == "li":
        return neuron.NonSpikingLIFNode(tau=8.0)
    if name in ("lif", "rlif", "biased"):
        made: Any = neuron.LIFNode(tau=8.0, v_threshold=0.3)
    else:
        made = neuron.CUBALIFNode(c_decay=0.8, v_decay=0.9, v_threshold=1.0, v_reset=0.0)
    if name == "many":  # its parameters are numbers: tensors in their place count as well
        for key, low in (("c_decay", 0.1), ("v_decay", 0.1), ("v_threshold", 0.5)):
            delattr(made, key)
            setattr(made, key, nn.Parameter(low + 0.8 * torch.rand(size)))
    if name.startswith("r"):
        return layer.LinearRecurrentContainer(made, size, size)
    return made


def spikingjelly(kind: str) -> Net:
    """IFNode, LIFNode, CUBALIFNode, NonSpikingLIFNode and LinearRecurrentContainer."""
    net = _net(kind, _spikingjelly_cell, _step)
    return _over_time(net) if kind == "LI readout" else net


def _over_time(net: Net) -> Net:
    """All steps in one call: NonSpikingLIFNode knows nothing else, and answers with a list."""
    import torch
    from spikingjelly.activation_based import functional

    functional.set_step_mode(net.model, "m")
    return Net(net.model, net.shape, torch.zeros(4, *net.sample.shape))

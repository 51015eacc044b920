"""Every framework out, every framework in: which networks come through spike for spike.

``python -m benchmarks.interop [--steps N] [--seeds N] [--only ours|theirs] [--json FILE]``

A network of each layer kind is made in each framework, with random weights. Its own spikes are
compared with those of the model that another framework gets from its NIR graph: once by
nirbridge, once by the frameworks' own functions where they have them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import signal
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import write_json
from nirbridge import Refused, adapters
from nirbridge.optional import installed

CHANNELS, HIDDEN, OUT = 8, 12, 6
IMAGE = (2, 6, 6)
LAG = 4  # the longest shift that is looked for
LIMIT = 60  # seconds per cell

KINDS = (
    "LIF",
    "CubaLIF",
    "recurrent LIF",
    "recurrent CubaLIF",
    "IF, convolution",
    "per-neuron parameters",
    "nested",
    "branch",
)


@dataclass(frozen=True)
class Net:
    """A model, the shape of its input in one step, and a sample as the model takes it."""

    model: Any
    shape: tuple[int, ...]
    sample: Any


# -- networks of the torch frameworks ----------------------------------------------------------

Cell = Callable[..., Any]


def _torch_net(kind: str, cell: Cell, sample: Callable[..., Any], over_time: bool) -> Net | None:
    """A network of two or three layers; ``cell(name, size)`` makes the framework's neurons."""
    from torch import nn

    if kind == "IF, convolution":
        conv = nn.Conv2d(2, 4, 3)
        flat = nn.Flatten(2) if over_time else nn.Flatten(1)
        last = nn.Linear(64, OUT)
        model = _sequence(cell, conv, cell("if", (4, 4, 4)), flat, last, cell("if", OUT))
        return Net(_louder(model), IMAGE, sample(IMAGE))
    first, second = nn.Linear(CHANNELS, HIDDEN), nn.Linear(HIDDEN, OUT, bias=False)
    if kind == "nested":
        inner = _sequence(cell, first, cell("lif", HIDDEN))
        model = _sequence(cell, inner, _sequence(cell, second, nn.Dropout(0.5), cell("cuba", OUT)))
    elif kind == "branch":
        model = cell("branch", HIDDEN)
    else:
        names = {
            "LIF": ("lif", "lif"),
            "CubaLIF": ("cuba", "cuba"),
            "recurrent LIF": ("rlif", "lif"),
            "recurrent CubaLIF": ("rcuba", "cuba"),
            "per-neuron parameters": ("many", "many"),
        }[kind]
        neurons = [cell(n, size) for n, size in zip(names, (HIDDEN, OUT), strict=True)]
        if any(n is None for n in neurons):
            return None
        model = _sequence(cell, first, neurons[0], second, neurons[1])
    if model is None:
        return None
    return Net(_louder(model), (CHANNELS,), sample((CHANNELS,)))


def _sequence(cell: Cell, *layers: Any) -> Any:
    from torch import nn

    return getattr(cell, "sequence", nn.Sequential)(*layers)


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


def _branch(layers: dict[str, Any], with_state: bool) -> Any:
    """Two branches from the input that join before the third population."""
    from torch import nn

    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(CHANNELS, HIDDEN), nn.Linear(CHANNELS, HIDDEN)
            self.out_left = nn.Linear(HIDDEN, OUT)
            self.out_right = nn.Linear(HIDDEN, OUT, bias=False)
            self.one, self.two, self.three = layers["one"], layers["two"], layers["three"]

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


def _snntorch(kind: str) -> Net | None:
    import snntorch as snn
    import torch

    def cell(name: str, size: Any, **more: Any) -> Any:
        options = {"init_hidden": True, **more}
        if name == "branch":
            parts = {"one": cell("lif", HIDDEN), "two": cell("cuba", HIDDEN)}
            return _branch(parts | {"three": cell("lif", OUT)}, False)
        if name == "many":
            beta, theta = torch.rand(size) * 0.9, torch.rand(size) + 0.5
            return snn.Synaptic(alpha=torch.rand(size) * 0.9, beta=beta, threshold=theta, **options)
        values = [torch.full(size if isinstance(size, tuple) else (size,), v) for v in (1.0, 0.9)]
        one, beta = values
        options["threshold"] = one
        if name == "if":
            return snn.Leaky(beta=one, **options)
        if name == "cuba":
            return snn.Synaptic(alpha=beta * 0.9, beta=beta, **options)
        if name == "rlif":
            return snn.RLeaky(beta=beta, linear_features=size, **options)
        if name == "rcuba":
            return snn.RSynaptic(alpha=beta * 0.9, beta=beta, linear_features=size, **options)
        return snn.Leaky(beta=beta, **options)

    return _torch_net(kind, cell, lambda shape: torch.zeros(1, *shape), False)


def _snntorch_zero(kind: str) -> Net | None:
    """Leaky and Synaptic that are reset to zero in the same step."""
    net = _snntorch(kind) if kind != "recurrent CubaLIF" else None  # RSynaptic is always late
    if net is None:
        return None
    for _, module in net.model.named_modules():
        if hasattr(module, "reset_mechanism"):
            module.reset_mechanism, module.reset_delay = "zero", False
            module.state_function = module._base_zero
    return net


def _norse(kind: str) -> Net | None:
    import norse.torch as norse
    import torch

    class Make:
        sequence = norse.SequentialState

        def __call__(self, name: str, size: Any) -> Any:
            one = torch.ones(size)
            if name == "branch":
                parts = {"one": self("lif", HIDDEN), "two": self("cuba", HIDDEN)}
                return _branch(parts | {"three": self("lif", OUT)}, True)
            if name in ("rlif", "rcuba"):
                p = norse.LIFParameters(v_th=torch.tensor(0.3))
                return norse.LIFRecurrentCell(size, size, p) if name == "rcuba" else None
            if name == "if":
                return norse.IAFCell(norse.IAFParameters(v_th=one, v_reset=0 * one))
            values = {"tau_mem_inv": 100 * one, "v_leak": 0 * one, "v_th": 0.2 * one}
            values["v_reset"] = 0 * one
            if name == "lif":
                return norse.LIFBoxCell(norse.LIFBoxParameters(**values))
            values["tau_syn_inv"] = 200 * one
            if name == "many":
                for key, low, high in (("tau_mem_inv", 50, 500), ("tau_syn_inv", 50, 500)):
                    values[key] = low + (high - low) * torch.rand(size)
                values["v_th"], values["v_reset"] = 0.2 + 0.3 * torch.rand(size), -0.2 * one
            return norse.LIFCell(norse.LIFParameters(**values))

    return _torch_net(kind, Make(), lambda shape: torch.zeros(1, *shape), False)


def _sinabs(kind: str) -> Net | None:
    import sinabs.layers as sl
    import torch
    from torch import nn

    def cell(name: str, size: Any) -> Any:
        one = torch.ones(size)
        if name == "branch":
            parts = {"one": cell("lif", HIDDEN), "two": cell("cuba", HIDDEN)}
            return _branch(parts | {"three": cell("lif", OUT)}, False)
        if name == "if":
            return sl.IAFSqueeze(batch_size=1, spike_threshold=one)
        options: dict[str, Any] = {"tau_mem": 10 * one, "spike_threshold": 0.15 * one}
        if name in ("cuba", "rcuba"):
            options["tau_syn"] = 5 * one
        if name == "many":
            options = {
                "tau_mem": 2 + 20 * torch.rand(size),
                "tau_syn": 2 + 10 * torch.rand(size),
                "spike_threshold": 0.5 + torch.rand(size),
            }
        if name in ("rlif", "rcuba"):
            loop = nn.Linear(size, size, bias=False)
            with torch.no_grad():
                loop.weight.mul_(0.2)  # several spikes per step run away
            return sl.LIFRecurrent(rec_connect=loop, **options)
        return sl.LIF(**options)

    times = () if kind == "IF, convolution" else (4,)
    return _torch_net(kind, cell, lambda shape: torch.zeros(1, *times, *shape), False)


def _spikingjelly(kind: str) -> Net | None:
    import torch
    from spikingjelly.activation_based import layer, neuron

    def cell(name: str, size: Any) -> Any:
        if name == "branch":
            parts = {"one": cell("lif", HIDDEN), "two": cell("cuba", HIDDEN)}
            return _branch(parts | {"three": cell("lif", OUT)}, False)
        if name == "many":
            return None
        if name == "if":
            return neuron.IFNode()
        if name.endswith("lif"):
            made = neuron.LIFNode(tau=8.0, v_threshold=0.3)
        else:
            made = neuron.CUBALIFNode(c_decay=0.8, v_decay=0.9, v_threshold=1.0, v_reset=0.0)
        if name.startswith("r"):
            return layer.LinearRecurrentContainer(made, size, size)
        return made

    return _torch_net(kind, cell, lambda shape: torch.zeros(1, *shape), False)


def _rockpool(kind: str) -> Net | None:
    import rockpool.nn.combinators as rc
    import rockpool.nn.modules as rm
    import torch

    if kind == "IF, convolution":
        return None
    w = [torch.randn(a, b) * 0.5 for a, b in ((CHANNELS, HIDDEN), (HIDDEN, OUT))]
    first = rm.LinearTorch((CHANNELS, HIDDEN), weight=w[0], has_bias=True)
    second = rm.LinearTorch((HIDDEN, OUT), weight=w[1])

    def lif(size: int, **options: Any) -> Any:
        return rm.LIFNeuronTorch(size, tau_mem=0.01, threshold=2.0, **options)

    def cuba(size: int, **options: Any) -> Any:
        options = {"tau_mem": 0.01, "tau_syn": 0.005, "threshold": 4.0, **options}
        return rm.LIFTorch((size, size), **options)

    loop = torch.randn(HIDDEN, HIDDEN) * 0.3
    if kind == "LIF":
        parts = [first, lif(HIDDEN), second, lif(OUT)]
    elif kind == "recurrent LIF":
        return None
    elif kind == "recurrent CubaLIF":
        parts = [first, cuba(HIDDEN, has_rec=True, w_rec=loop), second, cuba(OUT)]
    elif kind == "nested":
        parts = [rc.Sequential(first, cuba(HIDDEN)), rc.Sequential(second, lif(OUT))]
    elif kind == "branch":
        skip = rc.Residual(rm.LinearTorch((HIDDEN, HIDDEN), weight=loop), cuba(HIDDEN))
        parts = [first, cuba(HIDDEN), skip, second, cuba(OUT)]
    elif kind == "per-neuron parameters":
        many = [
            {
                "tau_mem": 0.002 + 0.02 * torch.rand(n),
                "tau_syn": 0.002 + 0.02 * torch.rand(n, 1),
                "threshold": 2 + 4 * torch.rand(n),
                "bias": 0.2 * torch.rand(n),
            }
            for n in (HIDDEN, OUT)
        ]
        parts = [first, cuba(HIDDEN, **many[0]), second, cuba(OUT, **many[1])]
    else:
        parts = [first, cuba(HIDDEN), second, cuba(OUT)]
    return Net(rc.Sequential(*parts), (CHANNELS,), torch.zeros(1, 4, CHANNELS))


def _spyx(kind: str, seed: int) -> Net | None:
    import jax.numpy as jnp
    import spyx.nn as sx
    from flax import nnx

    rngs = nnx.Rngs(seed)
    if kind in ("IF, convolution", "branch"):
        return None

    def dense(a: int, b: int, **options: Any) -> Any:
        made = nnx.Linear(a, b, rngs=rngs, **options)
        made.kernel = nnx.Param(made.kernel[...] * 2)
        return made

    def cell(name: str, size: int) -> Any:
        made = getattr(sx, name)((size,), rngs=rngs)
        if kind != "per-neuron parameters":
            made.beta = nnx.Param(jnp.full((size,), 0.9))
        return made

    names = {
        "LIF": ("LIF", "LIF"),
        "recurrent LIF": ("RLIF", "LIF"),
        "recurrent CubaLIF": ("RCuBaLIF", "CuBaLIF"),
        "nested": ("LIF", "CuBaLIF"),
    }.get(kind, ("CuBaLIF", "CuBaLIF"))
    first, second = dense(CHANNELS, HIDDEN), dense(HIDDEN, OUT, use_bias=False)
    parts = [first, cell(names[0], HIDDEN), second, cell(names[1], OUT)]
    model = sx.Sequential(*parts)
    if kind == "nested":
        model = sx.Sequential(sx.Sequential(*parts[:2]), sx.Sequential(*parts[2:]))
    return Net(model, (CHANNELS,), np.zeros((1, CHANNELS), np.float32))


EXPORTERS: dict[str, str] = {
    "snntorch": "snntorch",
    "snntorch, reset to zero": "snntorch",
    "norse": "norse",
    "rockpool": "rockpool",
    "sinabs": "sinabs",
    "spikingjelly": "spikingjelly",
    "spyx": "spyx",
}


def network(exporter: str, kind: str, seed: int) -> Net | None:
    """The network of a kind in a framework, or None where the framework cannot express it."""
    if exporter == "spyx":
        return _spyx(kind, seed)
    import torch

    torch.manual_seed(seed)
    make = {
        "snntorch": _snntorch,
        "snntorch, reset to zero": _snntorch_zero,
        "norse": _norse,
        "rockpool": _rockpool,
        "sinabs": _sinabs,
        "spikingjelly": _spikingjelly,
    }[exporter]
    return make(kind)


def raster(shape: tuple[int, ...], steps: int, seed: int) -> Any:
    """Bernoulli spikes (1, T, n), three in ten."""
    size = int(np.prod(shape))
    return (np.random.RandomState(seed).rand(1, steps, size) < 0.3).astype(np.uint8)


# -- the comparison ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What became of one network on its way: a word, and details."""

    word: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.word} ({self.detail})" if self.detail else self.word


def compare(theirs: Any, found: Any) -> Outcome:
    """Equal, equal after a shift, or from where on not."""
    if theirs.shape != found.shape:
        return Outcome("differs", f"shape {found.shape} for {theirs.shape}")
    if not theirs.any():
        return Outcome("error", "the network is silent")
    if np.array_equal(theirs, found):
        return Outcome("exact")
    for lag in range(1, LAG + 1):
        if np.array_equal(theirs[:, :-lag], found[:, lag:]) and not found[:, :lag].any():
            return Outcome(f"exact after lag {lag}")
    steps = np.flatnonzero((theirs != found).any(axis=(0, 2)))
    ratio = float(found.sum() / theirs.sum())
    return Outcome("differs", f"t{steps[0]}, x{ratio:.2f}")


def ours(net: Net, importer: str, x: Any) -> Any:
    """Spikes of the model that nirbridge builds."""
    graph = adapters.export(net.model, net.sample)
    return adapters.run(adapters.build(graph, importer), x)


def own(net: Net, exporter: str, importer: str, x: Any) -> Any:
    """Spikes of the model that the frameworks' own functions make, by way of a file."""
    import nir

    graph = OWN_EXPORT[exporter](net)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        nir.write(path, graph)
        graph = nir.read(path)
    return OWN_IMPORT[importer](graph, net, x)


def _own_exports() -> dict[str, Callable[[Net], Any]]:
    def snntorch(net: Net) -> Any:
        from snntorch.export_nir import export_to_nir

        for _, module in net.model.named_modules():
            if hasattr(module, "reset_mem"):
                module.reset_mem()
        return export_to_nir(net.model, net.sample, ignore_dims=[0])

    def norse(net: Net) -> Any:
        from norse.torch import to_nir

        return to_nir(net.model, net.sample[0], dt=1.0)  # 1: else τ is a thousandth

    def rockpool(net: Net) -> Any:
        from rockpool.nn.modules.torch.nir import to_nir

        return to_nir(net.model, net.sample)

    def sinabs(net: Net) -> Any:
        from sinabs.nir import to_nir

        return to_nir(net.model, net.sample)

    def spikingjelly(net: Net) -> Any:
        from spikingjelly.activation_based.nir_exchange import export_to_nir

        return export_to_nir(net.model, net.sample)

    def spyx(net: Net) -> Any:
        from spyx.nir import to_nir

        shapes = {"input": np.array(net.shape)}, {"output": np.array([OUT])}
        return to_nir(net.model, *shapes, dt=1e-4)

    made = (snntorch, norse, rockpool, sinabs, spikingjelly, spyx)
    return {f.__name__: f for f in made}


def _own_imports() -> dict[str, Callable[[Any, Net, Any], Any]]:
    import torch

    def steps(net: Net, x: Any) -> Any:
        rows = torch.from_numpy(np.swapaxes(x, 0, 1).astype(np.float32))
        return rows.reshape(*rows.shape[:2], *net.shape)

    def loop(model: Any, rows: Any) -> Any:
        state, out = None, []
        with torch.no_grad():
            for row in rows:
                y = model(row, state)
                y, state = y if isinstance(y, tuple) else (y, None)
                out.append(y.reshape(len(row), -1))
        return torch.stack(out, 1).numpy()

    def snntorch(graph: Any, net: Net, x: Any) -> Any:
        from snntorch.import_nir import import_from_nir

        return loop(import_from_nir(graph), steps(net, x))

    def norse(graph: Any, net: Net, x: Any) -> Any:
        from norse.torch import from_nir

        return loop(from_nir(graph, dt=_step(net)), steps(net, x))

    def rockpool(graph: Any, net: Net, x: Any) -> Any:
        from rockpool.nn.modules.torch.nir import from_nir

        model, rows = from_nir(graph), steps(net, x).transpose(0, 1)
        out = model(rows)
        return (out[0] if isinstance(out, tuple) else out).detach().numpy()

    def sinabs(graph: Any, net: Net, x: Any) -> Any:
        from sinabs.nir import from_nir

        rows = steps(net, x).transpose(0, 1)
        model = from_nir(graph, batch_size=1)
        out = model(rows.reshape(-1, *net.shape))
        out = out[0] if isinstance(out, tuple) else out
        return out.detach().numpy().reshape(1, rows.shape[1], -1)

    def spikingjelly(graph: Any, net: Net, x: Any) -> Any:
        from spikingjelly.activation_based.nir_exchange import import_from_nir

        return loop(import_from_nir(graph, dt=_step(net)), steps(net, x))

    def spyx(graph: Any, net: Net, x: Any) -> Any:
        import jax.numpy as jnp
        from spyx.nir import from_nir

        rows = jnp.asarray(steps(net, x).numpy())
        _, out = from_nir(graph, rows, dt=_step(net))
        return np.swapaxes(np.asarray(out), 0, 1).reshape(1, len(rows), -1)

    made = (snntorch, norse, rockpool, sinabs, spikingjelly, spyx)
    return {f.__name__: f for f in made}


def _step(net: Net) -> float:
    """The time step that the framework of a network itself takes."""
    steps = {"snntorch": 1e-4, "spikingjelly": 1e-4, "spyx": 1e-4, "sinabs": 1.0}
    return steps.get(adapters.framework_of(net.model), 1e-3)


OWN_EXPORT = _own_exports()
OWN_IMPORT: dict[str, Callable[[Any, Net, Any], Any]] = {}


# Spyx has convolutions, and modules with branches; its adapter reads chains of Linear layers.
NONE = {"spyx": Outcome("not yet", "chains of Linear layers only")}


def outcome(exporter: str, importer: str, kind: str, by: str, steps: int, seeds: int) -> Outcome:
    """One cell of the table: the worst of all seeds."""
    worst = Outcome("exact")
    for seed in range(seeds):
        found = _guarded(exporter, importer, kind, by, steps, seed)
        if found.word != "exact":
            worst = found
        if not found.word.startswith("exact"):
            return found
    return worst


def _guarded(
    exporter: str, importer: str, kind: str, by: str, steps: int, seed: int
) -> Outcome:
    try:
        with _quiet(), _limited(LIMIT):
            net, x, theirs = _source(exporter, kind, steps, seed)
            if net is None:
                return NONE.get(exporter, Outcome("impossible", f"{exporter} has none"))
            if by == "ours":
                return compare(theirs, ours(net, importer, x))
            if not OWN_IMPORT:
                OWN_IMPORT.update(_own_imports())
            return compare(theirs, own(net, EXPORTERS[exporter], importer, x))
    except Refused as refusal:
        first = refusal.diagnostics[0]
        word = "not yet" if "not yet" in first.remedy else "impossible"
        return Outcome(word, f"{first.limit}: {first.found}"[:60])
    except Exception as error:  # noqa: BLE001  # frameworks raise everything
        text = str(error).splitlines()
        return Outcome("error", f"{type(error).__name__}: {text[0] if text else ''}"[:60])


@lru_cache(maxsize=64)
def _source(exporter: str, kind: str, steps: int, seed: int) -> tuple[Net | None, Any, Any]:
    """A network, its input and what it answers."""
    net = network(exporter, kind, seed)
    if net is None:
        return None, None, None
    x = raster(net.shape, steps, seed)
    return net, x, adapters.run(net.model, x, net.shape)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Frameworks print and warn."""
    logging.disable(logging.CRITICAL)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(_number: int, _frame: Any) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def table(title: str, cells: dict[tuple[str, str, str], Outcome], importers: list[str]) -> Table:
    """Rows: exporter and layer kind. Columns: importers."""
    made = Table(title=title, caption=counts(cells))
    for column in ("exporter", "layers", *importers):
        made.add_column(column, overflow="fold")
    for exporter in EXPORTERS:
        for kind in KINDS:
            row = [cells.get((exporter, kind, i)) for i in importers]
            if any(row):
                made.add_row(exporter, kind, *(str(o or "") for o in row))
    return made


def counts(cells: dict[tuple[str, str, str], Outcome]) -> str:
    """How many cells have each word."""
    words = Counter(o.word for o in cells.values())
    return f"{len(cells)} cells: " + ", ".join(f"{n} {word}" for word, n in words.most_common())


def _one_thread() -> None:
    """Small networks lose time with more."""
    if installed("torch"):
        import torch

        torch.set_num_threads(1)


def main() -> None:
    """Compare and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=("ours", "theirs"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    importers = [f for f in adapters.FRAMEWORKS if installed(f)]
    exporters = [e for e, f in EXPORTERS.items() if f in importers]
    console, results = Console(), {}
    _one_thread()
    for by, title in (("ours", "nirbridge"), ("theirs", "the frameworks' own functions")):
        if options.only not in (None, by):
            continue
        cells = {
            (e, k, i): outcome(e, i, k, by, options.steps, options.seeds)
            for e in exporters
            for k in KINDS
            for i in importers
        }
        console.print(table(f"Spike for spike by {title}", cells, importers))
        results[by] = [
            {"exporter": e, "layers": k, "importer": i, **asdict(o)}
            for (e, k, i), o in cells.items()
        ]
    if options.json:
        write_json(options.json, {"steps": options.steps, "seeds": options.seeds, **results})


if __name__ == "__main__":
    main()

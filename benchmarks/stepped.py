"""A recurrent network in steps: the frameworks' own modules against ``simulate_stepped``.

``python -m benchmarks.stepped [--repeat N] [--threads 1,2] [--busy] [--json FILE]``

Each number of threads is measured in a process of its own that may use as many processors, so
that every library keeps to it. In each repeat all contenders run one after the other: what else
the machine does meets them alike. Times are the shortest of all repeats, and do not include the
building of a framework's model; those of nirbridge include all that ``simulate_stepped`` does.
``compiling`` is what the first call takes longer, in a process that finds no machine code of ours
on disk. ``expected`` are the output spikes that our readable rules give in float32 for the
dynamics of that framework.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.machine import write_json
from nirbridge import Dynamics
from nirbridge.simulate.stepped import _simulate

N_IN, N_HIDDEN, N_OUT, STEPS = 128, 256, 10, 1000
BATCHES = (1, 64)
A, B, DT = 0.75, 0.875, 1e-3
OURS = "nirbridge float32"

SUBTRACT_LATE = Dynamics(DT, reset="subtract", reset_delay=1)
SUBTRACT = Dynamics(DT, reset="subtract")
TO_ZERO = Dynamics(DT)
TO_ZERO_AT = Dynamics(DT, comparison=">=")
MANY = Dynamics(DT, reset="subtract", spikes_per_step=None, comparison=">=")


@dataclass(frozen=True)
class Weights:
    """Into the hidden layer, within it, and out of it; (out, in), float32."""

    w_in: NDArray[np.float32]
    recurrent: NDArray[np.float32]
    w_out: NDArray[np.float32]


@dataclass(frozen=True)
class Contender:
    """A way to run the network.

    Attributes
    ----------
    run
        From a raster (B, T, n_in) as :attr:`prepare` returns it to output spikes (B, T, n_out).
    prepare
        Makes of a uint8 raster what ``run`` takes; not timed.
    dynamics
        Which of ours it computes; None if there is none.
    lag
        Steps by which its output is late.
    largest
        Largest batch that it takes.

    """

    run: Callable[[Any], Any]
    prepare: Callable[[NDArray[np.uint8]], Any]
    dynamics: Dynamics | None
    lag: int = 0
    largest: int = BATCHES[-1]


def weights(busy: bool) -> Weights:
    """Random weights with which about a tenth of the hidden neurons fire in each step, or half."""
    rng = np.random.default_rng(0)
    level = -0.002 if not busy else 0.0
    spread = (0.12, 0.02, 0.1) if not busy else (0.25, 0.1, 0.25)
    matrices = (
        rng.normal(0, spread[0], (N_HIDDEN, N_IN)) + 2 * level,
        rng.normal(0, spread[1], (N_HIDDEN, N_HIDDEN)) + level,
        rng.normal(0, spread[2], (N_OUT, N_HIDDEN)),
    )
    return Weights(*(m.astype(np.float32) for m in matrices))


def raster(batch: int) -> NDArray[np.uint8]:
    """A tenth of the channels spike in each step."""
    rng = np.random.default_rng(1)
    return (rng.random((batch, STEPS, N_IN)) < 0.1).astype(np.uint8)


def graph(w: Weights) -> nir.NIRGraph:
    """The network in NIR, for Euler steps: i = A·i + x; v = B·v + i; fires above 1."""

    def cuba(size: int) -> nir.CubaLIF:
        one = np.ones(size)
        tau_syn, tau_mem = DT / (1 - A), DT / (1 - B)
        return nir.CubaLIF(
            one * tau_syn, one * tau_mem, one / (1 - B), 0 * one, one, 0 * one, one / (1 - A)
        )

    nodes = {
        "in": nir.Input(np.array([N_IN])),
        "w_in": nir.Linear(w.w_in),
        "hidden": cuba(N_HIDDEN),
        "recurrent": nir.Linear(w.recurrent),
        "w_out": nir.Linear(w.w_out),
        "readout": cuba(N_OUT),
        "out": nir.Output(np.array([N_OUT])),
    }
    edges = [("in", "w_in"), ("w_in", "hidden"), ("hidden", "recurrent"), ("recurrent", "hidden")]
    edges += [("hidden", "w_out"), ("w_out", "readout"), ("readout", "out")]
    return nir.NIRGraph(nodes, edges, type_check=False)


# -- ours --------------------------------------------------------------------------------------


def ours(w: Weights, threads: int, compiled: bool, dtype: Any) -> Contender:
    """``simulate_stepped``, checks of the graph included."""
    network = graph(w)

    def run(spikes: Any) -> Any:
        how = SUBTRACT_LATE
        return _simulate(network, spikes, how, False, dtype, threads, compiled=compiled).output

    return Contender(run, lambda x: x, SUBTRACT_LATE)


# -- the torch frameworks ----------------------------------------------------------------------


def _torch_raster(x: NDArray[np.uint8]) -> Any:
    import torch

    return torch.from_numpy(x).float()


def _stepwise(first: Callable[[], Callable[[Any], Any]], dynamics: Dynamics | None) -> Contender:
    """A contender whose ``first()`` gives a fresh network, to be called step by step."""
    import torch

    def run(x: Any) -> Any:
        with torch.no_grad():
            step = first()
            rows = [step(x[:, t]) for t in range(x.shape[1])]
            return torch.stack(rows, 1).numpy()

    return Contender(run, _torch_raster, dynamics)


def _linear(weight: NDArray[np.float32]) -> Any:
    import torch

    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = torch.from_numpy(weight.copy())
    return layer


def torch_loop(w: Weights) -> Contender:
    """The equations written down in torch, with snnTorch's delayed reset."""
    import torch

    w_in, recurrent, w_out = (torch.from_numpy(m.T.copy()) for m in asdict(w).values())

    def first() -> Callable[[Any], Any]:
        state: list[Any] = [torch.zeros(1)] * 6

        def step(x: Any) -> Any:
            i, v, s, io, vo, so = state
            i = A * i + x @ w_in
            if s.ndim > 1:
                i = i + s @ recurrent
            v = B * v + i - s
            s = (v > 1).float()
            io = A * io + s @ w_out
            vo = B * vo + io - so
            so = (vo > 1).float()
            state[:] = i, v, s, io, vo, so
            return so

        return step

    return _stepwise(first, SUBTRACT_LATE)


def snntorch(w: Weights) -> Contender:
    """RSynaptic and Synaptic."""
    import snntorch as snn

    w_in, w_out = _linear(w.w_in), _linear(w.w_out)
    hidden = snn.RSynaptic(alpha=A, beta=B, linear_features=N_HIDDEN, init_hidden=True)
    hidden.recurrent = _linear(w.recurrent)
    readout = snn.Synaptic(alpha=A, beta=B, init_hidden=True)

    def first() -> Callable[[Any], Any]:
        hidden.reset_mem()
        readout.reset_mem()
        return lambda x: readout(w_out(hidden(w_in(x))))

    return _stepwise(first, SUBTRACT_LATE)


def norse(w: Weights) -> Contender:
    """LIFRecurrentCell and LIFCell; their membrane takes 1 − B of the current."""
    import norse.torch as norse_torch
    import torch

    p = norse_torch.LIFParameters(
        tau_syn_inv=torch.tensor((1 - A) / DT),
        tau_mem_inv=torch.tensor((1 - B) / DT),
        v_th=torch.tensor(1.0),
    )
    hidden = norse_torch.LIFRecurrentCell(
        N_IN,
        N_HIDDEN,
        p,
        autapses=True,
        dt=DT,
        input_weights=torch.from_numpy(w.w_in / np.float32(1 - B)),
        recurrent_weights=torch.from_numpy(w.recurrent / np.float32(1 - B)),
    )
    readout, w_out = norse_torch.LIFCell(p, dt=DT), _linear(w.w_out / np.float32(1 - B))

    def first() -> Callable[[Any], Any]:
        states: list[Any] = [None, None]

        def step(x: Any) -> Any:
            spikes, states[0] = hidden(x, states[0])
            spikes, states[1] = readout(w_out(spikes), states[1])
            return spikes

        return step

    return _stepwise(first, TO_ZERO)


def spikingjelly(w: Weights) -> Contender:
    """CUBALIFNode in a LinearRecurrentContainer."""
    import torch
    from spikingjelly.activation_based import functional, layer, neuron

    def node() -> Any:
        return neuron.CUBALIFNode(c_decay=A, v_decay=B, v_threshold=1.0, v_reset=0.0)

    hidden = layer.LinearRecurrentContainer(node(), N_HIDDEN, N_HIDDEN, bias=False)
    both = np.concatenate([np.eye(N_HIDDEN, dtype=np.float32), w.recurrent], axis=1)
    hidden.rc.weight.data = torch.from_numpy(both)
    net = torch.nn.Sequential(_linear(w.w_in), hidden, _linear(w.w_out), node()).eval()

    def first() -> Callable[[Any], Any]:
        functional.reset_net(net)
        return net

    return _stepwise(first, TO_ZERO_AT)


def sinabs(w: Weights) -> Contender:
    """LIFRecurrent and LIF; their synapse decays after it has taken its input."""
    import torch
    from sinabs import layers

    tau = {"tau_mem": float(-1 / np.log(B)), "tau_syn": float(-1 / np.log(A))}
    scale = np.float32(1 / A)
    hidden = layers.LIFRecurrent(**tau, rec_connect=_linear(w.recurrent * scale), norm_input=False)
    readout = layers.LIF(**tau, norm_input=False)
    w_in, w_out = _linear(w.w_in * scale), _linear(w.w_out * scale)

    def run(x: Any) -> Any:
        with torch.no_grad():
            hidden.reset_states()
            readout.reset_states()
            return readout(w_out(hidden(w_in(x)))).numpy()

    return Contender(run, _torch_raster, MANY)


def _rockpool_arguments(w: Weights) -> tuple[dict[str, Any], Any, Any]:
    tau = {"tau_mem": -DT / np.log(B), "tau_syn": -DT / np.log(A)}
    options = {**tau, "threshold": 1.0, "bias": 0.0, "dt": DT}
    return options, w.w_in.T / A, w.w_out.T / A


def rockpool_torch(w: Weights) -> Contender:
    """LIFTorch."""
    import torch
    from rockpool.nn.modules import LIFTorch

    options, w_in, w_out = _rockpool_arguments(w)
    loop = torch.from_numpy(np.ascontiguousarray(w.recurrent.T / A))
    hidden = LIFTorch((N_HIDDEN, N_HIDDEN), has_rec=True, w_rec=loop, **options)
    readout = LIFTorch((N_OUT, N_OUT), **options)
    into, out = (torch.from_numpy(np.ascontiguousarray(m)) for m in (w_in, w_out))

    def run(x: Any) -> Any:
        with torch.no_grad():
            hidden.reset_state()
            readout.reset_state()
            return readout(hidden(x @ into)[0] @ out)[0].numpy()

    return Contender(run, _torch_raster, MANY)


# -- the JAX frameworks ------------------------------------------------------------------------


def rockpool_jax(w: Weights) -> Contender:
    """LIFJax, jitted."""
    import jax
    import jax.numpy as jnp
    from rockpool.nn.modules import LIFJax

    options, w_in, w_out = _rockpool_arguments(w)
    loop = jnp.asarray(w.recurrent.T / A)
    hidden = LIFJax((N_HIDDEN, N_HIDDEN), has_rec=True, w_rec=loop, **options)
    readout = LIFJax((N_OUT, N_OUT), **options)
    into, out = jnp.asarray(w_in), jnp.asarray(w_out)
    jitted = jax.jit(lambda x: readout(hidden(x @ into)[0] @ out)[0])
    return Contender(
        lambda x: np.asarray(jitted(x)), lambda x: jnp.asarray(x.astype(np.float32)), MANY
    )


def spyx(w: Weights) -> Contender:
    """RCuBaLIF and CuBaLIF in a jitted scan; each layer compares its membrane a step late."""
    import jax
    import jax.numpy as jnp
    import spyx.nn as layers
    from flax import nnx

    rngs = nnx.Rngs(0)
    hidden = layers.RCuBaLIF((N_HIDDEN,), alpha=A, beta=B, rngs=rngs)
    readout = layers.CuBaLIF((N_OUT,), alpha=A, beta=B, rngs=rngs)
    hidden.recurrent_w[...] = jnp.asarray(w.recurrent.T)
    w_in, w_out = jnp.asarray(w.w_in.T), jnp.asarray(w.w_out.T)
    definition, parameters = nnx.split((hidden, readout))

    @jax.jit  # type: ignore[untyped-decorator]
    def scan(parameters: Any, x: Any) -> Any:
        hidden, readout = nnx.merge(definition, parameters)

        def step(state: Any, row: Any) -> Any:
            spikes, first = hidden(row @ w_in, state[0])
            spikes, second = readout(spikes @ w_out, state[1])
            return (first, second), spikes

        start = hidden.initial_state(x.shape[1]), readout.initial_state(x.shape[1])
        return jax.lax.scan(step, start, x)[1]

    return Contender(
        lambda x: np.asarray(scan(parameters, x)).swapaxes(0, 1),
        lambda x: jnp.asarray(np.ascontiguousarray(x.swapaxes(0, 1)).astype(np.float32)),
        SUBTRACT,
        lag=2,
    )


def nengo(w: Weights) -> Contender:
    """Its own LIF behind lowpass synapses: exact steps, another neuron, no batches."""
    import nengo as simulator

    shown: list[Any] = [None]
    with simulator.Network(seed=0) as net:
        node = simulator.Node(lambda t: shown[0][min(round(t / DT), STEPS) - 1], size_out=N_IN)
        lif = simulator.LIF(tau_rc=-DT / np.log(B), tau_ref=0)
        same = {"neuron_type": lif, "gain": None, "bias": None}
        groups = []
        for size in (N_HIDDEN, N_OUT):
            same |= {"gain": np.ones(size), "bias": np.zeros(size)}
            groups.append(simulator.Ensemble(size, 1, **same).neurons)
        hidden, readout = groups
        synapse = simulator.Lowpass(-DT / np.log(A))
        scale = DT / (1 - A) / (1 - B)
        for source, target, weight in (
            (node, hidden, w.w_in / DT),
            (hidden, hidden, w.recurrent),
            (hidden, readout, w.w_out),
        ):
            simulator.Connection(source, target, transform=weight * scale, synapse=synapse)
        probe = simulator.Probe(readout)
    model = simulator.Simulator(net, dt=DT, progress_bar=False)

    def run(x: Any) -> Any:
        shown[0] = x[0]
        model.reset()
        model.clear_probes()
        model.run_steps(STEPS)
        return model.data[probe][None] * DT

    return Contender(run, lambda x: x, None, largest=1)


FRAMEWORKS: dict[str, tuple[str, Callable[[Weights], Contender]]] = {
    "torch, plain loop": ("torch", torch_loop),
    "snnTorch": ("snntorch", snntorch),
    "Norse": ("norse", norse),
    "SpikingJelly": ("spikingjelly", spikingjelly),
    "Sinabs": ("sinabs", sinabs),
    "Rockpool LIFTorch": ("rockpool", rockpool_torch),
    "Rockpool LIFJax, jit": ("rockpool", rockpool_jax),
    "Spyx, jit": ("spyx", spyx),
    "Nengo's own neuron": ("nengo", nengo),
}


# -- measuring ---------------------------------------------------------------------------------


def contenders(w: Weights, threads: int) -> Iterator[tuple[str, Contender | str]]:
    """All ways to run the network, or why one cannot be."""
    for name, compiled, dtype in (
        (OURS, True, np.float32),
        ("nirbridge float64", True, np.float64),
        ("its rules, float32", False, np.float32),
        ("its rules, float64", False, np.float64),
    ):
        yield name, ours(w, threads, compiled, dtype)
    for name, (module, make) in FRAMEWORKS.items():
        try:
            with redirect_stdout(StringIO()):
                yield name, make(w)
        except ImportError as error:
            missing = (error.name or "").split(".")[0]
            yield name, "not installed" if missing == module else f"cannot be imported: {error}"


def measure(threads: int, repeat: int, busy: bool) -> list[dict[str, Any]]:
    """Times of all contenders with so many threads, batch by batch."""
    warnings.simplefilter("ignore")
    _limit_threads(threads)
    w = weights(busy)
    found = dict(contenders(w, threads))
    rows = []
    for batch in BATCHES:
        spikes = raster(batch)
        able = {
            name: one
            for name, one in found.items()
            if isinstance(one, Contender) and one.largest >= batch
        }
        rows += _time(able, spikes, w, repeat)
        rows += [
            {"contender": name, "batch": batch, "missing": one if isinstance(one, str) else "no"}
            for name, one in found.items()
            if name not in able
        ]
    return [{"threads": threads, **row} for row in rows]


def _limit_threads(threads: int) -> None:
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)


def _time(
    able: dict[str, Contender], spikes: NDArray[np.uint8], w: Weights, repeat: int
) -> list[dict[str, Any]]:
    """Shortest times, the first call's apart; and how many output spikes there were."""
    rows: dict[str, dict[str, Any]] = {}
    shown = {name: one.prepare(spikes) for name, one in able.items()}
    for name, one in able.items():
        first, output = _clock(one, shown[name])
        rows[name] = {
            "contender": name,
            "batch": len(spikes),
            "first": first,
            "seconds": np.inf,
            "output_spikes": float(output[:, one.lag :].sum()),
            "expected_spikes": _expected(one, spikes, w),
        }
    for _ in range(repeat):
        for name, one in able.items():
            rows[name]["seconds"] = min(rows[name]["seconds"], _shortest(one, shown[name]))
    for row in rows.values():
        row["ratio"] = row["seconds"] / rows[OURS]["seconds"]
        row["compile"] = max(row["first"] - row["seconds"], 0.0)
    return list(rows.values())


def _shortest(one: Contender, spikes: Any) -> float:
    """Shortest of as many runs as fit into a twentieth of a second, one at least."""
    times: list[float] = []
    while sum(times) < 0.05:
        times.append(_clock(one, spikes)[0])
    return min(times)


def _clock(one: Contender, spikes: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    output = one.run(spikes)
    return time.perf_counter() - start, output


def _expected(one: Contender, spikes: NDArray[np.uint8], w: Weights) -> float | None:
    """Output spikes of ours with the dynamics of a contender."""
    if one.dynamics is None:
        return None
    found = _simulate(graph(w), spikes, one.dynamics, False, np.float32, 1, compiled=False)
    return float(found.output[:, : STEPS - one.lag].sum())


def in_own_process(threads: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """:func:`measure` where no library can use more processors than it should."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "benchmarks.stepped", "--child", str(path)]
        command += ["--threads", str(threads), "--repeat", str(options.repeat)]
        command += ["--busy"] * options.busy
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder, "JAX_PLATFORMS": "cpu"}
        subprocess.run(command, check=True, env=environment)
        return list(json.loads(path.read_text()))


def _keep_to(threads: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def table_of(rows: list[dict[str, Any]], threads: int) -> Table:
    """The figures as a table for the terminal."""
    sizes = f"{N_IN}-{N_HIDDEN}-{N_OUT}"
    title = f"{STEPS} steps of batches B, {sizes} recurrent CubaLIF, {threads} thread(s)"
    table = Table(title=title, box=SIMPLE)
    for column in ("B", "", "time", "ratio", "compiling", "spikes", "expected"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for row in rows:
        if "missing" in row:
            reason = "no batches" if row["missing"] == "no" else row["missing"]
            table.add_row(str(row["batch"]), row["contender"], "", "", reason)
            continue
        expected = row["expected_spikes"]
        table.add_row(
            str(row["batch"]),
            row["contender"],
            f"{row['seconds'] * 1e3:.1f} ms",
            f"{row['ratio']:.1f}",
            f"{row['compile']:.1f} s",
            f"{row['output_spikes']:.0f}",
            "" if expected is None else f"{expected:.0f}",
        )
    return table


def main() -> None:
    """Measure all contenders and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", default="1,2", help="numbers, with commas between")
    parser.add_argument("--busy", action="store_true", help="half of the neurons fire in a step")
    parser.add_argument("--json", help="also write the figures, with the machine, to this file")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    numbers = [int(n) for n in options.threads.split(",")]
    if options.child:
        _keep_to(numbers[0])
        rows = measure(numbers[0], options.repeat, options.busy)
        Path(options.child).write_text(json.dumps(rows))
        return
    console = Console()
    everything = []
    for threads in numbers:
        rows = in_own_process(threads, options)
        everything += rows
        console.print(table_of(rows, threads))
    if options.json:
        write_json(options.json, everything)


if __name__ == "__main__":
    main()

"""One LIF neuron of the NIR paper: voltages and spike times against the exact solution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.paper_plots import COLOURS, REFERENCE, figure, save
from nirbridge import Dynamics, Refused, adapters, read, simulate_continuous, simulate_stepped

DT = 1e-4
# Volts per unit of what each simulator recorded; fitted where it recorded integers.
SCALES = {
    "lava_cpu_fixed": None,
    "lava_cpu_float": 1.0,
    "lava_loihi_fixed": None,
    "nengo": 0.1,
    "norse": 1.0,
    "rockpool": 1.0,
    "sinabs": 1.0,
    "snntorch": 0.04,
    "spinnaker2": 0.04,
    "spyx": 1.0,
}
STEPPED = {
    "nirbridge stepped, exponential, subtract": Dynamics(
        DT, scheme="exponential", reset="subtract"
    ),
    "nirbridge stepped, Euler, subtract": Dynamics(DT, reset="subtract"),
    "nirbridge stepped, Euler, to zero": Dynamics(DT),
}
OURS = "nirbridge continuous"
Traces = dict[str, tuple[NDArray[np.float64] | None, NDArray[np.float64]]]


def measure(folder: Path) -> tuple[list[dict[str, Any]], Traces]:
    """One row per simulator, the recorded ones first, and their voltages (V) and spikes (T,).

    The reset of the exact solution subtracts, although the graph says v_reset = 0.
    """
    counts, voltage, spikes = _csv(folder / "lif_exact.csv")
    graph = read(folder / "lif_norse.nir")
    raster = counts[:, None].astype(int)
    traces: Traces = {"exact (the paper's)": (voltage, spikes)}
    for name, scale in SCALES.items():
        _, recorded, fired = _csv(folder / f"lif_{name}.csv")
        if scale is None:
            scale = _fit(voltage, recorded)
        traces[f"{name}, recorded"] = (recorded * scale, fired)
    exact = simulate_continuous(graph, raster, DT, reset="subtract", record=True)
    traces[OURS] = exact.v["1"][:, 0], exact.binned()["1"][:, 0].astype(float)
    for name, how in STEPPED.items():
        found = simulate_stepped(graph, raster, how, record=True)
        traces[name] = found.v["1"][:, 0], found.spikes["1"][:, 0]
    rows = [_row(name, *trace, voltage, spikes) for name, trace in traces.items()]
    how = next(iter(STEPPED.values()))
    for framework in adapters.FRAMEWORKS:
        name = f"{framework}, built by nirbridge"
        try:
            fired = adapters.run(adapters.build(graph, framework, how), raster)[:, 0]
        except Refused as refused:
            rows.append({"simulator": name, "spikes": refused.diagnostics[0].found})
        else:
            rows.append(_row(name, None, fired, voltage, spikes))
    times = exact.spikes["1"].times * 1e3
    for row in rows:
        if row["simulator"] == OURS:
            row["times, ms"] = " ".join(f"{t:.4f}" for t in times)
    return rows, traces


def _csv(path: Path) -> NDArray[np.float64]:
    """Input, voltage and spikes, (3, T)."""
    return np.asarray(np.loadtxt(path, delimiter=",").T)


def _fit(exact: NDArray[np.float64], recorded: NDArray[np.float64]) -> float:
    """The scale with the least squared difference; these simulators log a step late."""
    a, b = exact[:-1], recorded[1:]
    return float(a @ b / (b @ b))


def _row(
    name: str,
    voltage: NDArray[np.float64] | None,
    spikes: NDArray[np.float64],
    exact_voltage: NDArray[np.float64],
    exact_spikes: NDArray[np.float64],
) -> dict[str, Any]:
    steps, expected = np.flatnonzero(spikes), np.flatnonzero(exact_spikes)
    same = len(steps) == len(expected)
    shift = " ".join(f"{d:+d}" if d else "0" for d in steps - expected) if same else "another count"
    row: dict[str, Any] = {
        "simulator": name,
        "spikes": " ".join(map(str, steps)),
        "steps late": shift,
        "max |Δv|, V": None,
        "one step earlier": None,
    }
    if voltage is not None:
        row["max |Δv|, V"] = float(np.abs(voltage - exact_voltage).max())
        row["one step earlier"] = float(np.abs(voltage[1:] - exact_voltage[:-1]).max())
    return row


def verdict(rows: list[dict[str, Any]]) -> str:
    """Which simulator is closest to the exact voltage, a step of delay forgiven, by number."""
    found = sorted(
        (min(row["max |Δv|, V"], row["one step earlier"]), row["simulator"])
        for row in rows[1:]
        if row.get("max |Δv|, V") is not None
    )
    others = [x for x in found if not x[1].startswith("nirbridge")]
    return (
        f"closest: {found[0][1]}, {found[0][0]:.1e} V; of the recorded ones {others[0][1]}, "
        f"{others[0][0]:.1e} V"
    )


def plot(traces: Traces, folder: Path) -> Path:
    """Voltages around the spikes, and the distances from the exact one."""
    drawn, ((above,), (below,)) = figure(2, width=9, height=7)
    names = ["norse, recorded", "spyx, recorded", "rockpool, recorded", OURS]
    names.insert(3, "nirbridge stepped, exponential, subtract")
    exact = traces["exact (the paper's)"][0]
    assert exact is not None
    time = np.arange(len(exact)) * DT * 1e3
    shown = slice(430, 800)
    above.plot(time[shown], exact[shown] * 1e3, color=REFERENCE, lw=3, label="exact (the paper's)")
    for name, colour in zip(names, COLOURS, strict=False):
        voltage = traces[name][0]
        assert voltage is not None
        style = {OURS: "--", "spyx, recorded": ":"}.get(name, "-")
        above.plot(time[shown], voltage[shown] * 1e3, style, color=colour, lw=1.2, label=name)
        distance = np.abs(voltage - exact)
        below.semilogy(time, np.maximum(distance, 1e-12), style, color=colour, lw=1.2)
    above.axhline(100, color="#999999", lw=0.8, ls=":")
    above.annotate("threshold", (time[shown][0], 101.5), fontsize=8, color="#666666")
    above.set(xlabel="time in ms", ylabel="membrane in mV", title="One LIF neuron, 0.1 ms per step")
    below.set(xlabel="time in ms", ylabel="|Δv| from the exact one in V", ylim=(1e-11, 1))
    lines = above.get_legend_handles_labels()
    drawn.legend(*lines, loc="outside lower center", ncols=3, fontsize=8)
    return save(drawn, folder, "lif")

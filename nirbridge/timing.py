"""Which time step? The caller's word, the graph's record, or what the parameters imply."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import Diagnostic, Refused, diagnose, refuse_all
from nirbridge.dynamics import Dynamics
from nirbridge.graph.inline import inline
from nirbridge.graph.nodes import is_neuron

TOLERANCE = 1e-5  # relative: parameters are often float32, and so are the quotients of two

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """A time step that one parameter of a node would imply: one value per neuron, in seconds.

    ``formula`` tells how; ``scheme`` is how a framework that writes such parameters steps.
    """

    node: str
    formula: str
    scheme: str
    dt: Array

    @property
    def uniform(self) -> bool:
        """Whether all neurons of the node imply the same step."""
        return bool(np.ptp(self.dt) <= TOLERANCE * self.dt.max(initial=0.0))

    def __str__(self) -> str:
        if self.uniform:
            return f"{self.node}: {self.formula} = {self.dt.flat[0]:.6g} s"
        return f"{self.node}: {self.formula} = {self.dt.min():.6g} to {self.dt.max():.6g} s"


def candidates(graph: nir.NIRGraph) -> list[Candidate]:
    """Steps that the parameters of a graph's neurons imply, under either scheme.

    snnTorch and SpikingJelly normalise their gains to one per step, and write r = τ_mem/dt and
    w_in = τ_syn/dt. Rockpool writes r = (τ_mem/dt)·e^(−dt/τ_mem), and w_in = 1. A gain of one
    implies nothing.
    """
    found = []
    for name, node in inline(graph).nodes.items():
        if not is_neuron(node) or not hasattr(node, "v_leak"):
            continue
        tau = np.asarray(getattr(node, "tau_mem", getattr(node, "tau", None)), np.float64)
        r = np.asarray(node.r, np.float64)
        has_synapse = hasattr(node, "tau_syn")
        w_in = np.asarray(node.w_in, np.float64) if has_synapse else np.ones(r.shape)
        unit_w_in = bool(np.all(w_in == 1))
        if np.all(r > 0) and not np.all(r == 1):
            if unit_w_in:
                dt = tau * _solve_exponential(r)
                found.append(Candidate(name, "dt in r = (τ/dt)·e^(−dt/τ)", "exponential", dt))
            if not (has_synapse and unit_w_in):
                found.append(Candidate(name, "τ_mem/r", "euler", tau / r))
        if has_synapse and not unit_w_in and np.all(w_in > 0):
            dt = np.asarray(node.tau_syn, np.float64) / w_in
            found.append(Candidate(name, "τ_syn/w_in", "euler", dt))
    return found


def _solve_exponential(r: Array) -> Array:
    """Solve e^(−x)/x = r for x > 0, by Newton's method on ln x + x + ln r, which is concave."""
    x = np.minimum(1.0 / (1.0 + r), 1.0)
    for _ in range(50):
        x = x * (1.0 - np.log(x) - np.log(r)) / (1.0 + x)
    return np.asarray(x, np.float64)


def agreed(found: list[Candidate]) -> tuple[float, str] | None:
    """The step and scheme that the candidates agree on, or None.

    Under one scheme, and not under the other, all nodes must imply the same step. One number
    says nothing by itself: it is believed if two parameters agree on it, or if it is as round as
    what a person would choose (two digits).
    """
    believed = []
    for scheme in sorted({c.scheme for c in found}):
        dt = _common([c for c in found if c.scheme == scheme])
        if dt is not None:
            believed.append((dt, scheme))
    return believed[0] if len(believed) == 1 else None


def _common(found: list[Candidate]) -> float | None:
    steps = np.array([float(np.mean(c.dt)) for c in found])
    if not all(c.uniform for c in found) or np.ptp(steps) > TOLERANCE * steps.max():
        return None
    dt = float(f"{np.median(steps):.5g}")
    round_number = dt == float(f"{dt:.2g}")
    return dt if round_number or len(found) > 1 else None


def resolve(
    graph: nir.NIRGraph, dt: float | None = None, dynamics: Dynamics | None = None, **words: Any
) -> Dynamics:
    """The dynamics of a graph: the caller's, else its own record, else what it implies.

    Parameters
    ----------
    graph
        Any graph.
    dt
        The caller's time step in seconds; it overrides every other.
    dynamics
        The caller's record; it overrides the graph's.
    words
        Single fields of the record that the caller gives.

    Raises
    ------
    Refused
        NB301 if nothing says or implies a step, NB302 if the nodes imply different ones, NB304
        for a record that cannot be understood.

    """
    given = dict(words)
    if dt is not None:
        given["dt"] = dt
    known = dynamics or Dynamics.of(graph)
    if known is not None:
        return replace(known, **given)
    if "dt" in given:
        return Dynamics(**given)
    found = candidates(graph)
    implied = agreed(found)
    if implied is None:
        raise Refused(_unknown(found))
    return Dynamics(**{"dt": implied[0], "scheme": implied[1], **given})


def source_of_dt(graph: nir.NIRGraph, dt: float | None, dynamics: Dynamics | None) -> str:
    """Who said the time step, in words."""
    if dt is not None or dynamics is not None:
        return "given by the caller"
    if Dynamics.of(graph) is not None:
        return "recorded in the graph"
    return "implied by r and w_in of the graph's neurons"


def _unknown(found: list[Candidate]) -> list[Diagnostic]:
    if not found:
        limit, text = "dt in seconds", "no record in the graph, and r = w_in = 1 imply nothing"
        return [diagnose("NB301", limit=limit, found=text)]
    first = found[0].node
    return [
        diagnose(
            "NB302",
            node=first,
            limit="one time step for all nodes",
            found="; ".join(str(c) for c in found[:8]),
        )
    ]


def check_taus(graph: nir.NIRGraph, dynamics: Dynamics) -> None:
    """Refuse (NB303) time constants that Euler steps of this length cannot follow."""
    problems = []
    for name, node in inline(graph).nodes.items():
        own = dynamics.override(node)
        for key in ("tau", "tau_mem", "tau_syn"):
            tau = np.asarray(getattr(node, key, np.inf), np.float64)
            short = tau < own.dt * (1 - TOLERANCE)
            if own.scheme == "euler" and np.any(short):
                problems.append(
                    diagnose(
                        "NB303",
                        node=name,
                        limit=f"{key} >= dt = {own.dt:g} s",
                        found=f"{float(tau[short].min()):.6g} s ({int(short.sum())} neurons)",
                    )
                )
    refuse_all(problems)

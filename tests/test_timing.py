"""The time step is said, recorded or implied, and never guessed."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from nirbridge import Dynamics, Refused, read
from nirbridge.timing import candidates, check_taus, resolve
from tests.test_stepped import SIZE, cuba, layer, lif, weights


def cuba_with(r: Any, w_in: Any, tau: Any = 5e-3) -> nir.NIRGraph:
    one = np.ones(SIZE)
    return layer(nir.CubaLIF(tau * one, tau * one, r * one, 0 * one, one, 0 * one, w_in * one),
                 weights(0))


def code(graph: nir.NIRGraph, **words: Any) -> str:
    with pytest.raises(Refused) as refusal:
        resolve(graph, **words)
    return refusal.value.diagnostics[0].code


def test_snntorch_style_gains_imply_the_step() -> None:
    found = resolve(layer(cuba(0.75, 0.9), weights(0)))
    assert (found.dt, found.scheme) == (1e-3, "euler")


def test_float32_parameters_imply_the_same_step() -> None:
    betas = np.linspace(0.3, 0.97, SIZE, dtype=np.float32)
    tau = np.float32(1e-4) / (1 - betas)
    one = np.ones(SIZE)
    graph = layer(nir.LIF(tau, tau / np.float32(1e-4), 0 * one, one, 0 * one), weights(0))
    assert resolve(graph).dt == pytest.approx(1e-4, rel=1e-5)


def test_rockpool_style_gains_imply_exponential_steps() -> None:
    tau, dt = np.linspace(5e-3, 3e-2, SIZE), 1e-3
    r = tau * np.exp(-dt / tau) / dt
    graph = cuba_with(r, 1.0, tau)
    found = resolve(graph)
    assert found.scheme == "exponential"
    assert found.dt == pytest.approx(dt, rel=1e-5)


def test_gains_of_one_imply_nothing() -> None:
    assert code(cuba_with(1.0, 1.0)) == "NB301"


def test_contradicting_nodes_are_refused_with_their_candidates() -> None:
    graph = cuba_with(5.0, 10.0)
    assert code(graph) == "NB302"
    assert [str(c) for c in candidates(graph)] == [
        "n: τ_mem/r = 0.001 s",
        "n: τ_syn/w_in = 0.0005 s",
    ]


def test_one_odd_number_is_no_proof() -> None:
    one = np.ones(SIZE)
    graph = layer(nir.LIF(5e-3 * one, 3.7 * one, 0 * one, one, 0 * one), weights(0))
    assert code(graph) == "NB302"
    assert resolve(graph, dt=1e-3).dt == 1e-3


def test_the_caller_overrides_the_record() -> None:
    graph = Dynamics(1e-3, reset="subtract").attach(layer(lif(0.5), weights(0)))
    assert resolve(graph) == Dynamics(1e-3, reset="subtract")
    assert resolve(graph, dt=2e-3) == Dynamics(2e-3, reset="subtract")
    assert resolve(graph, reset="value") == Dynamics(1e-3)
    assert resolve(graph, dynamics=Dynamics(5e-3)) == Dynamics(5e-3)


def test_short_time_constants_are_refused_for_euler_steps() -> None:
    graph = layer(lif(0.5), weights(0))
    with pytest.raises(Refused) as refusal:
        check_taus(graph, Dynamics(1e-2))
    assert refusal.value.diagnostics[0].code == "NB303"
    assert refusal.value.diagnostics[0].node == "n"
    check_taus(graph, Dynamics(1e-2, scheme="exponential"))


def test_record_survives_a_plain_nir_file(tmp_path: Any) -> None:
    how = Dynamics(1e-3, scheme="exponential", reset="subtract", spikes_per_step=None)
    nir.write(str(tmp_path / "g.nir"), how.attach(layer(lif(0.5), weights(0))))
    assert Dynamics.of(nir.read(str(tmp_path / "g.nir"))) == how
    assert Dynamics.of(read(tmp_path / "g.nir")) == how


@pytest.mark.parametrize(
    "wrong",
    [
        {"dt": 0.0},
        {"dt": float("nan")},
        {"dt": 1e-3, "scheme": "rk4"},
        {"dt": 1e-3, "reset": "none"},
        {"dt": 1e-3, "spikes_per_step": 0},
        {"dt": 1e-3, "spikes_per_step": None},
        {"dt": 1e-3, "comparison": "<"},
        {"dt": 1e-3, "reset_delay": 1},
        {"dt": 1e-3, "layer_delay": True},
    ],
)
def test_meaningless_dynamics_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refusal:
        Dynamics(**wrong)
    assert {d.code for d in refusal.value.diagnostics} == {"NB304"}


def test_reference_files(reference: Any) -> None:
    assert resolve(read(reference / "braille" / "braille_noDelay_noBias_subtract.nir")).dt == 1e-4
    found = resolve(read(reference / "lif" / "lif_rockpool.nir"))
    assert (found.dt, found.scheme) == (1e-4, "exponential")
    assert code(read(reference / "lif" / "lif_norse.nir")) == "NB301"

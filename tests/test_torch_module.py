"""The torch module is the chip, and its gradients are those of the chip's step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.networks import any_config, any_raster
from nirbridge import Refused, XyloConfig, simulate
from nirbridge.simulate.recording import RECORDED
from tests.deployments import around, coarse, task

torch = pytest.importorskip("torch", reason="torch is not installed")
from nirbridge.torch import ChipRun, XyloModule  # noqa: E402
from nirbridge.torch.run import TRAINED  # noqa: E402
from nirbridge.torch.surrogate import spike_derivative  # noqa: E402

NAMES = ("output", *RECORDED)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small(**values: Any) -> XyloConfig:
    """Two inputs, three hidden neurons, two outputs, far from all rails."""
    rng = np.random.default_rng(3)
    fields: dict[str, Any] = {
        "weights_in": rng.integers(20, 90, (2, 3, 2)).astype(np.int8),
        "weights_rec": rng.integers(-30, 30, (3, 3, 2)).astype(np.int8),
        "weights_out": rng.integers(10, 90, (3, 2)).astype(np.int8),
        "dash_mem": [3, 2, 4],
        "dash_syn": [1, 2, 3],
        "dash_syn_2": [2, 1, 4],
        "dash_mem_out": [3, 2],
        "dash_syn_out": [2, 1],
        "threshold": np.array([300, 400, 500], np.int16),
        "threshold_out": np.array([500, 600], np.int16),
        "bias": [3, -2, 5],
        "bias_out": [1, 0],
        "aliases": [-1, -1, -1],
        "weight_shift_in": 1,
        "weight_shift_rec": 0,
        "weight_shift_out": 2,
        "dt": 1e-3,
    }
    return XyloConfig(**(fields | values))


def counts(batch: int = 2, steps: int = 9, n_in: int = 2) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 3, (batch, steps, n_in)).astype(np.uint8)


def gradients(module: XyloModule, ran: ChipRun, **weights: float) -> dict[str, NDArray[Any]]:
    """Gradients of Σ weight·Σ state by parameter."""
    module.zero_grad()
    loss = sum(w * getattr(ran, name).sum() for name, w in weights.items())
    loss.backward()
    return {name: p.grad.numpy() for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("target", ["xylo-audio-2", "xylo-1"])  # one chip per arithmetic
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_state_is_the_chips(target: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = any_config(rng, target)
    batch = np.stack([any_raster(rng, config.n_in, 20) for _ in range(2)])
    module = XyloModule(around(config), decays=bool(seed % 2))
    ran, expected = module(batch), simulate(config, batch, record=True)
    for name in NAMES:
        np.testing.assert_array_equal(
            getattr(ran, name).detach().numpy(), getattr(expected, name), err_msg=name
        )
    assert module.to_config() == config
    found = gradients(module, ran, **dict.fromkeys(NAMES, 1.0))
    assert all(np.isfinite(g).all() for g in found.values())
    assert set(found) == set(TRAINED if seed % 2 else TRAINED[:7])


class Replica:
    """The chip's step in plain torch operations, differentiated by torch itself.

    Without rails, caps and aliases. What has no derivative gets that of the module: spikes the
    surrogate, the reset none, the decay its factor.
    """

    def __init__(self, config: XyloConfig):
        self.p = {
            name: torch.tensor(getattr(config, name).astype(np.float64), requires_grad=True)
            for name in TRAINED
        }
        self.shift = config.weight_shift_in, config.weight_shift_rec, config.weight_shift_out

    @staticmethod
    def exact(value: Any, like: Any) -> Any:
        """``value``, with the gradient of ``like``."""
        return value.detach() + (like - like.detach())

    def decay(self, x: Any, dash: Any) -> Any:
        lost = torch.floor(x / 2**dash)
        lost = torch.where((x > 0) & (lost == 0), 1.0, lost)
        return self.exact(x - lost, x * (1 - 2**-dash))

    def fire(self, u: Any, threshold: Any, limit: int) -> tuple[Any, Any]:
        n = torch.clamp(torch.floor(u / threshold), 0, limit)
        most = torch.full_like(threshold, float(limit))
        slope = spike_derivative(u, threshold, most).detach()
        like = slope * u - slope * u.detach() / threshold.detach() * threshold
        n = self.exact(n, like)
        return n, u - n.detach() * threshold

    def run(self, x: Any) -> dict[str, Any]:
        p, (s_in, s_rec, s_out) = self.p, self.shift
        h, o = (torch.zeros(len(x), len(p[n]), dtype=x.dtype) for n in ("bias", "bias_out"))
        i, v, n, io, vo = [h, h], h, h, o, o
        rows: dict[str, list[Any]] = {name: [] for name in NAMES}
        for t in range(x.shape[1]):
            io = io + n @ p["weights_out"] * 2**s_out
            for k, name in enumerate(("dash_syn", "dash_syn_2")):
                add = x[:, t] @ p["weights_in"][:, :, k] * 2**s_in
                add = add + n @ p["weights_rec"][:, :, k] * 2**s_rec
                i[k] = self.decay(i[k] + add, p[name])
            u = self.decay(v, p["dash_mem"]) + i[0] + i[1] + p["bias"]
            n, v = self.fire(u, p["threshold"], 31)
            io = self.decay(io, p["dash_syn_out"])
            u = self.decay(vo, p["dash_mem_out"]) + io + p["bias_out"]
            out, vo = self.fire(u, p["threshold_out"], 1)
            for name, value in zip(NAMES, (out, n, *i, v, io, vo), strict=True):
                rows[name].append(value)
        return {name: torch.stack(values, dim=1) for name, values in rows.items()}


def test_gradients_are_those_of_the_step_by_step_model() -> None:
    config, x = small(), counts()
    module = XyloModule(around(config), decays=True)
    replica = Replica(config)
    expected = replica.run(torch.tensor(x.astype(np.float64)))
    ran = module(x)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(ran, name).detach(), expected[name].detach())
    assert ran.spikes.max() > 1
    assert ran.output.sum() > 0
    weights = {name: 0.1 * (k + 1) for k, name in enumerate(NAMES)}
    found = gradients(module, ran, **weights)
    sum(w * expected[name].sum() for name, w in weights.items()).backward()
    for name in TRAINED:
        unit = getattr(module, f"_unit_{name}").numpy()
        wanted = replica.p[name].grad.numpy() * unit
        np.testing.assert_allclose(found[name], wanted, rtol=2e-4, atol=1e-3, err_msg=name)
        assert np.abs(found[name]).max() > 0, name


def test_no_gradient_where_a_state_was_clamped() -> None:
    top = np.full((2, 3, 2), 127, np.int8)
    config = small(weights_in=top, weight_shift_in=7, weights_rec=np.zeros((3, 3, 2), np.int8))
    module = XyloModule(around(config))
    ran = module(np.full((1, 4, 2), 15))
    found = gradients(module, ran, i_syn=1.0, i_syn_2=1.0)
    assert not found["weights_in"].any()
    ran = module(np.full((1, 4, 2), 15))
    found = gradients(module, ran, v_mem=1.0)
    assert not found["weights_in"].any()
    assert not found["bias"].any()
    free = gradients(module, module(np.array([[[1, 0], [0, 0]]])), i_syn=1.0)
    assert free["weights_in"][0, :, 0].all()


def test_aliases_pass_gradients_on() -> None:
    """0 → 1 → 2 in one step: a spike of 0 counts for all three."""
    none = np.zeros((3, 3, 2), np.int8)
    out = np.array([[0, 0], [0, 0], [50, 50]], np.int8)
    config = small(weights_rec=none, weights_out=out, aliases=[1, 2, -1])
    cases = (([1, 2, -1], [True, True, True]), ([-1, -1, -1], [False, False, True]))
    for aliases, reached in cases:
        module = XyloModule(around(replace(config, aliases=np.array(aliases))))
        found = gradients(module, module(counts()), i_syn_out=1.0)
        assert (np.abs(found["weights_in"]).sum(axis=(0, 2)) > 0).tolist() == reached


def test_what_is_no_connection_or_a_relay_stays() -> None:
    w_rec = small().weights_rec.copy()
    w_rec[0, :, 0] = 0
    module = XyloModule(around(small(weights_rec=w_rec), relays=1))
    found = gradients(module, module(counts()), v_mem_out=1.0, v_mem=1.0)
    assert not found["weights_rec"][0, :, 0].any()
    assert found["weights_rec"][1, 1:, 0].all()
    for name in ("weights_in", "weights_rec"):
        assert not found[name][:, 0].any()
    assert found["threshold"][0] == found["bias"][0] == 0
    assert found["threshold"][1:].all()


def test_integers_stay_in_range() -> None:
    once = np.array([300, 16384, 20000], np.int16)
    module = XyloModule(around(small(threshold=once)), decays=True)
    for push in (1e6, -1e6):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(push)
        module.keep_in_range()
        config = module.to_config()
        assert not config.violations()
        assert config.dash_syn.min() >= 1
        assert ((config.threshold >= 2**14) == (once >= 2**14)).all()


def test_answers_are_what_the_deployment_says() -> None:
    for readout in (False, True):
        deployment = coarse(readout)
        x, _ = task(6)
        module = XyloModule(deployment)
        late = deployment.placement.outputs[0].latency
        long = np.pad(x, ((0, 0), (0, late), (0, 0)))
        said = deployment.decode(deployment.simulate(long, record=True))["output"][:, late:]
        np.testing.assert_allclose(module.answer(x).detach().numpy(), said, rtol=1e-6)
        shape = (1, *long.shape[1:2], deployment.config.n_out)
        assert module(long[0]).output.shape == shape


def test_what_is_no_raster_is_refused() -> None:
    module = XyloModule(around(small()))
    for wrong in (np.zeros((1, 3, 5), int), np.zeros((1, 3, 2))):
        with pytest.raises(Refused):
            module(wrong)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here")
def test_on_cuda_it_is_the_same() -> None:
    deployment = coarse()
    x, _ = task(20)
    here, there = XyloModule(deployment), XyloModule(deployment).to("cuda")
    for module in (here, there):
        torch.autograd.backward(module.answer(x).sum())
    for a, b in zip(here.parameters(), there.parameters(), strict=True):
        if a.grad is not None and b.grad is not None:
            np.testing.assert_allclose(a.grad, b.grad.cpu(), rtol=1e-4, atol=1e-3)

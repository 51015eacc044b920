"""Accuracy of perturbed chips, drawn and attacked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nirbridge import Deployment, Refused, simulate
from nirbridge.check.robustness import perturb
from tests.deployments import coarse, task

X, Y = task(60)


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    return coarse(seed=2)


def test_noise_of_nothing_changes_nothing(deployment: Deployment) -> None:
    found = deployment.robustness(X, Y, [0.0], draws=3)
    clean = deployment.check(X, Y).accuracy
    assert found.clean == clean
    assert (found.at(0.0).mean, found.at(0.0).sd, found.at(0.0).worst) == (clean, 0, clean)
    assert found.to_dict()["levels"][0]["draws"] == 3


def test_each_chip_is_what_it_says(deployment: Deployment) -> None:
    """The figures again, one chip at a time."""
    found = deployment.robustness(X, Y, [0.2, 0.8], draws=4, seed=5)
    late = deployment.placement.outputs[0].latency
    long = np.pad(X, ((0, 0), (0, late), (0, 0)))
    for level in (0.2, 0.8):
        shares = []
        for draw in range(4):
            chip = perturb(deployment, level, np.random.default_rng([5, draw]))
            said = simulate(chip, long).output[:, late:].sum(axis=1).argmax(axis=1)
            shares.append(float((said == Y).mean()))
        row = found.at(level)
        assert row.worst == min(shares)
        assert row.mean == pytest.approx(np.mean(shares))
        assert row.sd == pytest.approx(np.std(shares))
    assert found.at(0.8).sd > 0


def test_perturbed_chips_stay_in_range(deployment: Deployment) -> None:
    config = deployment.config
    wild = perturb(deployment, 5.0, np.random.default_rng(0))
    assert wild.threshold.min() >= 1
    for name in ("weights_in", "weights_rec", "weights_out"):
        before, after = getattr(config, name), getattr(wild, name)
        assert after.dtype == np.int8
        assert not after[before == 0].any()
        assert (after != before).any()
    read = coarse(readout=True)
    wild = perturb(read, 5.0, np.random.default_rng(0))
    np.testing.assert_array_equal(wild.threshold_out, read.config.threshold_out)


def test_membranes_are_read() -> None:
    read = coarse(readout=True)
    assert read.robustness(X, Y, [0.1], draws=2).clean == read.check(X, Y).accuracy


def test_on_dask_workers_it_is_the_same(deployment: Deployment) -> None:
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    here = deployment.robustness(X, Y, [0.3], draws=3)
    with distributed.Client(processes=False, dashboard_address=None, n_workers=1) as client:
        assert deployment.robustness(X, Y, [0.3], draws=3, dask=client) == here


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"labels": None}, "NB804"),
        ({"labels": Y[:-1]}, "NB804"),
        ({"raster": X * 0.5}, "NB801"),
        ({"levels": [-0.1]}, "NB806"),
        ({"levels": [float("nan")]}, "NB806"),
        ({"attack": ["much"]}, "NB806"),
        ({"draws": 0}, "NB806"),
        ({"perturbs": ["decays"]}, "NB806"),
    ],
)
def test_what_is_refused(deployment: Deployment, arguments: dict[str, Any], code: str) -> None:
    usual: dict[str, Any] = {"raster": X, "labels": Y, "levels": [0.1]}
    with pytest.raises(Refused) as refusal:
        deployment.robustness(**(usual | arguments))
    assert [d.code for d in refusal.value.diagnostics] == [code]


def test_an_attack_does_more_damage_than_chance(deployment: Deployment) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from nirbridge import finetune
    from nirbridge.torch import XyloModule
    from nirbridge.torch.robust import PERTURBED, attack

    tuned = finetune(deployment, *task(), 6, rate=1e-2)
    found = tuned.robustness(X, Y, [0.2], draws=10, attack=[0.0, 0.2])
    assert found.at(0.0, "attack").mean == found.clean
    assert found.at(0.2, "attack").mean < found.at(0.2).mean
    module = XyloModule(tuned)
    worst = attack(module, X, 0.2, generator=torch.Generator().manual_seed(0))
    for name in PERTURBED:
        value = getattr(module, name).detach()
        assert ((worst[name] - value).abs() <= 0.206 * value.abs() + 1e-6).all(), name
        assert (worst[name] != value).any() == value.any()

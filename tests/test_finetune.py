"""Fine-tuning: what it gains, that it can be repeated and interrupted, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nir
import numpy as np
import pytest

import nirbridge
from nirbridge import Deployment, Refused, convert, finetune, load, read, simulate_stepped
from tests.conftest import GRAPHS
from tests.deployments import coarse, task
from tests.test_cli import Command
from tests.test_cli import nirbridge as command

torch = pytest.importorskip("torch", reason="torch is not installed")
import nirbridge.torch  # noqa: E402
from nirbridge.torch.redeploy import METADATA_KEY  # noqa: E402

__all__ = ["command"]

X, Y = task()
RATE = 1e-1


def accuracy(deployment: Deployment) -> float:
    found = deployment.check(*task(240, seed=9)).accuracy
    assert found is not None
    return found


def codes(refusal: pytest.ExceptionInfo[Refused]) -> list[str]:
    return [d.code for d in refusal.value.diagnostics]


@pytest.fixture(scope="module")
def tuned() -> Deployment:
    return finetune(coarse(), X, Y, 15, rate=RATE, batch=16, validation=0.2, patience=15)


@cache
def _whole() -> bytes:
    with TemporaryDirectory() as folder:
        place = Path(folder) / "training.pt"
        finetune(coarse(), X, Y, 1, checkpoint=place)
        return place.read_bytes()


def whole() -> dict[str, Any]:
    """What a checkpoint after one epoch holds."""
    found: dict[str, Any] = torch.load(BytesIO(_whole()), weights_only=True)
    return found


def test_a_coarse_network_gets_better(tuned: Deployment) -> None:
    before, after = accuracy(coarse()), accuracy(tuned)
    assert before < 0.5
    assert after > 0.75
    assert tuned.method == "channel+finetune"
    assert not tuned.config.violations()
    assert finetune(tuned, X, Y, 0).method == "channel+finetune"
    notes = [str(note) for note in tuned.journal if note.stage == "finetune"]
    assert "right decisions on 24 samples kept apart" in notes[1]
    assert not [note for note in coarse().journal if note.stage == "finetune"]


def test_membranes_that_are_read_and_a_loss_of_ones_own() -> None:
    start = coarse(readout=True)
    plain = finetune(start, X, Y, 5, rate=RATE, batch=16)
    assert accuracy(plain) > accuracy(start) + 0.1

    def last_volts(answer: Any, y: Any) -> Any:
        assert answer.shape[1:] == (X.shape[1], 3)
        return torch.nn.functional.cross_entropy(answer[:, -1], y)

    own = finetune(start, X, Y, 2, rate=RATE, loss=last_volts)
    assert own.config != start.config
    assert own.config.threshold_out.tolist() == start.config.threshold_out.tolist()
    history = json.loads(own.deployed.metadata[METADATA_KEY])["history"]
    assert history[0]["accuracy"] is None
    assert history[-1]["loss"] < history[0]["loss"]


def test_the_start_is_kept_where_nothing_gets_better(tuned: Deployment) -> None:
    worse = finetune(tuned, X, Y, 2, rate=1e3)
    assert worse.config == tuned.config
    assert finetune(coarse(), X, Y, 0).config == coarse().config


def test_gradients_that_explode_leave_numbers() -> None:
    """Every spike is worth 100 thresholds in every other neuron, over and over."""
    config = coarse().config
    strong = np.where(config.weights_rec != 0, 127, 0).astype(np.int8)
    start = replace(coarse(), config=replace(config, weights_rec=strong, weight_shift_rec=7))
    result = finetune(start, X, Y, 2, rate=RATE, validation=0)
    for node in result.shifted.nodes.values():
        assert np.isfinite(getattr(node, "weight", 0.0)).all()


def test_it_can_be_repeated() -> None:
    first, again, other = (
        finetune(coarse(), X, Y, 2, rate=RATE, noise=0.1, seed=seed) for seed in (1, 1, 2)
    )
    assert first.config == again.config
    assert first.config != other.config
    assert first.origin.knows(X)


@pytest.mark.parametrize("options", [{}, {"noise": 0.2, "decays": True}, {"adversarial": 0.1}])
def test_an_interrupted_training_ends_as_if_it_had_not_been(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """Interrupted after two of four epochs, in the middle of the third."""
    x, y = X[:48], Y[:48]

    def cut(items: list[int]) -> Iterable[int]:
        for number in items:
            if number == 3:
                raise KeyboardInterrupt
            yield number

    def run(**more: Any) -> Deployment:
        return finetune(coarse(), x, y, 4, rate=RATE, batch=16, patience=9, **options, **more)

    place = tmp_path / "training.pt"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=place, track=cut)
    resumed = run(checkpoint=place, track=list)
    whole = run(track=list)
    assert resumed.config == whole.config
    assert resumed.journal == whole.journal
    assert [p.name for p in tmp_path.iterdir()] == ["training.pt"]
    assert run(checkpoint=place).config == whole.config  # nothing is left to do


def test_checkpoints_of_another_training_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "training.pt"
    finetune(coarse(), X, Y, 1, checkpoint=place)
    others: list[dict[str, Any]] = [{"seed": 1}, {"rate": 0.1}, {"noise": 0.1}]
    for other in others:
        with pytest.raises(Refused) as refusal:
            finetune(coarse(), X, Y, 1, checkpoint=place, **other)
        assert codes(refusal) == ["NB812"]
    for damage in (b"", b"text", place.read_bytes()[:-200]):
        place.write_bytes(damage)
        with pytest.raises(Refused) as refusal:
            finetune(coarse(), X, Y, 1, checkpoint=place)
        assert codes(refusal) == ["NB812"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parameters", {}), ("parameters", 3), ("best", {}), ("best", 7), ("best", None),
        ("optimiser", {}), ("optimiser", {"state": {0: {}}}), ("optimiser", {"state": {"a": 1}}),
        ("best_epoch", 99), ("best_epoch", -1), ("best_epoch", 0.5), ("best_epoch", True),
        ("scores", []), ("scores", [(1, 2)]), ("scores", [(None, None, "x")]), ("scores", 1),
        ("scores", [(None, None, None)]),
    ],
)  # fmt: skip
def test_crafted_checkpoints_are_refused(name: str, value: Any, tmp_path: Path) -> None:
    """With the right fingerprint: found before anything is trained."""
    crafted = {**whole(), name: value}
    torch.save(crafted, tmp_path / "training.pt")
    with pytest.raises(Refused) as refusal:
        finetune(coarse(), X, Y, 2, checkpoint=tmp_path / "training.pt")
    assert codes(refusal) == ["NB812"]


@pytest.mark.parametrize("part", ["parameters", "best", "state"])
@pytest.mark.parametrize("change", ["cut", "nan", "huge"])
def test_checkpoints_of_other_numbers_are_refused(part: str, change: str, tmp_path: Path) -> None:
    crafted = whole()
    held = crafted["optimiser"]["state"][0] if part == "state" else crafted[part]
    name = "exp_avg" if part == "state" else "weights_in"
    value = held[name].clone()
    wrong = {"cut": value[..., :-1], "nan": value * np.nan, "huge": value * 0 + np.inf}
    held[name] = wrong[change]
    torch.save(crafted, tmp_path / "training.pt")
    with pytest.raises(Refused) as refusal:
        finetune(coarse(), X, Y, 2, checkpoint=tmp_path / "training.pt")
    assert codes(refusal) == ["NB812"]


def test_a_checkpoint_has_a_place_before_anything_is_trained(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "gone" / "c.pt"):
        with pytest.raises(Refused) as refusal:
            finetune(coarse(), X, Y, 1, checkpoint=place, track=lambda _: 1 / 0)  # type: ignore
        assert codes(refusal) == ["NB807"]


def test_it_stops_when_nothing_gets_better() -> None:
    seen: list[int] = []

    def watch(items: list[int]) -> Iterable[int]:
        for number in items:
            seen.append(number)
            yield number

    finetune(coarse(), X, Y, 50, rate=1e-9, patience=2, track=watch)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    ("x", "y", "code"),
    [
        (X, None, "NB804"),
        (X, Y[:-1], "NB804"),
        (X, Y + 1, "NB804"),
        (X, Y + 0.5, "NB804"),
        (X[0], Y[:1], "NB801"),
        (X[:0], Y[:0], "NB801"),
        (X[:, :0], Y, "NB801"),
        (X * 0.5, Y, "NB801"),
        (X[..., :3], Y, "NB802"),
    ],
)
def test_what_are_no_samples_is_refused(x: Any, y: Any, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        finetune(coarse(), x, y, 1)
    assert codes(refusal) == [code]


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": -1}, {"epochs": 1.5}, {"epochs": True}, {"batch": 0}, {"seed": -1},
        {"rate": 0}, {"rate": float("nan")}, {"validation": 1}, {"noise": -0.1},
        {"adversarial": float("inf")}, {"patience": 0}, {"beta": "much"},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refusal:
        finetune(coarse(), X, Y, **options)
    assert codes(refusal) == ["NB806"]
    assert refusal.value.diagnostics[0].node == next(iter(options))


def test_it_leaves_as_nir_again(tuned: Deployment, tmp_path: Path) -> None:
    place = tmp_path / "tuned"
    tuned.save(place)
    again = load(place)
    assert (again.config, again.method, again.journal) == (
        tuned.config, tuned.method, tuned.journal,
    )
    plain = nir.read(place / "deployed.nir")
    record = json.loads(plain.metadata[METADATA_KEY])
    assert record["epochs"] == 15
    assert record["best_epoch"] >= 1
    graph = read(place / "deployed.nir")
    assert convert(graph).config == tuned.config
    spikes = simulate_stepped(graph, X).outputs["output"]
    late = tuned.placement.outputs[0].latency
    chip = tuned.simulate(X).output
    assert spikes.sum() == pytest.approx(chip.sum(), rel=0.1)
    assert spikes[:, late:].sum() > 0


def test_it_runs_in_a_framework(tuned: Deployment) -> None:
    pytest.importorskip("snntorch", reason="snntorch is not installed")
    from nirbridge.adapters import run

    model = nirbridge.build(tuned.deployed, "snntorch")
    found = run(model, X[:20])
    expected = simulate_stepped(tuned.deployed, X[:20]).outputs["output"]
    assert expected.sum() > 0
    np.testing.assert_array_equal(found, expected)


def test_the_once_form_stays() -> None:
    start = convert(read(GRAPHS / "digits_recurrent.nir"), method="fit")
    with np.load(GRAPHS / "digits.npz") as stored:
        x, y = stored["x"][:64], stored["y"][:64]
    result = finetune(start, x, y, 1, rate=RATE, validation=0, loss=lambda a, _: -a.sum())
    assert result.config != start.config
    assert result.config.threshold.min() >= 2**14
    pairs = [(c.weights_rec != 0).any(axis=2) for c in (start.config, result.config)]
    assert not (pairs[1] & ~pairs[0]).any()
    assert convert(result.deployed).config == result.config


def test_biases_as_a_channel_are_trained_as_weights() -> None:
    graph = coarse().source
    graph.nodes["hidden"] = _driven(graph.nodes["hidden"], 2000.0)  # more than a chip's bias
    start = convert(graph, method="channel")
    assert start.constant
    module = nirbridge.torch.XyloModule(start)
    free = dict(module.named_buffers())["_free_weights_in"]
    assert free[-1, :, 0].all()
    result = finetune(start, X, Y, 1, validation=0, loss=lambda answer, _: -answer.sum())
    assert (result.constant, result.n_in) == (True, start.n_in)
    assert result.deployed.nodes["hidden"].v_leak.all()
    result.check(X[:4])


def _driven(node: nir.CubaLIF, v_leak: float) -> nir.CubaLIF:
    return nir.CubaLIF(
        node.tau_syn, node.tau_mem, node.r, node.v_leak + v_leak, node.v_threshold, node.v_reset,
        node.w_in,
    )  # fmt: skip


def test_the_command(command: Command, tmp_path: Path) -> None:
    place, data, out = tmp_path / "start", tmp_path / "data.npz", tmp_path / "out"
    coarse().save(place)
    np.savez(data, x=X, y=Y)
    words = ["finetune", place, data, "-o", out, "--epochs", 2, "--rate", RATE, "--json"]
    done = command(*words, "--checkpoint", tmp_path / "c.pt")
    assert (done.code, done.err) == (0, "")
    assert done.json["journal"][0]["stage"] == "finetune"
    assert load(out).config == finetune(coarse(), X, Y, 2, rate=RATE).config
    assert command(*words).codes == ["NB805"]
    np.savez(data, x=X)
    done = command("finetune", place, data, "-o", tmp_path / "none")
    assert (done.code, done.codes) == (3, ["NB804"])
    assert not (tmp_path / "none").exists()
    assert "found   none" in done.err

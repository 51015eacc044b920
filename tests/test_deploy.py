"""Deployment to a device. All devices here are stand-ins: no silicon has confirmed any of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nirbridge import Deployment, Refused, XyloConfig, imported
from nirbridge.deploy import deploy, samna_config
from nirbridge.mapping.export_samna import SAMNA
from nirbridge.simulate import simulate
from nirbridge.targets import TARGETS
from tests import samna_standin
from tests.chip_configs import any_chip_config

DRIVEN = list(SAMNA)


def some(chip: str = "xylo-audio-2", seed: int = 3) -> Deployment:
    return imported(any_chip_config(np.random.default_rng(seed), TARGETS[chip]))


def raster(deployment: Deployment, samples: int = 2, steps: int = 9) -> Any:
    rng = np.random.default_rng(1)
    return rng.integers(0, 4, (samples, steps, deployment.n_in))


class StandIn:
    """A stand-in for a device, which computes with the simulation."""

    def __init__(self, *chips: str) -> None:
        self.chips = list(chips)
        self.config: XyloConfig | None = None
        self.applied = 0

    def find(self) -> list[str]:
        return self.chips

    def apply(self, config: XyloConfig) -> None:
        self.config = config
        self.applied += 1

    def run(self, counts: Any) -> dict[str, Any]:
        assert self.config is not None
        assert counts.max(initial=0) <= 15
        found = simulate(self.config, counts, record=True)
        return {"output": found.output, "v_mem": np.asarray(found.v_mem)}


def codes(refused: Any) -> list[str]:
    return [d.code for d in refused.value.diagnostics]


def test_a_faithful_device_computes_as_the_simulation() -> None:
    made, device = some(), StandIn("xylo-imu", "xylo-audio-2")
    counts = raster(made)
    counts[0, 0, 0] = 17
    found = deploy(made, counts, device)
    assert found.same
    assert [row.name for row in found.rows] == ["output", "v_mem"]
    assert [row.values for row in found.rows] == [18 * made.config.n_out, 18 * made.config.n_hidden]
    assert (found.samples, found.steps, found.clipped_inputs) == (2, 9, 2)
    assert device.applied == 2  # each sample from states of 0
    assert deploy(made, counts[0], device).samples == 1


def test_a_device_that_answers_wrongly_is_told_where() -> None:
    class Wrong(StandIn):
        def run(self, counts: Any) -> dict[str, Any]:
            found = super().run(counts)
            if self.applied == 2:
                found["v_mem"][4, 1] += 3
                found["v_mem"][7, 0] += 1
            return found

    made = some()
    found = deploy(made, raster(made), Wrong("xylo-audio-2"))
    assert not found.same
    output, v_mem = found.rows
    assert (output.differing, output.first) == (0, None)
    assert v_mem.differing == 2
    first = v_mem.first
    assert first is not None
    assert (first.sample, first.step, first.neuron) == (1, 4, 1)
    assert first.device == first.simulation + 3
    assert found.to_dict()["rows"][1]["first"]["step"] == 4


@pytest.mark.parametrize("chips", [(), ("xylo-imu",), ("xylo-imu", "xylo-audio-3")])
def test_no_device_or_another(chips: tuple[str, ...]) -> None:
    made, device = some(), StandIn(*chips)
    with pytest.raises(Refused) as refused:
        deploy(made, raster(made), device)
    (found,) = refused.value.diagnostics
    assert (found.code, found.found) == ("NB906", ", ".join(chips) or "none")
    assert "Xylo Audio 2" in found.limit
    assert device.applied == 0


@pytest.mark.parametrize("where", ["find", "apply", "run"])
@pytest.mark.parametrize("error", [TimeoutError("no answer within 1 s"), RuntimeError("usb")])
def test_a_device_that_fails(where: str, error: Exception) -> None:
    def fail(*_: Any) -> Any:
        raise error

    made, device = some(), StandIn("xylo-audio-2")
    setattr(device, where, fail)
    with pytest.raises(Refused) as refused:
        deploy(made, raster(made), device)
    (found,) = refused.value.diagnostics
    assert found.code == "NB907"
    assert type(error).__name__ in found.found
    assert str(error) in found.found


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"output": np.zeros((8, 99), np.uint8)},
        {"output": np.zeros((0,))},
        {"output": None},
        {"output": "right", "spikes": np.zeros((9, 0), np.uint8)},
        {"output": "floats"},
        {"output": [[0], [0, 1]]},
        None,
    ],
)
def test_a_device_that_answers_something_else(answer: dict[str, Any] | None) -> None:
    made, device = some(), StandIn("xylo-audio-2")
    right = np.zeros((9, made.config.n_out), np.uint8)
    words = {"right": right, "floats": right + 0.5}
    full = answer and {k: words[v] if isinstance(v, str) else v for k, v in answer.items()}
    device.run = lambda _: full  # type: ignore[assignment,method-assign,return-value]
    with pytest.raises(Refused) as refused:
        deploy(made, raster(made), device)
    assert codes(refused) == ["NB907"]


def test_a_raster_of_another_network() -> None:
    made = some()
    with pytest.raises(Refused) as refused:
        deploy(made, np.zeros((4, made.n_in + 1), int), StandIn("xylo-audio-2"))
    assert codes(refused) == ["NB802"]
    for shape in ((0, 5, made.n_in), (2, 0, made.n_in), (0, made.n_in)):
        with pytest.raises(Refused) as refused:
            deploy(made, np.zeros(shape, int), StandIn("xylo-audio-2"))
        assert codes(refused) == ["NB801"]


# The vendor's library, by its stand-in.


@pytest.mark.parametrize("chip", DRIVEN)
@pytest.mark.parametrize("states", [False, True])
def test_through_the_vendors_library(chip: str, states: bool) -> None:
    with samna_standin.present(samna_standin.make((chip,))) as samna:
        for seed in range(6):
            made = some(chip, seed)
            found = deploy(made, raster(made), states=states, timeout=5)
            assert found.same
            assert found.rows[0].name == "output"
            read = states and SAMNA[chip].monitors
            assert len(found.rows) >= (6 if read else 1)
        board = samna.stand_in_boards[SAMNA[chip].board]
    assert board.content.operation_mode == "AcceleratedTime"
    for path, value in SAMNA[chip].switches:
        assert any(word in path and said is value for word, said in board.said)


@pytest.mark.parametrize("chip", DRIVEN)
def test_a_wrong_spike_of_the_librarys_board_is_seen(chip: str) -> None:
    made = some(chip)
    with samna_standin.present(samna_standin.make((chip,), {"wrong"})):
        found = deploy(made, raster(made))
    (row,) = found.rows
    assert row.differing == 2  # one per sample
    assert row.first is not None
    assert row.first.step == 8


@pytest.mark.parametrize(
    ("chip", "fault", "text"),
    [
        *((chip, "silent", "no answer within 0.2 s") for chip in DRIVEN),
        ("xylo-imu", "loses", "no readout of step 0"),
        ("xylo-audio-3", "loses", "no readout of step 0"),
    ],
)
def test_a_board_without_answer(chip: str, fault: str, text: str) -> None:
    made = some(chip)
    with (
        samna_standin.present(samna_standin.make((chip,), {fault})),
        pytest.raises(Refused) as refused,
    ):
        deploy(made, raster(made), timeout=0.2)
    (found,) = refused.value.diagnostics
    assert found.code == "NB907"
    assert text in found.found


def test_no_board_and_no_library() -> None:
    made = some()
    with (
        samna_standin.present(samna_standin.make(("xylo-imu",))),
        pytest.raises(Refused) as refused,
    ):
        deploy(made, raster(made))
    assert codes(refused) == ["NB906"]
    with pytest.raises(Refused) as refused:
        deploy(made, raster(made))
    assert codes(refused) == ["NB903"]
    assert "pip install samna" in refused.value.diagnostics[0].remedy


@pytest.mark.parametrize(
    ("fault", "text"), [("refuses", "too many neurons"), ("old", "v_mem_bias")]
)
def test_what_the_library_does_not_take(fault: str, text: str) -> None:
    with (
        samna_standin.present(samna_standin.make(faults={fault})),
        pytest.raises(Refused) as refused,
    ):
        samna_config(some())
    (found,) = refused.value.diagnostics
    assert found.code == "NB706"
    assert text in found.found


def test_a_chip_that_the_library_has_no_class_for() -> None:
    with samna_standin.present(samna_standin.make()), pytest.raises(Refused) as refused:
        samna_config(some("xylo-1"))
    assert codes(refused) == ["NB706"]
    made = some("xylo-1")
    with pytest.raises(Refused) as refused:
        deploy(made, raster(made))
    assert codes(refused) == ["NB706"]  # not: install the library


@pytest.mark.parametrize("chip", DRIVEN)
def test_the_stand_in_refuses_what_compiled_classes_do(chip: str) -> None:
    """Else the tests above would prove nothing."""
    with samna_standin.present(samna_standin.make()) as samna:
        part = SAMNA[chip]
        configuration = getattr(samna, part.module).configuration
        content = configuration.XyloConfiguration()
        with pytest.raises(AttributeError):
            content.biases = True
        with pytest.raises(TypeError):
            content.bias_enable = 1
        with pytest.raises(TypeError):
            content.input.weights = [[200]]
        neuron = getattr(configuration, part.neuron)()
        for bad in (1.5, True, None, 16):
            with pytest.raises(TypeError):
                neuron.v_mem_decay = bad
        hidden = getattr(content, part.hidden)
        hidden.neurons = [neuron]
        hidden.neurons[0].threshold = 5
        assert hidden.neurons[0].threshold == 0

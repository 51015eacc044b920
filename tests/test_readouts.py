"""Readouts by the membrane, containers over time and sums of windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nirbridge import Refused, adapters, simulate_stepped

sl: Any = pytest.importorskip("sinabs.layers")
snn: Any = pytest.importorskip("snntorch")
functional: Any = pytest.importorskip("spikingjelly.activation_based.functional")
layer: Any = pytest.importorskip("spikingjelly.activation_based.layer")
neuron: Any = pytest.importorskip("spikingjelly.activation_based.neuron")
torch: Any = pytest.importorskip("torch")
nn: Any = torch.nn


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(1)


def same(model: Any, sample: Any, shape: tuple[int, ...]) -> Any:
    """The nodes of an export that computes what the model computes."""
    model.train(False)
    graph = adapters.export(model, sample)
    x = (np.random.RandomState(0).rand(2, 60, int(np.prod(shape))) < 0.4).astype(np.uint8)
    theirs = adapters.run(model, x, shape)
    found = simulate_stepped(graph, x, dtype=np.float32).output
    assert theirs.any()
    np.testing.assert_allclose(found.reshape(theirs.shape), theirs, atol=1e-5 * abs(theirs).max())
    return {name: type(node).__name__ for name, node in graph.nodes.items()}


def loud(*parts: Any) -> Any:
    model = nn.Sequential(*parts)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


class Readout(nn.Module):  # type: ignore[misc]
    """Gives the last of what its last cell gives: the membrane."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.body = loud(nn.Linear(8, 12), snn.Leaky(beta=0.9, init_hidden=True), nn.Linear(12, 6))
        self.cell = cell

    def forward(self, x: Any) -> Any:
        return self.cell(self.body(x))[-1]


SILENT = {"init_hidden": True, "output": True, "reset_mechanism": "none"}


@pytest.mark.parametrize(
    ("cell", "kind"),
    [(snn.Leaky(0.8, **SILENT), "LI"), (snn.Synaptic(0.7, 0.8, **SILENT), "CubaLI")],
)
def test_a_membrane_without_a_reset_is_an_integrator(cell: Any, kind: str) -> None:
    nodes = same(Readout(cell), torch.zeros(1, 8), (8,))
    assert nodes["cell"] == kind
    assert "cell.spike" not in nodes


def test_spikes_without_a_reset_are_an_integrator_and_a_threshold() -> None:
    nodes = same(loud(nn.Linear(8, 6), snn.Leaky(0.8, **SILENT)), torch.zeros(1, 8), (8,))
    assert (nodes["1"], nodes["1.spike"]) == ("LI", "Threshold")


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_a_membrane_with_a_reset_is_refused(reset: str) -> None:
    cell = snn.Leaky(0.8, init_hidden=True, output=True, reset_mechanism=reset)
    with pytest.raises(Refused, match="NB902") as caught:
        adapters.export(Readout(cell), torch.zeros(1, 8))
    assert "reset_mechanism='none'" in str(caught.value)


class Loop(nn.Module):  # type: ignore[misc]
    """Keeps its states itself; the second layer's membrane feeds the third."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: Any = loud(nn.Linear(8, 12), nn.Linear(12, 6), nn.Linear(6, 3))
        resets = ("subtract", "none", "zero")
        self.cells: Any = nn.ModuleList(snn.Leaky(0.8, reset_mechanism=r) for r in resets)

    def forward(self, x: Any) -> Any:
        states, out = [cell.init_leaky() for cell in self.cells], []
        for row in x:
            spikes, states[0] = self.cells[0](self.layers[0](row), states[0])
            _, states[1] = self.cells[1](self.layers[1](spikes), states[1])
            spikes, states[2] = self.cells[2](self.layers[2](states[1]), states[2])
            out.append(spikes)
        return torch.stack(out)


def test_a_membrane_may_feed_a_layer() -> None:
    graph = adapters.export(Loop(), torch.zeros(9, 1, 8))
    assert ("cells.1", "layers.2") in graph.edges


def over_time(*parts: Any) -> Any:
    model = loud(*parts)
    functional.set_step_mode(model, "m")
    return model


def test_nodes_that_do_not_spike() -> None:
    lif = neuron.LIFNode(tau=4.0, v_threshold=0.3)
    model = over_time(nn.Linear(8, 12), lif, nn.Linear(12, 6), neuron.NonSpikingLIFNode(tau=3.0))
    assert same(model, torch.zeros(4, 2, 8), (8,))["3"] == "LI"
    assert same(loud(nn.Linear(8, 6), neuron.NonSpikingIFNode()), torch.zeros(4, 2, 8), (8,))


@pytest.mark.parametrize("decode", ["last_mem", "mean-mem", "max-mem"])
def test_readouts_over_all_steps_are_refused(decode: str) -> None:
    model = over_time(nn.Linear(8, 6), neuron.NonSpikingLIFNode(decode=decode))
    with pytest.raises(Refused, match="NB901") as caught:
        adapters.export(model, torch.zeros(4, 2, 8))
    assert "decode=None" in str(caught.value)


@pytest.mark.parametrize("sample", [torch.zeros(4, 1, 2, 6, 6), torch.zeros(3, 2, 2, 6, 6)])
def test_layers_in_a_container_over_time(sample: Any) -> None:
    box = layer.SeqToANNContainer
    model = over_time(
        box(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)),
        neuron.IFNode(),
        box(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 20)),
        neuron.LIFNode(tau=2.0, v_threshold=0.1),
    )
    assert list(same(model, sample, (2, 6, 6)).values()).count("Flatten") == 1


@pytest.mark.parametrize("pool", [sl.SumPool2d(2), sl.SumPool2d(3, stride=1)])
def test_sums_of_windows(pool: Any) -> None:
    first, second = (sl.IAFSqueeze(batch_size=2) for _ in range(2))
    conv = nn.Conv2d(2, 4, 3, bias=False)
    nn.init.uniform_(conv.weight)  # four channels may all be silent otherwise
    model = loud(conv, first, pool, nn.Flatten(), nn.Linear(16, 20), second)
    assert same(model, torch.zeros(8, 2, 6, 6), (2, 6, 6))["2"] == "SumPool2d"


def test_other_norms_are_refused() -> None:
    model = loud(nn.Conv2d(2, 4, 3), sl.IAFSqueeze(batch_size=2), nn.LPPool2d(2, 2))
    with pytest.raises(Refused, match="norm_type=1"):
        adapters.export(model, torch.zeros(8, 2, 6, 6))

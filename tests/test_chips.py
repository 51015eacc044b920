"""Four chips, and an invented one: what fits is converted, the rest is refused with its reason."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise, permutations
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import fits
from benchmarks.generated import ANYTHING, EXACT, judge
from benchmarks.graphs import any_graph, any_raster
from nirbridge import Deployment, Dynamics, Refused, convert, load, read, simulate_stepped
from nirbridge.mapping.order import Block, find_order, sorting
from nirbridge.targets import TARGETS, XYLO_IMU, ChipSpec, Limit, target
from nirbridge.usage import Usage, usage
from tests.conftest import EXAMPLES, GRAPHS

DT = 1e-3


def invented(**values: int) -> ChipSpec:
    """A chip that reaches so few neurons that their order matters even in small networks."""
    sizes = {
        "inputs": 16, "hidden": 200, "outputs": 8, "synapses": 2, "fan_out": 64, "entries": 9999,
        "bias_bits": 8, "aliases": 1, "input_neurons": 9, "output_neurons": 9,
    }  # fmt: skip
    limits: dict[str, Any] = {
        name: Limit(value, name, "invented") for name, value in (sizes | values).items()
    }
    return ChipSpec(name="invented", title="Invented", **limits)


NARROW = invented()
CHIPS = [*TARGETS.values(), NARROW]
all_chips = pytest.mark.parametrize("chip", CHIPS, ids=lambda c: c.name)


def cuba(n: int, **changed: Any) -> nir.CubaLIF:
    one = np.ones(n)
    fields = {"tau_syn": 4e-3 * one, "tau_mem": 8e-3 * one, "r": one, "v_leak": 0 * one}
    fields |= {"v_threshold": one, "v_reset": 0 * one, "w_in": one}
    return nir.CubaLIF(**(fields | changed))


def network(edges: str, seed: int = 0, **sizes: int) -> nir.NIRGraph:
    """Populations of CubaLIF with a random Linear for each of ``edges`` ("in>a a>b b>out").

    What ``out``-something names are Outputs, each read from the population before it directly.
    """
    rng = np.random.default_rng(seed)
    nodes: dict[str, nir.NIRNode] = {"in": nir.Input(np.array([sizes.pop("inp", 4)]))}
    nodes |= {name: cuba(n) for name, n in sizes.items()}
    size = {"in": int(nodes["in"].input_type["input"][0]), **sizes}
    joined = []
    for a, b in (edge.split(">") for edge in edges.split()):
        if b.startswith("out"):
            nodes[b] = nir.Output(np.array([size[a]]))
            joined.append((a, b))
        else:
            weight = rng.normal(size=(size[b], size[a])) / size[a] ** 0.5
            # without a positive weight a neuron can never fire, and would be removed
            nodes[f"{a}-{b}"] = nir.Linear(np.abs(weight) if a == "in" else weight)
            joined += [(a, f"{a}-{b}"), (f"{a}-{b}", b)]
    return nir.NIRGraph(nodes, joined, type_check=False)


def made(graph: nir.NIRGraph, chip: str | ChipSpec, **options: Any) -> Deployment:
    options = {"dt": DT, "reset": "subtract", "spikes_per_step": None, **options}
    return convert(graph, chip, **options)


def codes(refusal: Any) -> list[str]:
    return [d.code for d in refusal.value.diagnostics]


# Every chip.


@all_chips
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_generated_networks(chip: ChipSpec, seed: int) -> None:
    """Converted without a violation and as xylosim runs it, or refused with a reason."""
    rng = np.random.default_rng(seed)
    graph = any_graph(rng, ANYTHING if rng.random() < 0.5 else EXACT)
    assert judged(graph, chip, rng, method="fit" if seed % 4 == 0 else "channel")


def judged(
    graph: nir.NIRGraph, chip: ChipSpec, rng: np.random.Generator, method: str = "channel"
) -> str:
    try:
        result = convert(graph, chip, method=method)
    except Refused as refusal:
        reasons = refusal.diagnostics
    else:
        reasons = ()
    if reasons:
        assert all(d.node and d.limit and d.found and d.remedy for d in reasons)
        return reasons[0].code
    assert result.config.violations(chip) == []
    assert convert(result.deployed, chip, method=method).config == result.config
    raster = any_raster(rng, graph)[0]
    recording = result.simulate(raster, record=True)
    pytest.importorskip("xylosim", reason="xylosim, the vendor's simulator, is not installed")
    from benchmarks.conformance import differences
    from benchmarks.xylosim_oracle import Oracle

    expected = Oracle.of(result.config).run(result.chip_input(raster))
    assert differences(vars(recording), expected) == 0
    return "converted"


def test_some_of_each_are_converted_and_order_matters() -> None:
    """The property above says something: most networks come through, and some have no order."""
    found: dict[str, list[str]] = {chip.name: [] for chip in CHIPS}
    few = replace(EXACT, populations=5)
    for chip in CHIPS:
        for seed in range(12):
            rng = np.random.default_rng(seed)
            found[chip.name].append(judged(any_graph(rng, few), chip, rng))
    assert all(said.count("converted") > 6 for said in found.values())
    moved = 0
    for seed in range(30):
        try:
            graph = any_graph(np.random.default_rng(seed), few)
            made_for = (convert(graph, c, method="channel") for c in ("xylo-audio-2", NARROW))
            wide, narrow = (result.placement.hidden for result in made_for)
        except Refused:
            continue
        moved += [p.name for p in wide] != [p.name for p in narrow]
    assert moved > 3


@pytest.mark.parametrize("name", TARGETS)
def test_graphs_of_fifty_nodes(name: str) -> None:
    verdicts = [judge(seed, 50, name) for seed in range(6)]
    assert not [v for v in verdicts if v.startswith(("WRONG", "BAD"))]


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_networks(name: str, digits: tuple[Any, Any]) -> None:
    x, y = digits[0][:100], digits[1][:100]
    graph = read(GRAPHS / f"{name}.nir")
    for use in usage(graph, TARGETS.values()):
        if not use.fits:
            # biases, but no bias on the chip and no channel left to carry them
            assert (use.chip.arithmetic, [d.code for d in use.reasons]) == ("v1", ["NB601"])
            with pytest.raises(Refused) as refusal:
                convert(graph, use.chip)
            assert refusal.value.diagnostics == use.reasons
            continue
        result = convert(graph, use.chip)
        assert result.config.violations() == []
        drift = result.check(x, y)
        assert drift.accuracy is not None
        assert drift.accuracy > 0.85


# Where input and outputs reach only some neurons.


def chip_of(first: int, last: int) -> ChipSpec:
    return invented(input_neurons=first, output_neurons=last)


def valid(order: Any, blocks: list[Block], chip: ChipSpec, before: set[tuple[int, int]]) -> bool:
    takes = np.concatenate([blocks[k].takes for k in order])
    drives = np.concatenate([blocks[k].drives for k in order])
    last = chip.output_neurons.value
    spots = {k: i for i, k in enumerate(order)}
    return (
        not takes[chip.input_neurons.value :].any()
        and not drives[: max(len(drives) - last, 0)].any()
        and all(spots[a] < spots[b] for a, b in before)
    )


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_an_order_is_found_if_there_is_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = []
    for k in range(int(rng.integers(1, 7))):
        n = int(rng.integers(1, 6))
        share = rng.choice([0.0, 0.5, 1.0], 2)
        blocks.append(Block(f"p{k}", rng.random(n) < share[0], rng.random(n) < share[1]))
    total = sum(b.size for b in blocks)
    chip = chip_of(*(int(k) for k in rng.integers(1, total + 2, 2)))
    pairs = rng.permutation(len(blocks))
    before = {(int(pairs[0]), int(pairs[1]))} if len(pairs) > 1 and rng.random() < 0.5 else set()
    found = find_order(blocks, chip, before)
    every = [o for o in permutations(range(len(blocks))) if valid(o, blocks, chip, before)]
    assert (found is None) == (not every)
    if found is not None:
        assert valid(found, blocks, chip, before)
        assert tuple(found) == min(every)  # the one nearest to the given order


def test_many_populations_are_ordered_quickly() -> None:
    """60 populations, the one with input last: without foresight every order would be tried."""
    quiet = [Block(f"p{k}", np.zeros(3, bool), np.zeros(3, bool)) for k in range(58)]
    ends = [Block("out", np.zeros(5, bool), np.ones(5, bool)),
            Block("in", np.ones(4, bool), np.zeros(4, bool))]
    found = find_order([*quiet[:30], ends[0], *quiet[30:], ends[1]], chip_of(6, 5), set())
    assert found is not None
    assert (found[0], found[-1]) == (59, 30)


def test_sorting_within_a_population() -> None:
    takes, drives = (np.array(list(row), int).astype(bool) for row in ("0011010", "0110001"))
    order = sorting(Block("p", takes, drives))
    assert order.tolist() == [3, 5, 2, 0, 4, 1, 6]


def test_layers_are_put_where_input_and_outputs_reach() -> None:
    """A skip from the input layer to the outputs: both ends of the chip are needed at once."""
    graph = network("in>a a>b b>c c>o a>o o>out", a=100, b=100, c=28, o=3)
    for name in ("xylo-imu", "xylo-audio-3"):
        result = made(graph, name)
        assert result.config.violations() == []
        drives = (result.config.weights_out != 0).any(axis=1)
        first = result.config.n_hidden - target(name).output_neurons.value
        assert not drives[:first].any()


def test_a_layer_at_both_ends() -> None:
    """b takes no part at the ends, but moves them apart."""
    both = network("in>a a>a a>o o>out", a=128, o=2)
    assert made(both, "xylo-imu").config.n_hidden == 128
    graph = network("in>a a>b b>a a>o o>out", a=100, b=28, o=2)
    result = made(graph, "xylo-imu")
    assert result.config.violations() == []
    graph = network("in>a a>b b>a a>o o>out", a=128, b=241, o=2)
    with pytest.raises(Refused) as refusal:
        made(graph, replace(XYLO_IMU, entries=replace(XYLO_IMU.entries, value=10**6)))
    assert codes(refusal) == ["NB611"]
    (found,) = refusal.value.diagnostics
    assert found.node == "a"
    assert "369 hidden neurons" in found.found
    assert "both: 128 in a" in found.found
    assert "split" in found.remedy


def test_relays_drive_the_outputs_of_a_layer_at_both_ends() -> None:
    """Where its own neurons cannot lie at the end; a step later, and otherwise the same."""
    graph = network("in>a a>b b>a a>o o>out", a=100, b=60, o=2)
    graph.nodes["a-o"] = nir.Linear(np.abs(graph.nodes["a-o"].weight))
    wide = dict.fromkeys(("fan_out", "hidden", "input_neurons", "output_neurons"), 1000)
    result, plain = made(graph, "xylo-imu"), made(graph, invented(**wide, entries=10**6))
    assert result.config.violations() == []
    places = [(p.name, p.first, p.latency) for p in result.placement.populations]
    assert places == [("a", 0, 0), ("b", 100, 1), ("a.relay1", 160, 0), ("o", 0, 2)]
    assert any("outputs wait 1 step" in n.what for n in result.journal)
    raster = np.random.default_rng(0).integers(0, 4, (2, 60, 4))
    late, early = (
        simulate_stepped(d.lowered, raster, Dynamics.of(d.lowered)).outputs["out"]
        for d in (result, plain)
    )
    assert early.sum() > 30
    np.testing.assert_array_equal(late[:, 1:], early[:, :-1])
    assert np.array_equal(result.decode(result.simulate(raster))["out"].shape, late.shape)
    with pytest.raises(Refused) as refusal:
        made(graph, "xylo-imu", balance=False)
    assert codes(refusal) == ["NB611"]


@pytest.mark.parametrize(
    ("edges", "expected", "node", "said"),
    [
        ("in>a in>b a>c b>c c>o o>out", "NB609", "a", "140 = a (70) + b (70)"),
        ("in>c c>a c>b a>o b>o o>out", "NB610", "a", "140 = a (70) + b (70)"),
    ],
)
def test_too_many_at_one_end_are_named(edges: str, expected: str, node: str, said: str) -> None:
    graph = network(edges, a=70, b=70, c=20, o=2)
    wide = dict.fromkeys(("fan_out", "hidden", "input_neurons", "output_neurons"), 1000)
    assert made(graph, invented(**wide, entries=10**6)).config.n_hidden >= 160
    with pytest.raises(Refused) as refusal:
        made(graph, "xylo-audio-3")
    assert codes(refusal) == [expected]
    (found,) = refusal.value.diagnostics
    assert (found.node, found.found) == (node, said)
    assert "128 hidden neurons" in found.limit
    assert "Xylo Audio 3" in found.limit


def test_only_neurons_with_weights_count_and_are_sorted() -> None:
    """Of 300 neurons every third takes input and every other third drives the outputs."""
    graph = network("in>a a>a a>o o>out", a=300, o=2)
    sparse = np.random.default_rng(0).random((300, 300)) < 0.1
    graph.nodes["a-a"] = nir.Linear(graph.nodes["a-a"].weight * sparse)
    takes, drives = (np.arange(300) % 3 == k for k in (1, 0))
    graph.nodes["in-a"] = nir.Linear(graph.nodes["in-a"].weight * takes[:, None] * 3)
    graph.nodes["a-o"] = nir.Linear(graph.nodes["a-o"].weight * drives[None, :])
    result = made(graph, "xylo-audio-3")
    assert result.config.violations() == []
    (hidden,) = result.placement.hidden
    assert hidden.kept is not None
    assert sorted(hidden.kept) == list(range(300))
    assert hidden.names()[0] == "a[1]"
    assert "arrange" in {note.stage for note in result.journal}
    # neuron for neuron it is the network that a chip which reaches all of them gets
    raster = np.random.default_rng(0).integers(0, 4, (2, 60, 4))
    wide = made(graph, "xylo-audio-2")
    spikes = []
    for each in (result, wide):
        own = each.simulate(raster, record=True).spikes
        assert own is not None
        (p,) = each.placement.hidden
        natural = np.zeros_like(own)
        natural[..., list(p.kept or range(300))] = own
        spikes.append(natural)
    assert spikes[0].sum() > 1000
    np.testing.assert_array_equal(spikes[0], spikes[1])
    assert result.check(raster).rung("lowered").agreement == 1


def test_reordered_neurons_survive_a_file(tmp_path: Any) -> None:
    graph = network("in>a a>a a>o o>out", a=10, o=2)
    takes, drives = (np.arange(10) % 3 == k for k in (1, 0))
    graph.nodes["in-a"] = nir.Linear(graph.nodes["in-a"].weight * takes[:, None] * 3)
    graph.nodes["a-o"] = nir.Linear(graph.nodes["a-o"].weight * drives[None, :])
    result = made(graph, chip_of(4, 4))
    assert result.placement.hidden[0].kept is not None
    result.save(tmp_path / "made")
    again = load(tmp_path / "made")
    assert (again.placement, again.config) == (result.placement, result.config)


def test_outputs_are_in_order_of_their_names_on_every_chip() -> None:
    """Two output populations: columns are those of the Outputs, by name, neurons in their order."""
    graph = network("in>h h>z h>y z>out_1 y>out_2", h=20, z=2, y=3)
    raster = np.random.default_rng(1).integers(0, 9, (1, 80, 4))
    wanted = simulate_stepped(graph, raster, made(graph, "xylo-audio-2").dynamics).outputs
    for name in TARGETS:
        result = made(graph, name)
        assert [(p.name, p.end, p.size) for p in result.placement.outputs] == [
            ("z", "out_1", 2),
            ("y", "out_2", 3),
        ]
        said = result.decode(result.simulate(raster))
        for end, values in wanted.items():
            assert said[end].shape == values.shape
            busy = values.sum((0, 1)) > 40
            assert (said[end].sum((0, 1))[busy] > 20).all()


def test_aliases_keep_their_order_or_are_left_out() -> None:
    """A residual: a's relay has an alias in b, which must have the higher id."""
    graph = network("in>a a>b b>c c>o o>out", a=4, b=4, c=4, o=2)
    weight = graph.nodes["b-c"].weight
    graph.nodes["a-c"] = nir.Linear(weight.copy())
    graph.edges += [("a", "a-c"), ("a-c", "c")]
    plain = made(graph, "xylo-audio-2")
    assert (plain.config.aliases >= 0).sum() == 4
    for chip in (chip_of(4, 4), chip_of(200, 4)):
        result = made(graph, chip)
        source = np.flatnonzero(result.config.aliases >= 0)
        assert len(source) == 4
        assert (result.config.aliases[source] > source).all()
    # b drives an output too, and takes input: the alias upwards into it is impossible
    graph = network("in>a in>b a>c b>c a>o b>o c>o o>out", a=3, b=3, c=6, o=2)
    for end in ("c", "o"):
        graph.nodes[f"a-{end}"] = nir.Linear(graph.nodes[f"b-{end}"].weight.copy())
    result = made(graph, chip_of(12, 12))
    assert result.config.violations(chip_of(12, 12)) == []


# One synapse; no biases.


@pytest.mark.parametrize("name", EXAMPLES)
def test_one_synapse_is_never_used_as_two(name: str) -> None:
    config = convert(read(GRAPHS / f"{name}.nir"), "xylo-imu").config
    assert not config.weights_in[..., 1].any()
    assert not config.weights_rec[..., 1].any()


def test_two_time_constants_need_two_synapses() -> None:
    one = np.ones(3)
    nodes: dict[str, nir.NIRNode] = {
        "in": nir.Input(np.array([2])),
        "w1": nir.Linear(np.ones((3, 2))), "fast": nir.LI(4e-3 * one, one, 0 * one),
        "w2": nir.Linear(np.ones((3, 2))), "slow": nir.LI(16e-3 * one, one, 0 * one),
        "h": nir.LIF(8e-3 * one, one, 0 * one, one, 0 * one),
        "w": nir.Linear(np.ones((2, 3))), "o": cuba(2), "out": nir.Output(np.array([2])),
    }  # fmt: skip
    edges = [*pairwise(("in", "w1", "fast", "h", "w", "o", "out")),
             *pairwise(("in", "w2", "slow", "h"))]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    for name, chip in TARGETS.items():
        if chip.synapses.value > 1:
            assert made(graph, name).config.weights_in[..., 1].any()
            continue
        with pytest.raises(Refused) as refusal:
            made(graph, name)
        assert codes(refusal) == ["NB608"]
        assert "1 synapse" in refusal.value.diagnostics[0].limit


@pytest.mark.parametrize("method", ["global", "channel", "fit"])
def test_biases_of_outputs_on_a_chip_without_any(method: str) -> None:
    """The constant channel drives a pacemaker, and that the outputs."""
    rng = np.random.default_rng(2)
    graph = network("in>h h>o o>out", inp=2, h=4, o=2)
    graph.nodes["in-h"] = nir.Affine(rng.normal(size=(4, 2)), np.array([0.1, 0.2, 0.6, 1.5]) * 8)
    graph.nodes["h-o"] = nir.Affine(rng.normal(size=(2, 4)) * 0.1, np.array([2.0, 5.0]))
    result = made(graph, "xylo-1", method=method)
    assert result.constant
    assert not result.config.bias.any()
    assert not result.config.bias_out.any()
    silence = np.zeros((200, 2), np.uint8)
    wanted = simulate_stepped(graph, silence, result.dynamics)
    found = result.simulate(silence, record=True)
    assert found.spikes is not None
    (p,) = (p for p in result.placement.hidden if p.name == "h")
    np.testing.assert_allclose(
        found.spikes[:, p.ids].sum(0), wanted.spikes["h"].sum(0), rtol=0.15, atol=3
    )
    # outputs fire once per step at most, and later: the pacemaker has to begin
    expected = np.minimum(wanted.outputs["out"].sum(0), 200)
    np.testing.assert_allclose(found.output.sum(0), expected, rtol=0.15, atol=8)
    assert expected.min() > 20


def test_a_bias_that_nothing_carries_is_refused_with_the_way_out() -> None:
    full = network("in>h h>o o>out", inp=16, h=4, o=2)
    full.nodes["in-h"] = nir.Affine(full.nodes["in-h"].weight, np.ones(4))
    with pytest.raises(Refused) as refusal:
        made(full, "xylo-1")
    assert codes(refusal) == ["NB601"]
    assert "leave a channel free" in refusal.value.diagnostics[0].remedy
    one = np.ones(2)
    read_ = network("in>h h>o o>out", h=4, o=2)
    read_.nodes["o"] = nir.CubaLI(4e-3 * one, 8e-3 * one, one, 0.5 * one, one)
    with pytest.raises(Refused) as refusal:
        made(read_, "xylo-1")
    assert codes(refusal) == ["NB606"]
    assert "outputs without biases" in refusal.value.diagnostics[0].remedy


def test_a_record_cannot_ask_for_an_arithmetic_that_its_name_has_not() -> None:
    with pytest.raises(Refused) as refusal:
        target(replace(NARROW, arithmetic="v1"))
    assert codes(refusal) == ["NB806"]
    assert target(replace(TARGETS["xylo-1"], hidden=NARROW.hidden)).arithmetic == "v1"


# What fits.


def test_usage_counts_what_conversion_makes() -> None:
    graph = read(GRAPHS / "digits_conv.nir")
    for use in usage(graph, TARGETS.values()):
        if not use.fits:
            continue
        config = convert(graph, use.chip, method="channel").config
        assert use.uses["hidden"].used == config.n_hidden
        takes = (config.weights_in != 0).any(axis=(0, 2)).sum()
        assert use.uses["input_neurons"].used in range(int(takes), int(takes) + 10)
        entries = int((config.weights_rec != 0).any(axis=2).sum())
        assert use.uses["entries"].used in range(entries, entries + 500)
        assert all(u.fits for u in use.uses.values())


def test_the_table_of_the_examples() -> None:
    found = fits.fits([GRAPHS / "digits_lif.nir"])
    assert fits.cell(found["digits_lif"]["xylo-audio-2"]) == "216 of 1000 neurons"
    assert fits.cell(found["digits_lif"]["xylo-1"]) == "no: inputs 17 of 16, biases 108 of 0"
    assert fits.table(found).row_count == 1


def test_usage_says_what_does_not_fit() -> None:
    graph = network("in>a a>a a>o o>out", a=200, o=10)
    found = {u.chip.name: u for u in usage(graph, TARGETS.values(), dt=DT, reset="subtract")}

    def over(use: Usage) -> set[str]:
        return {name for name, each in use.uses.items() if not each.fits}

    assert over(found["xylo-audio-2"]) == {"outputs", "fan_out", "entries"}
    assert over(found["xylo-audio-3"]) == {"entries", "input_neurons", "output_neurons"}
    assert found["xylo-audio-3"].uses["input_neurons"].detail == "200 in a"
    assert {d.code for d in found["xylo-audio-3"].reasons} == {"NB609", "NB610"}
    assert not any(u.fits for u in found.values())


def test_usage_of_what_cannot_be_lowered_or_is_far_too_large() -> None:
    graph = network("in>a a>b b>o o>out", a=3, b=3, o=2)
    one = np.ones(3)
    graph.nodes["a"] = nir.LI(one * 4e-3, one, 0 * one)
    graph.nodes["b"] = nir.LI(one * 8e-3, one, 0 * one)
    (use,) = usage(graph, [TARGETS["xylo-imu"]], dt=DT)
    assert {d.code for d in use.reasons} == {"NB401"}
    assert (use.uses["outputs"].used, use.uses["entries"].used) == (2, None)
    large = network("in>a a>o o>out", a=100_000, o=2)
    (use,) = usage(large, [TARGETS["xylo-imu"]], dt=DT)
    assert [d.code for d in use.reasons] == ["NB602"]
    assert (use.uses["hidden"].used, use.uses["entries"].fits) == (100_000, None)
    assert json.dumps(use.to_dict())


# What is given up.


def dense(n: int) -> nir.NIRGraph:
    graph = network("in>h h>h h>o o>out", h=n, o=2)
    graph.nodes["in-h"] = nir.Linear(graph.nodes["in-h"].weight * 8)
    return graph


def entries(result: Deployment) -> Any:
    return (result.config.weights_rec != 0).any(axis=2)


def test_refusal_says_by_how_much_and_offers_to_prune() -> None:
    with pytest.raises(Refused) as refusal:
        made(dense(200), "xylo-audio-2")
    assert [(d.code, d.found) for d in refusal.value.diagnostics] == [
        ("NB604", "200, 136 too many (200 neurons over the limit)"),
        ("NB605", "40000, 8000 too many: 40000 in h"),
    ]
    assert all('prune="fan-out"' in d.remedy for d in refusal.value.diagnostics)
    with pytest.raises(Refused) as refusal:
        made(dense(20), "xylo-audio-2", prune="everything")
    assert codes(refusal) == ["NB806"]


@pytest.mark.parametrize("method", ["channel", "fit"])
def test_the_smallest_are_removed_until_it_fits(method: str) -> None:
    graph = dense(200)
    before = np.abs(graph.nodes["h-h"].weight)
    result = made(graph, "xylo-audio-2", prune="fan-out", method=method)
    assert result.config.violations() == []
    link = next(n for n, x in result.lowered.nodes.items() if n.startswith("h-h"))
    left = result.lowered.nodes[link].weight != 0
    assert left.sum(axis=0).max() == 64
    for source in range(200):  # of one source the rate is the same, so the size decides
        kept = before[left[:, source], source]
        assert kept.min() >= before[~left[:, source], source].max()
    notes = [n for n in result.journal if n.stage == "fan-out"]
    (what,) = (n for n in notes if n.node == "h")
    assert "27200 of 40000" in what.what
    gone = before[~left]
    assert what.size == pytest.approx(gone.sum() / before.sum())
    assert f"the largest of {gone.max():.3g} thresholds" in what.what
    assert any("random spikes" in n.what for n in notes)


def test_rates_on_the_raster_decide_who_gives_up_entries() -> None:
    """Limit of entries only: silent sources lose theirs first."""
    graph = network("in>a in>b a>c b>c c>o o>out", inp=2, a=10, b=10, c=10, o=2)
    rng = np.random.default_rng(0)
    for name, channel in (("a", 0), ("b", 1)):
        weight = np.zeros((10, 2))
        weight[:, channel] = 8.0
        graph.nodes[f"in-{name}"] = nir.Linear(weight)
        graph.nodes[f"{name}-c"] = nir.Linear(rng.normal(size=(10, 10)))
    chip = invented(entries=130, input_neurons=200, output_neurons=200)
    raster = np.zeros((1, 50, 2), np.uint8)
    raster[..., 1] = 1  # only b fires
    result = made(graph, chip, prune="fan-out", calibration=raster)
    weights = {n: result.lowered.nodes[n] for n in result.lowered.nodes}
    left = {n: sum(np.count_nonzero(x.weight) for k, x in weights.items()
                   if k.startswith(n) and hasattr(x, "weight")) for n in ("a-c", "b-c")}
    assert left["b-c"] >= 100 > left["a-c"]
    assert entries(result).sum() <= 130
    assert any("calibration raster" in n.what for n in result.journal if n.stage == "fan-out")
    quiet = [n for n in result.journal if n.stage == "fan-out" and n.node]
    assert [n.node for n in quiet] == ["a"]
    # of silent neurons the largest stay; each is there once per synapse, in units of its own
    links = [x.weight for k, x in weights.items() if k.startswith("a-c") and hasattr(x, "weight")]
    kept = np.unique(np.round(np.abs(np.concatenate([w[w != 0] for w in links])), 9))
    largest = np.sort(np.abs(graph.nodes["a-c"].weight), axis=None)[-len(kept) :]
    np.testing.assert_allclose(kept / kept[-1], largest / largest[-1])


def test_aliases_and_relays_survive_pruning() -> None:
    """A residual: both ways into c lose the same weights, so they can still be shared."""
    graph = network("in>a a>b b>c c>o o>out", a=100, b=100, c=100, o=2)
    graph.nodes["a-c"] = nir.Linear(graph.nodes["b-c"].weight.copy())
    graph.edges += [("a", "a-c"), ("a-c", "c")]
    result = made(graph, "xylo-audio-2", prune="fan-out")
    assert (result.config.aliases >= 0).sum() == 100
    assert entries(result).sum(axis=1).max() <= 64
    assert [p.name for p in result.placement.hidden if p.relay] == ["a.relay1"]
    lif = network("in>h h>h h>o o>out", h=100, o=2)
    one = np.ones(100)
    lif.nodes["h"] = nir.LIF(8e-3 * one, one, 0 * one, one, 0 * one)
    result = made(lif, "xylo-audio-2", prune="fan-out", exact=True)
    assert result.config.violations() == []
    # the relays cancel what is left: the lowered graph does what the pruned one does
    raster = np.random.default_rng(0).integers(0, 4, (1, 40, 4))
    links = {n: x for n, x in result.lowered.nodes.items() if n.startswith("h-h")}
    direct = sum(np.asarray(x.weight) for n, x in links.items() if "cancel" not in n)
    cancelled = sum(np.asarray(x.weight) for n, x in links.items() if "cancel" in n)
    np.testing.assert_allclose(direct, -2 * cancelled)
    assert result.check(raster).samples == 1


def test_what_fits_is_not_pruned() -> None:
    graph = dense(40)
    assert made(graph, "xylo-audio-2", prune="fan-out").config == made(graph, "xylo-audio-2").config

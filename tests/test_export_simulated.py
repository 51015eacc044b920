"""What is exported computes the same elsewhere: in xylosim, and in Rockpool's own classes.

Rockpool's modules of the chips import the vendor's library without asking whether it is there, so
a stand-in takes its place while they are imported.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.networks import any_raster
from nirbridge import XyloConfig, read_config, simulate
from nirbridge.deploy import samna_config
from nirbridge.mapping.export_rockpool import for_simulator, from_rockpool, to_rockpool
from nirbridge.mapping.export_samna import SAMNA
from nirbridge.targets import TARGETS
from tests import samna_standin
from tests.chip_configs import any_chip_config

xylosim = pytest.importorskip("xylosim", reason="xylosim, the vendor's simulator, is missing")

seeds = st.integers(0, 2**32 - 1)
DRIVEN = list(SAMNA)
STATES = {
    "Vmem": "v_mem", "Isyn": "i_syn", "Isyn2": "i_syn_2", "Spikes": "spikes",
    "Vmem_out": "v_mem_out", "Isyn_out": "i_syn_out",
}  # fmt: skip


def drawn(seed: int, chip: str, steps: int = 20) -> tuple[XyloConfig, NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    config = any_chip_config(rng, TARGETS[chip])
    return config, any_raster(rng, config.n_in, steps)


def layer(spec: dict[str, Any], version: str) -> tuple[Any, list[Any]]:
    """A layer of xylosim, built from nothing but the specification, and what it points to."""
    module = importlib.import_module(f"xylosim.{version}")
    n = len(spec["weights_rec"])
    idle: list[Any] = [[] for _ in range(n - len(spec["weights_out"]))]

    def synapses(weights: NDArray[Any]) -> list[list[Any]]:
        return [
            [module.XyloSynapse(int(j), int(k), int(row[j, k])) for j, k in np.argwhere(row)]
            for row in weights
        ]

    alive = [
        synapses(spec["weights_in"]),
        synapses(spec["weights_rec"]),
        idle + synapses(spec["weights_out"][:, :, None]),
    ]
    biases = [True, spec["bias"].tolist(), spec["bias_out"].tolist()]
    arguments = [
        *alive,
        spec.get("aliases", [[] for _ in range(n)]),
        spec["threshold"].tolist(),
        spec["threshold_out"].tolist(),
        *(biases if version == "v2" else []),
        spec["weight_shift_in"],
        spec["weight_shift_rec"],
        spec["weight_shift_out"],
        spec["dash_mem"].tolist(),
        spec["dash_mem_out"].tolist(),
        np.stack([spec["dash_syn"], spec["dash_syn_2"]], 1).tolist(),
        spec["dash_syn_out"][:, None].tolist(),
        "specification",
    ]
    return module.XyloLayer(*arguments), alive


@settings(max_examples=100, deadline=None)
@given(seeds, st.sampled_from(list(TARGETS)))
def test_the_specification_computes_the_same_in_xylosim(seed: int, chip: str) -> None:
    config, raster = drawn(seed, chip)
    made, alive = layer(to_rockpool(config), TARGETS[chip].arithmetic)
    made.evolve(raster.tolist())
    found = simulate(config, raster, record=True)
    np.testing.assert_array_equal(np.reshape(made.rec_out_spikes, found.output.shape), found.output)
    np.testing.assert_array_equal(np.transpose(made.rec_v_mem), found.v_mem)
    np.testing.assert_array_equal(made.rec_recurrent_spikes, found.spikes)
    assert alive


@pytest.fixture(scope="module")
def rockpool() -> Iterator[dict[str, Any]]:
    """Rockpool's modules of each chip; they and the stand-in are gone afterwards."""
    pytest.importorskip("rockpool", reason="rockpool is not installed")
    modules = samna_standin.make(lenient=True)
    if importlib.util.find_spec("bitstruct") is None:  # which it needs for registers only
        bits = ModuleType("bitstruct")
        vars(bits).update(pack_dict=None, unpack_dict=None)
        modules["bitstruct"] = bits
    path = "rockpool.devices.xylo."
    places = {
        "xylo-audio-2": f"{path}syns61201",
        "xylo-imu": f"{path}syns63300",
        "xylo-audio-3": f"{path}syns65302",
    }
    with samna_standin.present(modules):
        yield {
            name: SimpleNamespace(  # by file: a package hides what it could not import
                XyloSim=importlib.import_module(place).XyloSim,
                mapper=importlib.import_module(f"{place}.xylo_mapper").mapper,
                configure=importlib.import_module(f"{place}.xylo_samna").config_from_specification,
            )
            for name, place in places.items()
        }
    for name in [n for n in sys.modules if n.startswith("rockpool.devices")]:
        del sys.modules[name]


def assert_same(module: Any, config: XyloConfig, raster: NDArray[np.uint8]) -> None:
    """Output spikes and all states of a module of Rockpool, against the simulation."""
    output, _, recorded = module.evolve(raster, record=True)
    found = simulate(config, raster, record=True)
    np.testing.assert_array_equal(output.reshape(found.output.shape), found.output)
    assert {"Vmem", "Isyn", "Spikes", "Vmem_out", "Isyn_out"} <= set(recorded) <= set(STATES)
    for theirs, ours in STATES.items():
        if theirs not in recorded:  # the second synapse, by the class of a chip without one
            continue
        expected = getattr(found, ours)
        np.testing.assert_array_equal(
            np.reshape(recorded[theirs], expected.shape), expected, err_msg=theirs
        )


@pytest.mark.parametrize("chip", DRIVEN)
@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_rockpool_simulates_the_specification(
    chip: str, seed: int, rockpool: dict[str, Any]
) -> None:
    config, raster = drawn(seed, chip)
    spec = to_rockpool(config)
    module = rockpool[chip].XyloSim.from_specification(**for_simulator(spec))
    assert module.dt == config.dt
    assert_same(module, config, raster)


@pytest.mark.parametrize("chip", DRIVEN)
@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_rockpool_fills_the_vendors_objects_alike(
    chip: str, seed: int, rockpool: dict[str, Any]
) -> None:
    config, _ = drawn(seed, chip)
    theirs, valid, _ = rockpool[chip].configure(**to_rockpool(config))
    assert valid
    ours = samna_config(config)
    assert type(ours) is type(theirs)
    expected, found = theirs.plain(), ours.plain()
    for content in (expected, found):  # clocks and inputs, which it sets later
        del content["debug"]
        content.pop("input_source", None)
    assert expected.pop("bias_enable")  # always, where biases are given at all
    assert found.pop("bias_enable") == bool(config.bias.any() or config.bias_out.any())
    assert found == expected


@pytest.mark.parametrize("chip", DRIVEN)
@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_rockpool_simulates_the_vendors_objects(
    chip: str, seed: int, rockpool: dict[str, Any]
) -> None:
    """But for two defects of its own: aliases of neuron 0, a second synapse on one chip."""
    config, raster = drawn(seed, chip)
    config = replace(config, aliases=np.where(config.aliases == 0, -1, config.aliases))
    if chip == "xylo-audio-3":
        first = np.array([1, 0], np.int8)
        config = replace(
            config, weights_in=config.weights_in * first, weights_rec=config.weights_rec * first
        )
    module = rockpool[chip].XyloSim.from_config(samna_config(config))
    assert_same(module, config, raster)


@pytest.mark.parametrize("chip", DRIVEN)
@pytest.mark.parametrize("method", ["global_quantize", "channel_quantize"])
def test_what_rockpool_maps_and_quantises_is_imported(
    method: str, chip: str, rockpool: dict[str, Any], tmp_path: Path
) -> None:
    """A network of its own through its mapper and quantiser, as a file and back."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFTorch, LinearTorch
    from rockpool.parameters import Constant
    from rockpool.transform import quantize_methods

    torch.manual_seed(0)
    sizes, dt = (6, 12, 9, 3), 1e-3

    def neurons(n: int, recurrent: bool) -> Any:
        taus = {"tau_mem": Constant(0.02), "tau_syn": Constant(0.01)}
        fixed = {"threshold": Constant(1.0), "bias": Constant(0.0)}
        return LIFTorch((n, n) if recurrent else n, **taus, **fixed, dt=dt, has_rec=recurrent)

    layers = [
        part
        for i, (a, b) in enumerate(pairwise(sizes))
        for part in (LinearTorch((a, b), has_bias=False), neurons(b, recurrent=i == 0))
    ]
    graph = Sequential(*layers).as_graph()
    words = {"weight_dtype": "float", "threshold_dtype": "float", "dash_dtype": "float"}
    spec = rockpool[chip].mapper(graph, **words)
    spec.update(getattr(quantize_methods, method)(**spec))
    place = tmp_path / "specification.npz"
    np.savez(place, **{k: v for k, v in spec.items() if k not in ("aliases", "mapped_graph")})
    config = read_config(place, chip, dt)
    assert config == from_rockpool(spec, chip, dt)
    raster = np.random.default_rng(0).integers(0, 3, (40, sizes[0])).astype(np.uint8)
    del spec["mapped_graph"]
    module = rockpool[chip].XyloSim.from_specification(**spec)
    assert simulate(config, raster).output.any()
    assert_same(module, config, raster)

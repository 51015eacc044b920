"""An independent check of an exported graph: step it in NumPy and compare the output spikes.

Nothing of nirbridge is used here, so the files do not owe their correctness to what they test.
"""

from __future__ import annotations

from typing import Any

import digits
import nir
import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]


def in_order(graph: nir.NIRGraph) -> list[str]:
    """Node names by distance from the input; a node that closes a loop comes after its target."""
    names = ["input"]
    for name in names:  # grows while it is read
        names += [b for a, b in sorted(graph.edges) if a == name and b not in names]
    return names


def fire(node: nir.NIRNode, state: dict[str, Floats], drive: Floats, how: dict[str, Any]) -> Floats:
    """One Euler step of a layer (N, n) with spikes ``> threshold``; ``state`` is updated."""
    zero = np.zeros_like(drive)
    v, last = state.get("v", zero), state.get("spikes", zero)
    tau = node.tau if isinstance(node, nir.LIF) else node.tau_mem
    if isinstance(node, nir.CubaLIF):
        a = np.float32(1) - np.float32(how["dt"]) / node.tau_syn
        drive = a * state.get("current", zero) + (1 - a) * node.w_in * drive
        state["current"] = drive
    b = np.float32(1) - np.float32(how["dt"]) / tau
    v = b * v + (1 - b) * (node.v_leak + node.r * drive)
    if how["reset_delay"] == 1:
        v = v - node.v_threshold * last
    spikes = (v > node.v_threshold).astype(np.float32)
    if how["reset"] == "value":
        v = np.where(spikes > 0, node.v_reset, v)
    elif how["reset_delay"] == 0:
        v = v - node.v_threshold * spikes
    state["v"], state["spikes"] = v, spikes
    fired: Floats = spikes
    return fired


def convolve(node: nir.Conv2d, x: Floats) -> Floats:
    """Convolve as PyTorch does; nirbridge has its own way."""
    weight, bias = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
    stride, padding = (tuple(int(i) for i in v) for v in (node.stride, node.padding))
    y = torch.nn.functional.conv2d(torch.from_numpy(x), weight, bias, stride, padding)
    return np.asarray(y.numpy(), np.float32)


def simulate(graph: nir.NIRGraph, x: digits.Raster, how: dict[str, Any]) -> Counts:
    """Output spike counts (N, 8) for a raster (N, T, 16); a loop delays spikes by one step."""
    values: dict[str, Floats] = {}
    states: dict[str, dict[str, Floats]] = {name: {} for name in graph.nodes}
    counts = np.zeros(1)
    for step in np.moveaxis(x.astype(np.float32), 1, 0):
        for name in in_order(graph):
            node = graph.nodes[name]
            sources = [values[a] for a, b in graph.edges if b == name and a in values]
            value: Floats = step if isinstance(node, nir.Input) else np.sum(sources, axis=0)
            if isinstance(node, nir.Input):
                value = value.reshape(len(value), *node.input_type["input"])
            elif isinstance(node, nir.Linear | nir.Affine):
                value = value @ node.weight.T + getattr(node, "bias", np.float32(0))
            elif isinstance(node, nir.Conv2d):
                value = convolve(node, value)
            elif isinstance(node, nir.Flatten):
                value = value.reshape(len(value), -1)
            elif isinstance(node, nir.LIF | nir.CubaLIF):
                value = fire(node, states[name], value, how)
            values[name] = value
        counts = counts + values["output"]
    return counts.astype(np.int64)


def compare(expected: Counts, found: Counts) -> str:
    """Say how far two sets of counts agree; a recurrent network turns one tie into several."""
    samples = int(np.sum((expected == found).all(axis=1)))
    choices = int(np.sum(expected.argmax(1) == found.argmax(1)))
    spikes = int(np.abs(expected - found).sum())
    n = len(expected)
    return f"equal counts {samples}/{n}, equal decisions {choices}/{n}, {spikes} spikes differ"

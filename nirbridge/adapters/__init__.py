"""Models of the frameworks to NIR graphs, and NIR graphs to models: spike for spike.

:func:`export` finds the framework by the types in a model, follows the signals through it and
writes what it computes, with the complete :class:`nirbridge.Dynamics`. :func:`build` makes a model
that computes a graph, to be trained further and exported again. :func:`run` runs either on a
raster. One file per framework; a framework is imported only when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import nir
import numpy as np

from nirbridge.diagnostics import refuse
from nirbridge.dynamics import Dynamics

FRAMEWORKS = ("snntorch", "norse", "rockpool", "sinabs", "spikingjelly", "spyx")
"""Frameworks that models come from and go to."""
IMPORTERS = (*FRAMEWORKS, "nengo")
"""Frameworks that models go to, spike for spike."""
CONTINUOUS = ("jaxsnn",)
"""Frameworks without steps that models go to: spike times instead of spikes per step."""

__all__ = ["CONTINUOUS", "FRAMEWORKS", "IMPORTERS", "build", "export", "framework_of", "run"]


def framework_of(model: Any) -> str:
    """Name of the framework whose cells a model holds; snnTorch for a model of torch alone.

    Raises
    ------
    Refused
        If it holds cells of several frameworks, or is no model at all.

    """
    if isinstance(model, type):
        limit, name = "a model, not its class", model.__name__
        raise refuse("NB806", node="model", limit=limit, found=name, remedy="make an instance")
    _refuse_one_way(model)
    found = {f for f in FRAMEWORKS for m in _modules(model) if _belongs(m, f)}
    if _belongs(model, "flax"):
        found.add("spyx")
    if len(found) > 1:
        raise refuse(
            "NB806", node="model", limit="cells of one framework", found=", ".join(sorted(found)),
            remedy="export the parts one by one",
        )
    if not found and not hasattr(model, "named_modules"):
        limit = f"a model of {', '.join(FRAMEWORKS)}"
        raise refuse("NB806", node="model", limit=limit, found=type(model).__name__)
    return found.pop() if found else "snntorch"


def _refuse_one_way(model: Any) -> None:
    """Nengo and jaxsnn are built for only."""
    found = ""
    if _belongs(model, "nengo") or type(model).__name__ == "NengoModel":
        found = "Nengo's, which rest for a time between two steps and decode real values"
    if _belongs(model, "jaxsnn") or type(model).__name__ == "JaxsnnModel":
        found = "jaxsnn's, whose parameters are inside of functions"
    if found:
        raise refuse(
            "NB901",
            node=type(model).__name__,
            limit="a model whose neurons can be read and are those of NIR",
            found=found,
            remedy=f"train in one of {', '.join(FRAMEWORKS)}; what build() made of a graph has "
            "that graph as its attribute `graph`",
        )


def _modules(model: Any) -> list[Any]:
    if hasattr(model, "named_modules"):
        return [module for _, module in model.named_modules()]
    return [model, *_spyx_layers(model)]


def _spyx_layers(model: Any) -> list[Any]:
    return list(getattr(model, "layers", ()))


def _belongs(module: Any, framework: str) -> bool:
    return any(c.__module__.split(".")[0] == framework for c in type(module).__mro__)


def export(model: Any, sample: Any, dt: float | None = None) -> nir.NIRGraph:
    """What a trained model computes, as a NIR graph with its complete dynamics.

    Parameters
    ----------
    model
        A model of snnTorch, Norse, Rockpool (torch, jax or numpy), Sinabs, SpikingJelly or Spyx,
        or one that :func:`build` made.
    sample
        An input as the model takes it in one call, with or without a batch; only its shape counts.
    dt
        Seconds per step; by default what the framework itself uses. Only the time constants
        depend on it: the factors per step, which the model computes with, stay.

    Raises
    ------
    Refused
        For a layer that NIR does not have, or a connection that cannot be followed, by its path.

    """
    _refuse_one_way(model)
    if _is_built(model):
        if hasattr(model, "to_nir_graph"):
            return model.to_nir_graph(dt)
        from nirbridge.adapters import network_export

        return network_export.export(model, dt)
    name = framework_of(model)
    adapter = import_module(f"nirbridge.adapters.{name}")
    if hasattr(adapter, "export"):
        return adapter.export(model, sample, dt)
    from nirbridge.adapters import torchmodels

    return torchmodels.export(adapter.FRAMEWORK, model, sample, dt)


def build(
    graph: nir.NIRGraph, framework: str, dynamics: Dynamics | None = None, strict: bool = False
) -> Any:
    """A model of a framework that computes what the source of a graph computed.

    Parameters
    ----------
    graph
        Any well-formed graph.
    framework
        One of :data:`IMPORTERS`, or of :data:`CONTINUOUS`.
    dynamics
        How the graph is stepped; by default the record in its metadata.
    strict
        Refuse what the framework's own cells do not compute. Otherwise their spikes and resets
        are composed from operations, with the same result, and the model's ``differences`` says
        where.

    Returns
    -------
        A torch module (for Spyx, Nengo and jaxsnn, an object of the same use) that is called with
        (T, B, ...) and gives (T, B, ...), each time from rest.

    Raises
    ------
    Refused
        For a malformed graph, an unknown or missing framework, and with ``strict``.

    """
    from nirbridge.timing import resolve

    known = (*IMPORTERS, *CONTINUOUS)
    if framework not in known:
        raise refuse("NB806", node="framework", limit=", ".join(known), found=repr(framework))
    adapter = import_module(f"nirbridge.adapters.{framework}")
    if not isinstance(graph, nir.NIRGraph):
        raise refuse("NB208", node="graph", limit="a nir.NIRGraph", found=type(graph).__name__)
    if not isinstance(dynamics, Dynamics | None):
        limit, found = "a nirbridge.Dynamics", type(dynamics).__name__
        raise refuse("NB304", node="dynamics", limit=limit, found=found)
    how = resolve(graph, dynamics=dynamics)
    if hasattr(adapter, "build"):
        return adapter.build(graph, how, strict)
    from nirbridge.adapters import network

    return network.build(adapter.kit(), graph, how, strict)


def run(model: Any, raster: Any, shape: tuple[int, ...] | None = None) -> Any:
    """What a model sends for a raster of counts, from rest.

    Parameters
    ----------
    model
        A model of a framework, or one that :func:`build` made.
    raster
        (T, n) or (B, T, n).
    shape
        Of the model's input in one step, where it is not (n,).

    Returns
    -------
        Array (T, n_out) or (B, T, n_out), float32.

    """
    counts = np.asarray(raster)
    batched = counts.ndim == 3
    counts = (counts if batched else counts[None]).astype(np.float32)
    x = np.swapaxes(counts, 0, 1)  # (T, B, n)
    x = x.reshape(*x.shape[:2], *(shape or x.shape[2:]))
    if type(model).__name__ in ("NengoModel", "JaxsnnModel"):
        out = model(x)
    else:
        out = _run_torch(model, x) if hasattr(model, "named_modules") else _run_arrays(model, x)
    rows = np.swapaxes(out.reshape(*out.shape[:2], -1), 0, 1)
    return rows if batched else rows[0]


def _run_torch(model: Any, x: Any) -> Any:
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(x))
    with torch.no_grad():
        if _is_built(model):
            return model(tensor).numpy()
        adapter = import_module(f"nirbridge.adapters.{framework_of(model)}")
        return adapter.run(model, tensor).numpy()


def _run_arrays(model: Any, x: Any) -> Any:
    name = "rockpool" if _belongs(model, "rockpool") else "spyx"
    return import_module(f"nirbridge.adapters.{name}").run(model, x)


def _is_built(model: Any) -> bool:
    return type(model).__module__.startswith("nirbridge.adapters.")

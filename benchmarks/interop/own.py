"""The frameworks' own functions: a model to NIR, a file, and a model again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interop.nets import IMAGE, OUT, Net
from nirbridge import adapters


def own(net: Net, exporter: str, importer: str, x: Any) -> Any:
    """Spikes of the model that the frameworks' own functions make, by way of a file."""
    import nir

    graph = _own_exports()[exporter](net)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        nir.write(path, graph)
        try:
            graph = nir.read(path)
        except ValueError:  # shapes with axes of batch and time: the benefit of the doubt
            graph = nir.read(path, type_check=False)
    return _own_imports()[importer](graph, net, x)


def _own_exports() -> dict[str, Callable[[Net], Any]]:
    def snntorch(net: Net) -> Any:
        from snntorch.export_nir import export_to_nir

        for _, module in net.model.named_modules():
            if hasattr(module, "reset_mem"):
                module.reset_mem()
        return export_to_nir(net.model, net.sample, ignore_dims=[0])

    def norse(net: Net) -> Any:
        from norse.torch import to_nir

        return to_nir(net.model, net.sample[0], dt=1.0)  # 1: else τ is a thousandth

    def rockpool(net: Net) -> Any:
        from rockpool.nn.modules.torch.nir import to_nir

        return to_nir(net.model, net.sample)

    def sinabs(net: Net) -> Any:
        from sinabs.nir import to_nir

        return to_nir(net.model, net.sample)

    def spikingjelly(net: Net) -> Any:
        from spikingjelly.activation_based.nir_exchange import export_to_nir

        return export_to_nir(net.model, net.sample)

    def spyx(net: Net) -> Any:
        from spyx.nir import to_nir

        shape = net.shape if len(net.shape) == 1 else IMAGE  # channels first, as NIR has them
        shapes = {"input": np.array(shape)}, {"output": np.array([OUT])}
        return to_nir(net.model, *shapes, dt=1e-4)

    made = (snntorch, norse, rockpool, sinabs, spikingjelly, spyx)
    return {f.__name__: f for f in made}


def _own_imports() -> dict[str, Callable[[Any, Net, Any], Any]]:
    import torch

    def loop(model: Any, rows: Any) -> Any:
        state, out = None, []
        with torch.no_grad():
            for row in rows:
                y = model(row, state)
                y, state = y if isinstance(y, tuple) else (y, None)
                out.append(y.reshape(len(row), -1))
        return torch.stack(out, 1).numpy()

    def snntorch(graph: Any, net: Net, x: Any) -> Any:
        from snntorch.import_nir import import_from_nir

        return loop(import_from_nir(graph), _rows(net, x))

    def norse(graph: Any, net: Net, x: Any) -> Any:
        from norse.torch import from_nir

        return loop(from_nir(graph, dt=_step(net)), _rows(net, x))

    def rockpool(graph: Any, net: Net, x: Any) -> Any:
        from rockpool.nn.modules.torch.nir import from_nir

        model, rows = from_nir(graph), _rows(net, x).transpose(0, 1)
        out = model(rows)
        return (out[0] if isinstance(out, tuple) else out).detach().numpy()

    def sinabs(graph: Any, net: Net, x: Any) -> Any:
        from sinabs.nir import from_nir

        rows = _rows(net, x).transpose(0, 1)
        model = from_nir(graph, batch_size=1)
        out = model(rows.flatten(0, 1))
        out = out[0] if isinstance(out, tuple) else out
        return out.detach().numpy().reshape(1, rows.shape[1], -1)

    def spikingjelly(graph: Any, net: Net, x: Any) -> Any:
        from spikingjelly.activation_based.nir_exchange import import_from_nir

        return loop(import_from_nir(graph, dt=_step(net)), _rows(net, x))

    def spyx(graph: Any, net: Net, x: Any) -> Any:
        import jax.numpy as jnp
        from spyx.nir import from_nir

        rows = jnp.asarray(_rows(net, x, last=True).numpy())
        _, out = from_nir(graph, rows, dt=_step(net))
        return np.swapaxes(np.asarray(out), 0, 1).reshape(1, len(rows), -1)

    made = (snntorch, norse, rockpool, sinabs, spikingjelly, spyx)
    return {f.__name__: f for f in made}


def _rows(net: Net, x: Any, last: bool = False) -> Any:
    """A raster as a tensor (T, B, ...), images with their channels first or last."""
    import torch

    rows = np.swapaxes(x, 0, 1).astype(np.float32)
    rows = rows.reshape(*rows.shape[:2], *net.shape)
    if len(net.shape) > 1 and last != (net.shape != IMAGE):
        rows = np.moveaxis(rows, 2, -1) if last else np.moveaxis(rows, -1, 2)
    return torch.from_numpy(np.ascontiguousarray(rows))


def _step(net: Net) -> float:
    """The time step that the framework of a network itself takes."""
    steps = {"snntorch": 1e-4, "spikingjelly": 1e-4, "spyx": 1e-4, "sinabs": 1.0}
    return steps.get(adapters.framework_of(net.model), 1e-3)

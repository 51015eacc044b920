"""Every optional library in one list, and what to say when one is missing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from nirbridge.diagnostics import refuse

MISSING = "NB903"

SINABS = "pip install torch nirtorch pbr && pip install --no-deps sinabs"
"""Sinabs' metadata ask for nir<=1.0.4, without which it works, and for a library of the chips."""

SAMNA = "pip install samna"
"""The vendor's library, which drives the development kits; under a licence of its own."""


@dataclass(frozen=True)
class Library:
    """An optional library: the modules that must import, and its install line if it is no extra."""

    name: str
    modules: tuple[str, ...]
    line: str = ""

    @property
    def install(self) -> str:
        """The command that installs it."""
        return self.line or f'pip install "nirbridge[{self.name}]"'


LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (
        Library("torch", ("torch",)),
        Library("snntorch", ("torch", "snntorch")),
        Library("norse", ("torch", "norse.torch")),
        Library("rockpool", ("torch", "rockpool.nn.modules")),
        Library("sinabs", ("torch", "sinabs.layers"), SINABS),
        Library("spikingjelly", ("torch", "spikingjelly.activation_based.neuron")),
        Library("nengo", ("nengo",)),
        Library("spyx", ("jax", "flax", "spyx.nn")),
        Library("jaxsnn", ("jax", "jaxsnn.event.modules")),
        Library("dask", ("distributed",)),
        Library("samna", ("samna",), SAMNA),
    )
}


def need(name: str) -> ModuleType:
    """Import an optional library; its last module is given back.

    Raises
    ------
    Refused
        If it is not installed; the remedy names the command that installs it.

    """
    library = LIBRARIES[name]
    module = None
    for path in library.modules:
        try:
            module = import_module(path)
        except ImportError as error:
            raise refuse(
                MISSING,
                node=name,
                limit=f"{name} can be imported",
                found=f"import {path}: {error}",
                remedy=f"install it: {library.install}",
            ) from error
    assert module is not None
    return module


def installed(name: str) -> bool:
    """Whether an optional library is there and can be imported."""
    try:
        for path in LIBRARIES[name].modules:
            import_module(path)
    except ImportError:
        return False
    return True

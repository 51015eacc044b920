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
    """An optional library: the modules that must import, and what installs it.

    That is the packages of the extra of the same name or, if it is no extra, a line.
    """

    name: str
    modules: tuple[str, ...]
    packages: tuple[str, ...] = ()
    line: str = ""

    @property
    def install(self) -> str:
        """The command that installs it, wherever nirbridge itself came from."""
        return self.line or "pip install " + " ".join(f'"{each}"' for each in self.packages)


LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (
        Library("torch", ("torch",), ("torch>=2.4",)),
        Library("snntorch", ("torch", "snntorch"), ("snntorch>=1.0", "nirtorch>=2.6")),
        Library("norse", ("torch", "norse.torch"), ("norse>=1.1", "nirtorch>=2.6")),
        Library("rockpool", ("torch", "rockpool.nn.modules"), ("rockpool>=3.1", "torch>=2.4")),
        Library("sinabs", ("torch", "sinabs.layers"), line=SINABS),
        Library(
            "spikingjelly",
            ("torch", "spikingjelly.activation_based.neuron"),
            ("spikingjelly>=2.0",),
        ),
        Library("nengo", ("nengo",), ("nengo>=4.1",)),
        Library("spyx", ("jax", "flax", "spyx.nn"), ("spyx>=1.0",)),
        Library("jaxsnn", ("jax", "jaxsnn.event.modules"), ("jaxsnn>=0.3",)),
        Library("dask", ("distributed",), ("dask[distributed]>=2024.8",)),
        Library("samna", ("samna",), line=SAMNA),
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

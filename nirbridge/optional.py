"""Every optional library in one list, and what to say when one is missing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from nirbridge.diagnostics import refuse

MISSING = "NB903"


@dataclass(frozen=True)
class Library:
    """An optional library: the modules that must import, and how it is installed."""

    name: str
    modules: tuple[str, ...]
    install: str


LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (
        Library("torch", ("torch",), 'pip install "nirbridge[torch]"'),
        Library("snntorch", ("torch", "snntorch"), 'pip install "nirbridge[snntorch]"'),
        Library("norse", ("torch", "norse.torch"), 'pip install "nirbridge[norse]"'),
        Library("rockpool", ("torch", "rockpool.nn.modules"), "pip install rockpool torch"),
        Library(
            "sinabs", ("torch", "sinabs.layers"), "pip install --no-deps sinabs; pip install pbr"
        ),
        Library(
            "spikingjelly",
            ("torch", "spikingjelly.activation_based.neuron"),
            "pip install --no-deps spikingjelly; pip install tensorboard tqdm loguru",
        ),
        Library("nengo", ("nengo",), 'pip install "nirbridge[nengo]"'),
        Library("spyx", ("jax", "flax", "spyx.nn"), "pip install spyx"),
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

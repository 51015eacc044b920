"""Which layer of a jax or numpy model feeds which: it is called once with stand-ins for arrays.

A stand-in knows its shape and the layers it comes from. It can be added to another and reshaped;
everything else that a model does to it is refused. The layers answer with stand-ins too, so that
nothing is computed and no choice can depend on values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nirbridge.adapters.base import UNTRACED, Shape
from nirbridge.adapters.running import explained
from nirbridge.adapters.signals import INPUT, OUTPUT
from nirbridge.diagnostics import Refused, refuse


@dataclass(frozen=True)
class Frame:
    """How a framework's modules are made of parts and called.

    ``children`` gives the parts of a module by name. ``start`` calls a model with a signal.
    ``reply`` is what the call of a layer gives back: its signal, and what was passed behind the
    input. ``keeps`` tells whether a layer has a state.
    """

    is_leaf: Callable[[Any], bool]
    children: Callable[[Any], Iterable[tuple[str, Any]]]
    start: Callable[[Any, Any], Any]
    reply: Callable[[Any, tuple[Any, ...]], Any]
    keeps: Callable[[Any], bool]


def _lost(where: str, found: str) -> Refused:
    return refuse(
        UNTRACED,
        node=where or "model",
        limit="signals that pass from layer to layer, are added or flattened",
        found=found,
        remedy="write this step as a layer, or leave it out of the model that is exported",
    )


@dataclass(eq=False)
class Signal:
    """A stand-in for an array (1, ...): shape, and the calls that it is the sum of."""

    shape: Shape
    sources: frozenset[str]
    trace: Trace

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __add__(self, other: Any) -> Signal:
        if not isinstance(other, Signal):
            if np.ndim(other) == 0 and float(other) == 0:
                return self
            raise _lost(self.trace.here, "the addition of a constant outside of a layer")
        if self.sources & other.sources or self.shape != other.shape:
            raise _lost(self.trace.here, "a signal added to itself, or to one of another shape")
        return Signal(self.shape, self.sources | other.sources, self.trace)

    __radd__ = __add__

    def reshape(self, *shape: Any) -> Signal:
        """The same shape, or all axes but the batch joined."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        flat: Shape = (self.shape[0], int(np.prod(self.shape[1:])))
        found: Shape = np.empty(self.shape, np.int8).reshape(wanted).shape
        if found == self.shape:
            return self
        if found != flat:
            raise _lost(self.trace.here, f"a reshape from {self.shape} to {found}")
        return self.trace.call("flatten", Flattening(), self, flat)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise _lost(self.trace.here, f"the operation {name!r}")

    def _refused(self, *_: Any) -> Any:
        raise _lost(self.trace.here, "arithmetic outside of a layer")

    __mul__ = __rmul__ = __sub__ = __rsub__ = __truediv__ = __matmul__ = __rmatmul__ = _refused
    __neg__ = __getitem__ = __bool__ = __gt__ = __lt__ = __array__ = __jax_array__ = _refused


@dataclass(frozen=True)
class Flattening:
    """A reshape in the forward that joins all axes."""


@dataclass
class Call:
    """A layer that was called: what fed it, and the shapes of one step without batch."""

    name: str
    module: Any
    sources: frozenset[str]
    shape: Shape
    out_shape: Shape


@dataclass
class Trace:
    """The calls in their order."""

    keeps: Callable[[Any], bool]
    calls: dict[str, Call] = field(default_factory=dict)
    here: str = ""
    output: frozenset[str] = frozenset()

    def call(self, name: str, module: Any, x: Signal, out_shape: Shape) -> Signal:
        """Record a call; a layer without state may be called several times."""
        wanted, copy = name, 0
        while wanted in self.calls:
            if self.keeps(module):
                raise _lost(name, "a layer with a state that is called twice in one step")
            copy += 1
            wanted = f"{name}_{copy}"
        self.calls[wanted] = Call(wanted, module, x.sources, x.shape[1:], tuple(out_shape[1:]))
        return Signal(tuple(out_shape), frozenset({wanted}), self)


def follow(frame: Frame, model: Any, shape: Shape) -> Trace:
    """The calls of one step on an input of ``shape``, without batch.

    Raises
    ------
    Refused
        NB902 for an operation between layers that cannot be followed.

    """
    trace = Trace(frame.keeps)
    names = _names("", model, frame)
    x = Signal((1, *shape), frozenset({INPUT}), trace)
    with explained(lambda: trace.here), ExitStack() as stack:
        for kind in {type(module) for _, module in names.values()}:
            stack.enter_context(_watched(kind, names, trace, frame.reply))
        stack.enter_context(_no_arrays(trace))
        out = frame.start(model, x)
    signal = out[0] if isinstance(out, tuple) else out
    if not isinstance(signal, Signal):
        raise _lost(OUTPUT, f"an output that is no signal but {type(signal).__name__}")
    trace.output = signal.sources
    return trace


@contextmanager
def _no_arrays(trace: Trace) -> Iterator[None]:
    """What jax says of a stand-in, in other words."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if isinstance(error, Refused) or not any(w in str(error) for w in ("__jax_", "Signal")):
            raise
        raise _lost(trace.here, "a function of jax behind this layer") from None


def _names(path: str, model: Any, frame: Frame) -> dict[int, tuple[str, Any]]:
    """Leaves by identity, with their paths."""
    if frame.is_leaf(model):
        return {id(model): (path or type(model).__name__.lower(), model)}
    found: dict[int, tuple[str, Any]] = {}
    for name, child in frame.children(model):
        for key, leaf in _names(f"{path}.{name}".lstrip("."), child, frame).items():
            found.setdefault(key, leaf)
    return found


@contextmanager
def _watched(
    kind: Any, names: dict[int, tuple[str, Any]], trace: Trace, reply: Callable[..., Any]
) -> Iterator[None]:
    """While it lasts, layers of a class answer stand-ins with stand-ins."""
    own = kind.__dict__.get("__call__")
    inherited = kind.__call__

    def answer(module: Any, x: Any, *rest: Any, **options: Any) -> Any:
        if not isinstance(x, Signal) or id(module) not in names:
            return inherited(module, x, *rest, **options)
        name, _ = names[id(module)]
        trace.here = name
        out = trace.call(name, module, x, _out_shape(inherited, module, x.shape, rest))
        return reply(out, rest)

    kind.__call__ = answer
    try:
        yield
    finally:
        if own is None:
            del kind.__call__
        else:
            kind.__call__ = own


def _out_shape(function: Any, module: Any, shape: Shape, rest: tuple[Any, ...]) -> Shape:
    """What the layer gives for silence."""
    out = function(module, np.zeros(shape, np.float32), *rest)
    return tuple((out[0] if isinstance(out, tuple) else out).shape)

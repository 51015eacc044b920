"""Which layer's output feeds which layer: found by running a torch model once.

Layers (leaves) are watched by forward hooks. What happens to signals between layers is watched by
a ``TorchFunctionMode``: sums join branches, reshapes become Flatten, a loop over time is looked
through. Anything else marks the signal as lost, and is refused when a layer receives it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from nirbridge.adapters.base import UNTRACED
from nirbridge.adapters.running import advance, explained, kept, swaps
from nirbridge.adapters.running import tensors as _tensors
from nirbridge.adapters.signals import (
    FRESH,
    INPUT,
    MEMBRANE,
    OUTPUT,
    SAME,
    SHAPES,
    STEPS,
    SUMS,
    SWAPS,
    UNREAD,
    Lost,
    Reshape,
    Sources,
    first,
    lost,
    shape_of,
)
from nirbridge.diagnostics import refuse


@dataclass
class Call:
    """A layer that was called: what fed it, and the shapes of its first call."""

    name: str
    module: Any
    sources: set[str]
    shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    times: int = 1
    last_pass: int = 0


@dataclass
class Wiring:
    """The record of one trace; tensors are known by their identity, and kept alive for it."""

    is_leaf: Callable[[Any], bool]
    shows: Callable[[Any], bool]  # whether a layer's last state is its membrane, a signal
    calls: dict[str, Call] = field(default_factory=dict)
    signals: dict[int, tuple[Any, Sources]] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    muted: int = 0
    passes: int = 0
    swapped: bool = False  # whether the model has exchanged the axes of time and batch
    merged: bool = False  # whether time and batch are one axis somewhere
    sliced: tuple[str, int, int] | None = None  # where, how long, along which axis
    output: frozenset[str] = frozenset()

    def sources(self, tensor: Any) -> Sources | None:
        """Where a tensor comes from; None if from no signal."""
        found = self.signals.get(id(tensor))
        return None if found is None else found[1]

    def mark(self, tensor: Any, sources: Sources) -> None:
        """Remember where a tensor comes from."""
        self.signals[id(tensor)] = (tensor, sources)

    @property
    def here(self) -> str:
        """Path of the innermost module that is running."""
        return self.path[-1] if self.path else ""

    # -- layers -------------------------------------------------------------------------------

    def enter(self, name: str, leaf: bool) -> None:
        """A module starts."""
        self.path.append(name)
        self.muted += leaf

    def leave(self, name: str, module: Any, args: tuple[Any, ...], out: Any) -> None:
        """A leaf has answered."""
        self.path.pop()
        self.muted -= 1
        if self.muted:
            return
        tensor = first(args)
        signal, *states = out if isinstance(out, tuple) else (out,)
        call = self._call(name, module, self._checked(name, tensor), tensor, signal)
        steps = list(_tensors(signal))  # several where a layer gives a list
        for step in steps:
            self.mark(step, frozenset({call.name}))
        for state in _tensors(states):
            if state is not steps[0]:
                why = "its state (membrane or current), not its spikes"
                self.mark(state, Lost(name, why, UNREAD))
        if states and self.shows(module):
            self.mark(states[-1], frozenset({call.name + MEMBRANE}))

    def _checked(self, name: str, tensor: Any) -> frozenset[str]:
        sources = self.sources(tensor)
        if isinstance(sources, Lost):
            raise lost(name, sources)
        if sources is not None:
            return sources
        if bool(tensor.any()):
            raise lost(name, Lost(name, "a constant that is not zero"))
        return frozenset()  # the silence before a loop has gone round

    def _call(
        self, name: str, module: Any, sources: frozenset[str], tensor: Any, out: Any
    ) -> Call:
        """The record of a layer; called again it is the same node, or a copy if it has no state."""
        shapes = tuple(tensor.shape), shape_of(out)
        copy, wanted = 0, name
        while wanted in self.calls:
            known = self.calls[wanted]
            again = self.sliced is not None or known.last_pass < self.passes  # a later step
            same = sources == known.sources and not _has_state(module)
            if same or (again and (sources >= known.sources or sources <= known.sources)):
                known.sources |= sources
                known.times += 1
                known.last_pass = self.passes
                return known
            if _has_state(module):
                limit = "one input per step for a layer with a state"
                raise refuse(
                    UNTRACED,
                    node=name,
                    limit=limit,
                    found=f"inputs from {sorted(known.sources)} and from {sorted(sources)}",
                    remedy="use one layer object for each place in the network",
                )
            copy += 1
            wanted = f"{name}_{copy}"
        self.calls[wanted] = Call(wanted, module, set(sources), *shapes, last_pass=self.passes)
        return self.calls[wanted]

    # -- functions between layers -------------------------------------------------------------

    def saw(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        """A torch function ran outside of all leaves."""
        name = getattr(function, "__name__", str(function))
        if name == "__setitem__":  # changes its first argument, and gives nothing
            out = args[0]
        results = list(_tensors(out))
        inputs = [t for t in _tensors((args, kwargs)) if self.sources(t) is not None]
        if self.muted or not results or not inputs or name in FRESH:
            return
        sources = self._follow(name, args, kwargs, inputs, results[0])
        for tensor in results:
            self.mark(tensor, sources)

    def _follow(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: list[Any], out: Any
    ) -> Sources:
        found: list[frozenset[str]] = []
        for tensor in inputs:
            sources = self.sources(tensor)
            if isinstance(sources, Lost):
                return sources
            assert sources is not None
            found.append(sources)
        first, *rest = found
        if name in SUMS:
            return self._sum(name, args, kwargs)
        if name == "dropout" and not kwargs.get("training", True):
            return first
        if name in SAME and all(s == first for s in rest):
            return first
        if name in STEPS and self._is_step(name, args, inputs[0]):
            return first
        if name in SWAPS and swaps(name, args, inputs[0]):
            self.swapped ^= first <= {INPUT} and not self.passes
            return first
        if (name, args[1:]) == ("flatten", (0, 1)) or (name, args[1:2]) == ("unflatten", (0,)):
            self.merged = True
            return first
        if name in SHAPES:
            return self._reshape(name, first, inputs[0], out)
        return Lost(self.here, f"the function {name!r}")

    def _is_step(self, name: str, args: tuple[Any, ...], tensor: Any) -> bool:
        """Whether a slice takes one step out of a signal over time: axis 0 or 1."""
        if name in ("unbind", "__iter__", "select"):
            axis = args[1] if len(args) > 1 and isinstance(args[1], int) else 0
        else:
            key = args[1] if isinstance(args[1], tuple) else (args[1],)
            axis = len(key) - 1
            if not isinstance(key[-1], int) or any(k != slice(None) for k in key[:-1]):
                return False
        if axis > 1:
            return False
        self.sliced = (self.here, int(tensor.shape[axis]), axis)
        return True

    def _sum(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sources:
        if kwargs.get("alpha", 1) != 1:
            return Lost(self.here, f"{name} with alpha")
        total: frozenset[str] = frozenset()
        for term in args[:2]:
            sources = self.sources(term)
            if sources is None:
                if bool(term.any()) if hasattr(term, "any") else term != 0:
                    return Lost(self.here, "the addition of a constant outside of a layer")
                continue
            assert not isinstance(sources, Lost)
            if total & sources:
                return Lost(self.here, "a signal added to itself")
            total |= sources
        return total

    def _reshape(self, name: str, sources: frozenset[str], tensor: Any, out: Any) -> Sources:
        change = Reshape(tuple(tensor.shape), tuple(out.shape))
        if change.before == change.after or sources <= {INPUT}:
            return sources
        call = self._call(f"{self.here}.{name}".lstrip("."), change, sources, tensor, out)
        return frozenset({call.name})


def _has_state(module: Any) -> bool:
    return not isinstance(module, Reshape) and not _is_torch(module)


def _is_torch(module: Any) -> bool:
    return type(module).__module__.startswith("torch.nn")


def trace(
    model: Any,
    sample: Any,
    is_leaf: Callable[[Any], bool],
    shows: Callable[[Any], bool] = lambda _: False,
) -> Wiring:
    """Run ``model`` for two steps on ``sample``, a tensor, and record its wiring.

    Two, because a recurrence that the model itself keeps shows from the second step on. The
    buffers of the model are as before afterwards.

    Raises
    ------
    Refused
        With the path of the layer whose input cannot be followed.

    """
    import torch
    from torch.overrides import TorchFunctionMode

    wiring = Wiring(is_leaf, shows)

    class Watch(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            wiring.saw(func, args, kwargs or {}, out)
            return out

    with ExitStack() as stack:
        stack.enter_context(explained(lambda: wiring.here))
        stack.enter_context(kept(model))
        stack.enter_context(torch.no_grad())
        _hook(model, wiring, stack)
        stack.enter_context(Watch())
        x = sample.clone()
        wiring.mark(x, frozenset({INPUT}))
        out = advance(model, x)
        again = sample.clone()
        wiring.passes = 1
        wiring.mark(again, frozenset({INPUT}))
        out = advance(model, again, out)
    wiring.output = _output(wiring, out)
    _check_time(wiring)
    return wiring


def _output(wiring: Wiring, out: Any) -> frozenset[str]:
    """What the model gives: one signal, and besides it no other but states."""
    signal = next(_tensors(out), None)
    values = out.values() if isinstance(out, dict) else out if isinstance(out, tuple | list) else ()
    others = [value for value in values if hasattr(value, "detach") and value is not signal]
    sources = None if signal is None else wiring.sources(signal)
    if sources is None or isinstance(sources, Lost):
        raise lost(OUTPUT, sources or Lost("", "no signal of the model"))
    found = [wiring.sources(other) for other in others]
    signals = [s for s in found if isinstance(s, frozenset)]
    if any(s != sources and not all(MEMBRANE in name for name in s) for s in signals):
        raise refuse(
            UNTRACED,
            node=OUTPUT,
            limit="one signal that the model gives, and states beside it",
            found=f"{1 + len(others)} tensors that are signals of different layers",
            remedy="let the forward of the exported model return one of them, or their sum",
        )
    return sources


def _check_time(wiring: Wiring) -> None:
    """A model that takes slices of its input must loop over them."""
    if wiring.sliced is None:
        return
    where, length, _ = wiring.sliced
    if length > 1 and all(call.times <= 2 for call in wiring.calls.values()):
        raise lost(where, Lost(where, f"one slice of {length}, which is no loop over time"))


def _hook(model: Any, wiring: Wiring, stack: ExitStack) -> None:
    """Watch all modules; below a leaf nothing is watched."""
    inside: set[int] = set()
    for name, module in model.named_modules():
        if id(module) in inside:
            continue
        leaf = wiring.is_leaf(module)
        if leaf:
            inside |= {id(m) for _, m in module.named_modules()}
        label = name or type(module).__name__.lower()

        def before(_m: Any, _args: Any, *, name: str = label, leaf: bool = leaf) -> None:
            wiring.enter(name, leaf)

        def after(m: Any, args: Any, out: Any, *, name: str = label, leaf: bool = leaf) -> None:
            if leaf:
                wiring.leave(name, m, args, out)
            else:
                wiring.path.pop()

        stack.callback(module.register_forward_pre_hook(before).remove)
        stack.callback(module.register_forward_hook(after).remove)

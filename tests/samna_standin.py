"""A stand-in for the vendor's library ``samna``, which the tests cannot install.

It is no copy of it: it knows the names that Rockpool's public sources and the library's public
pages use, refuses all others and wrong types as compiled classes do, gives copies of its lists,
and computes with nirbridge's simulation. That something works with it proves nothing about the
library or a chip.
"""

from __future__ import annotations

import json
import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from nirbridge.mapping.export_samna import SAMNA, SamnaChip, _encoded
from nirbridge.mapping.import_samna import from_samna
from nirbridge.simulate import simulate

Check = Callable[[Any], Any]


def flag(value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"incompatible function arguments: {value!r} is no bool")
    return bool(value)


def whole(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, (bool, float, str)) or value is None:
            raise TypeError(f"incompatible function arguments: {value!r} is no integer")
        if not low <= operator.index(value) <= high:
            raise TypeError(f"incompatible function arguments: {value!r} is not {low}..{high}")
        return operator.index(value)

    return check


def optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def matrix(value: Any) -> list[list[int]]:
    rows = [[whole(-128, 127)(x) for x in row] for row in value]
    if len({len(row) for row in rows}) > 1:
        raise TypeError("ragged")
    return rows


def of(kind: type) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError(f"incompatible function arguments: {type(value)} is no {kind}")
        return value

    return check


def every(check: Check) -> Check:
    return lambda values: [check(x) for x in values]


class Strict:
    """Fields with types; anything else is refused, lists come as copies."""

    fields: ClassVar[dict[str, tuple[Check, Callable[[], Any]]]] = {}

    def __init__(self) -> None:
        for name, (_, default) in self.fields.items():
            object.__setattr__(self, name, default())

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.fields:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        object.__setattr__(self, name, self.fields[name][0](value))

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        return [copy(x) for x in value] if isinstance(value, list) else value

    def plain(self) -> dict[str, Any]:
        return {name: _plain(getattr(self, name)) for name in self.fields}


def _plain(value: Any) -> Any:
    if isinstance(value, Strict):
        return value.plain()
    if isinstance(value, list) and value and isinstance(value[0], Strict):
        return [x.plain() for x in value]
    return value


def strict(name: str, **fields: tuple[Check, Callable[[], Any]]) -> type[Strict]:
    return type(name, (Strict,), {"fields": fields})


def _integer(low: int, high: int, default: int = 0) -> tuple[Check, Callable[[], Any]]:
    return whole(low, high), lambda: default


SWITCH: tuple[Check, Callable[[], Any]] = (flag, lambda: False)
MATRIX: tuple[Check, Callable[[], Any]] = (matrix, list)


def _configuration(part: SamnaChip, second: bool) -> ModuleType:
    """The classes of one chip's configuration."""
    neuron = {
        "threshold": _integer(0, 32767),
        "v_mem_decay": _integer(0, 15),
        "i_syn_decay": _integer(0, 15),
        "v_mem_bias": _integer(-128, 127),
    }
    hidden = neuron | {"alias_target": (optional(whole(0, 1023)), lambda: None)}
    layer = {"weights": MATRIX, "weight_bit_shift": _integer(0, 7)}
    if second:
        hidden["i_syn2_decay"] = _integer(0, 15)
    two = {"syn2_weights": MATRIX} if second else {}
    range_ = type("NeuronRange", (), {"__init__": lambda s, a, b: setattr(s, "ends", (a, b))})
    Neuron, Output = strict(part.neuron, **hidden), strict("OutputNeuron", **neuron)
    monitor = every(whole(0, 1023)) if part.monitors == "list" else optional(of(range_))
    debug = dict.fromkeys(part.clocks, SWITCH)
    for name in ("v_mem", "i_syn", "spike", *(["i_syn2"] if second else [])):
        empty: Callable[[], Any] = list if part.monitors == "list" else lambda: None
        debug[f"monitor_neuron_{name}"] = (monitor, empty)
    if part.monitors == "list":
        debug["ram_access_enable"] = SWITCH
    sections = {
        "input": strict("InputConfig", **layer, **two),
        part.hidden: strict(
            "HiddenConfig", **layer, **two, aliasing=SWITCH, neurons=(every(of(Neuron)), list)
        ),
        "readout": strict("ReadoutConfig", **layer, neurons=(every(of(Output)), list)),
        "debug": strict("DebugConfig", **debug),
    }
    root: dict[str, Any] = {"operation_mode": (of(str), lambda: "Manual"), "bias_enable": SWITCH}
    root |= {"synapse2_enable": SWITCH} if second else {}
    root |= {"clear_network_state": SWITCH} if part.hidden == "reservoir" else {}
    for name, value in part.running.items():
        root[name] = (of(str), lambda: "None") if isinstance(value, str) else SWITCH
    root |= {name: (of(kind), kind) for name, kind in sections.items()}
    module = _module(f"samna.{part.module}.configuration")
    vars(module).update(
        {part.neuron: Neuron, "OutputNeuron": Output, "NeuronRange": range_},
        XyloConfiguration=strict("XyloConfiguration", **root),
    )
    return module


def to_config(content: Any, part: SamnaChip) -> Any:
    """What a configuration object says, as nirbridge's own."""
    plain = content.plain()
    plain.pop("debug")
    for name in ("input", part.hidden, "readout"):
        section = plain[name]
        section["weights"] = np.array(section["weights"], np.int8)
        if "syn2_weights" in section:
            given = plain["synapse2_enable"]
            second = section["syn2_weights"] if given else np.zeros_like(section["weights"])
            section["syn2_weights"] = np.array(second, np.int8)
    return from_samna(json.loads(json.dumps({"value0": _encoded(plain)})), 1e-3)[0]


class Board:
    """A development kit with one chip: takes spikes, answers with events."""

    def __init__(self, part: SamnaChip, faults: set[str]):
        self.part, self.faults, self.said = part, faults, []  # type: ignore[var-annotated]
        self.content: Any = None
        self.readout: Any = None  # the class of that event
        self.now = -1 if part.time == "timestep" else 0
        self.events: list[Any] = []
        self.waiting: dict[int, dict[int, int]] = {}
        self.recorded: Any = None

    def switch(self, name: str) -> Callable[[bool], None]:
        return lambda value: self.said.append((name, value))

    # The board's and the model's methods are one object here.
    def get_model(self) -> Any:
        return self._only("get_model")

    def get_xylo_model(self) -> Any:
        return self._only("get_xylo_model")

    def _only(self, name: str) -> Any:
        if self.part.model != name:
            raise AttributeError(f"the board has no attribute {name!r}")
        return self

    def get_afe_model(self) -> Any:
        return SimpleNamespace(set_saer_interface_enable=self.switch("saer"))

    def enable_manual_input_acceleration(self, value: bool) -> None:
        self.said.append(("manual", value))

    def open_ram_access(self) -> None:
        self.said.append(("ram", True))

    def get_source_node(self) -> Any:
        return self

    def get_sink_node(self) -> Any:
        return self

    def apply_configuration(self, content: Any) -> None:
        assert content.operation_mode == "AcceleratedTime"
        self.content = content

    def get_events(self) -> list[Any]:
        found, self.events = self.events, []
        return found

    def write(self, events: list[Any]) -> None:
        kinds = [type(event).__name__ for event in events]
        for kind, event in zip(kinds, events, strict=True):
            if kind == "TriggerReadout":
                self.events.append(self._readout(self.now))
            elif kind == "Spike":
                slot = self.waiting.setdefault(getattr(event, self.part.time), {})
                slot[event.neuron_id] = slot.get(event.neuron_id, 0) + 1
            elif kind == "TriggerProcessing":
                self._process(event.target_timestep)
            else:
                assert kind == "WriteRegisterValue"
                assert event.address in (0x11, 0x12, 0x13, 0x14)
        if self.part.time == "timestamp" and "Spike" in kinds:
            self._process(max(self.waiting))  # the last one only ends the run

    def _process(self, until: int) -> None:
        """All steps before ``until``, each with a readout."""
        if "silent" in self.faults:
            return
        first = self.now + 1 if self.part.time == "timestep" else self.now
        config = to_config(self.content, self.part)
        counts = np.zeros((until - first, config.n_in), np.uint8)
        for at, spikes in self.waiting.items():
            for channel, count in spikes.items():
                if at < until:
                    counts[at - first, channel] += count
        self.waiting = {}
        self.recorded = simulate(config, counts, record=True)
        if "wrong" in self.faults and len(counts):
            self.recorded.output[-1, 0] ^= 1
        for step in range(first, until):
            if not ("loses" in self.faults and step == first):
                self.events.append(self._readout(step, step - first))
        self.now = until - 1 if self.part.time == "timestep" else until

    def _readout(self, step: int, row: int | None = None) -> Any:
        found = self.readout()
        setattr(found, self.part.time, step)
        if row is not None and self.part.time == "timestep":
            r = self.recorded
            found.output_spikes = r.output[row].tolist()
            found.output_v_mems = r.v_mem_out[row].tolist()
            found.hidden_spikes = r.spikes[row].tolist()
            found.neuron_v_mems = [*r.v_mem[row].tolist(), *r.v_mem_out[row].tolist()]
            found.neuron_i_syns = [*r.i_syn[row].tolist(), *r.i_syn_out[row].tolist()]
            found.neuron_i_syn2s = r.i_syn_2[row].tolist()
        return found


def _module(name: str) -> ModuleType:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    return module


class _Lenient(ModuleType):
    """Also gives classes of any other name: Rockpool names many when it is imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _AnyClass(name, (object,), {})


class _AnyClass(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _AnyClass(name, (object,), {})


def make(
    attached: tuple[str, ...] = (), faults: set[str] | None = None, lenient: bool = False
) -> dict[str, ModuleType]:
    """The modules of a stand-in with boards of the chips ``attached``.

    ``faults``: ``wrong`` (one spike differs), ``silent`` (no answer), ``loses`` (a step without
    an answer), ``refuses`` (its validator), ``old`` (a class without biases).
    """
    faults = faults or set()
    samna: Any = _module("samna")
    samna.__version__ = "stand-in"
    modules: dict[str, ModuleType] = {"samna": samna}
    boards = {}
    for part in SAMNA.values():
        module: Any = _module(f"samna.{part.module}")
        second = part.module != "xyloImu"
        configuration = _configuration(part, second)
        if "old" in faults:
            del configuration.OutputNeuron.fields["v_mem_bias"]
        events = {
            kind: type(
                kind, (), {"neuron_id": 0, "__init__": lambda s, **given: s.__dict__.update(given)}
            )
            for kind in ("Spike", "TriggerProcessing", "TriggerReadout", "Readout",
                         "WriteRegisterValue")
        }  # fmt: skip
        valid = (False, "too many neurons") if "refuses" in faults else (True, "")
        vars(module).update(
            configuration=configuration,
            event=SimpleNamespace(**events),
            OperationMode=SimpleNamespace(Manual="Manual", AcceleratedTime="AcceleratedTime"),
            InputSource=SimpleNamespace(SpikeEvents="SpikeEvents"),
            validate_configuration=lambda _, valid=valid: valid,
        )
        board = Board(part, faults)
        board.readout = events["Readout"]
        boards[part.board] = board
        if part.time == "timestamp":
            module.NeuronStateSinkNode = lambda board=board: SimpleNamespace(
                reset=lambda: None,
                set_configuration=lambda _: None,
                get_output_spike=lambda: board.recorded.output.T.tolist(),
            )
        setattr(samna, part.module, module)
        modules |= {module.__name__: module, configuration.__name__: configuration}
    here = [SimpleNamespace(device_type_name=SAMNA[name].board) for name in attached]
    here.append(SimpleNamespace(device_type_name="Speck2fDevKit"))
    samna.stand_in_boards = boards
    samna.device = SimpleNamespace(
        get_all_devices=lambda: here, open_device=lambda info: boards[info.device_type_name]
    )
    samna.graph = SimpleNamespace(
        sink_from=lambda board: board,
        source_to=lambda board: board,
        JitSink=lambda: "JitSink",
        EventFilterGraph=_Graph,
    )
    if lenient:
        for name in ("samna.afe2", "samna.afe2.configuration"):
            modules[name] = _module(name)
        for each in modules.values():
            each.__class__ = _Lenient
    return modules


class _Graph:
    def sequential(self, nodes: list[Any]) -> list[Any]:
        board, *others = nodes
        if len(others) == 1:
            return nodes
        kinds = {part.filter for part in SAMNA.values()}
        assert others[0] in kinds
        return [board, SimpleNamespace(set_desired_type=lambda _: None), board]

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


@contextmanager
def present(modules: dict[str, ModuleType]) -> Iterator[ModuleType]:
    """With these modules importable, and gone afterwards."""
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield modules["samna"]
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module

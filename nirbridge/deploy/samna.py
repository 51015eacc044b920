"""The vendor's library ``samna`` as a :class:`Device`.

Unverified: the library could not be run, and no silicon has confirmed any of this. What is called
here, and in which order, is what Rockpool's public sources (3.1.0) and the library's public
documentation say. The library's own validator is asked before anything is applied.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.diagnostics import refuse
from nirbridge.mapping.config import XyloConfig
from nirbridge.mapping.export_samna import SAMNA, SamnaChip, network, samna_chip
from nirbridge.optional import need

if TYPE_CHECKING:
    from nirbridge.deployment import Deployment

PAUSE = 0.01  # seconds between two looks into the library's buffers
INPUT_REGISTERS = (0x11, 0x12, 0x13, 0x14)  # of the chip that counts time in timestamps


def samna_config(deployment: Deployment | XyloConfig) -> Any:
    """The library's own configuration object, filled and accepted by its validator.

    Parameters
    ----------
    deployment
        A deployment, or its configuration.

    Returns
    -------
    samna.xyloCore2.configuration.XyloConfiguration, or that of the other chips
        With the network; operation mode and monitors are as the library makes them.

    Raises
    ------
    Refused
        NB903 without the library, NB6xx for what the chip cannot hold, NB706 if the library has
        no such class or field, or its validator refuses.

    """
    config = deployment if isinstance(deployment, XyloConfig) else deployment.config
    content, part = network(config), samna_chip(config.target)
    samna = need("samna")
    found = _made(samna, part, lambda: _filled(samna, part, content))
    module = getattr(samna, part.module)
    valid, message = module.validate_configuration(found)
    if not valid:
        limit, said = "a configuration that samna's validator accepts", str(message)[:200]
        raise refuse("NB706", node="samna", limit=limit, found=said)
    return found


def _made(samna: Any, part: SamnaChip, make: Callable[[], Any]) -> Any:
    """What ``make`` gives; a class, field or type that this release has not is refused."""
    try:
        return make()
    except (AttributeError, TypeError, ValueError) as error:
        limit = f"the fields of samna.{part.module} that Rockpool 3.1.0 fills"
        found = f"samna {getattr(samna, '__version__', '?')}: {error}".splitlines()[0][:200]
        remedy = "install another release of samna, and say which one you have"
        raise refuse("NB706", node="samna", limit=limit, found=found, remedy=remedy) from error


def _filled(samna: Any, part: SamnaChip, content: dict[str, Any]) -> Any:
    module = getattr(samna, part.module)
    classes = {
        part.hidden: getattr(module.configuration, part.neuron),
        "readout": module.configuration.OutputNeuron,
    }
    found = module.configuration.XyloConfiguration()
    second = content.get("synapse2_enable", False)
    for name, value in content.items():
        if not isinstance(value, dict):
            setattr(found, name, value)
            continue
        section = getattr(found, name)
        for field, entry in value.items():
            if field == "neurons":
                # assigned as a whole: the library gives copies of its lists
                section.neurons = [_neuron(classes[name], row) for row in entry]
            elif isinstance(entry, np.ndarray):
                if second or field != "syn2_weights":
                    setattr(section, field, entry.tolist())
            else:
                setattr(section, field, entry)
    for name, value in part.running.items():
        word = getattr(module.InputSource, value) if isinstance(value, str) else value
        setattr(found, name, word)
    used = {"bias_clock_enable": content["bias_enable"], "isyn2_clock_enable": second}
    for name in part.clocks:
        if hasattr(found.debug, name):
            setattr(found.debug, name, used.get(name, True))
    return found


def _neuron(kind: Any, row: dict[str, Any]) -> Any:
    found = kind()
    for name, value in row.items():
        if value is not None:  # unset is the library's own default
            setattr(found, name, value)
    return found


@dataclass
class _Session:
    """A chip with a configuration on it, and its buffers."""

    samna: Any
    part: SamnaChip
    config: XyloConfig
    source: Any
    events: Any
    monitor: Any
    graph: Any  # kept alive: without it no event comes

    @property
    def module(self) -> Any:
        return getattr(self.samna, self.part.module)


class SamnaDevice:
    """Development kits that the library finds; accelerated time, from states of 0.

    Parameters
    ----------
    timeout
        Seconds to wait for the answer to one raster.
    states
        Whether to read the neurons' states too, on the chips where that is supported here.

    """

    def __init__(self, timeout: float = 60.0, states: bool = False):
        self.timeout, self.states = timeout, states
        self._boards: dict[str, Any] = {}
        self._session: _Session | None = None

    def find(self) -> list[str]:
        """Names of the chips whose boards are attached; NB903 without the library."""
        samna = need("samna")
        types = [info.device_type_name for info in samna.device.get_all_devices()]
        return [name for name, part in SAMNA.items() if part.board in types]

    def apply(self, config: XyloConfig) -> None:
        """Open the board if it is not, and write the configuration to it."""
        samna, part = need("samna"), samna_chip(config.target)
        board = self._board(samna, config.target)
        for path, value in part.switches:
            *owners, method = path.split(".")
            place = board
            for owner in owners:
                place = getattr(place, owner)()
            getattr(place, method)(value)
        model = getattr(board, part.model)()
        content = samna_config(config)
        _made(samna, part, lambda: self._prepare(samna, part, config, content))
        model.apply_configuration(content)
        if self.states and part.monitors == "range":
            model.open_ram_access()
        if self._session is not None:
            self._session.graph.stop()
        graph, events, monitor = _buffers(samna, part, model, content)
        source = samna.graph.source_to(model.get_sink_node())
        self._session = _Session(samna, part, config, source, events, monitor, graph)

    def run(self, counts: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Send the spikes and collect what comes back; TimeoutError if it does not."""
        if self._session is None:
            raise RuntimeError("apply a configuration first")
        if self._session.part.time == "timestamp":
            return self._by_timestamp(self._session, counts)
        return self._by_timestep(self._session, counts)

    def _board(self, samna: Any, name: str) -> Any:
        if name not in self._boards:
            board = SAMNA[name].board
            infos = samna.device.get_all_devices()
            info = next((x for x in infos if x.device_type_name == board), None)
            if info is None:
                raise OSError(f"no {board} is attached any more")
            self._boards[name] = samna.device.open_device(info)
        return self._boards[name]

    def _prepare(self, samna: Any, part: SamnaChip, config: XyloConfig, content: Any) -> None:
        """Accelerated time, states of 0, and the neurons whose states are read."""
        module = getattr(samna, part.module)
        content.operation_mode = module.OperationMode.AcceleratedTime
        if hasattr(content, "clear_network_state"):
            content.clear_network_state = True
        if not (self.states and part.monitors):
            return
        hidden, all_ = config.n_hidden, config.n_hidden + config.n_out
        as_list = part.monitors == "list"
        # where neurons are listed, the outputs' membranes come without being asked for
        ends = {"spike": hidden, "v_mem": hidden if as_list else all_, "i_syn": all_}
        if getattr(content, "synapse2_enable", False):
            ends["i_syn2"] = hidden
        for name, end in ends.items():
            which = list(range(end)) if as_list else module.configuration.NeuronRange(0, end)
            setattr(content.debug, f"monitor_neuron_{name}", which)
        if as_list:
            content.debug.ram_access_enable = True

    def _now(self, session: _Session) -> int:
        """The chip's count of steps."""
        session.events.get_events()
        session.source.write([session.module.event.TriggerReadout()])
        kind = session.module.event.Readout
        seen = self._until(session, lambda events: any(isinstance(e, kind) for e in events))
        last = next(e for e in seen if isinstance(e, kind))
        return int(getattr(last, session.part.time))

    def _until(self, session: _Session, done: Callable[[list[Any]], bool]) -> list[Any]:
        """All events up to those that are waited for."""
        found: list[Any] = []
        deadline = time.monotonic() + self.timeout
        while not done(found):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer within {self.timeout:g} s, {len(found)} events")
            time.sleep(PAUSE)
            found += session.events.get_events()
        return found

    def _by_timestep(self, session: _Session, counts: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Chips whose readouts carry the states of one step each."""
        event, steps = session.module.event, len(counts)
        start = self._now(session) + 1  # a readout tells the step that was processed last
        sent = _spikes(event, counts, start, "timestep")
        sent.append(event.TriggerProcessing(target_timestep=start + steps))
        session.events.get_events()
        session.source.write(sent)
        seen = self._until(
            session, lambda events: any(e.timestep >= start + steps - 1 for e in _readouts(events))
        )
        by_step = {e.timestep - start: e for e in _readouts(seen)}
        missing = [t for t in range(steps) if t not in by_step]
        if missing:
            raise RuntimeError(f"no readout of step {missing[0]} ({len(missing)} missing)")
        return self._read(session, [by_step[t] for t in range(steps)])

    def _read(self, session: _Session, events: list[Any]) -> dict[str, NDArray[Any]]:
        """What readouts say, as arrays (T, n)."""
        n, n_out = session.config.n_hidden, session.config.n_out
        found = {"output": np.array([list(e.output_spikes)[:n_out] for e in events])}
        if not (self.states and session.part.monitors):
            return found
        v_mem = np.array([list(e.neuron_v_mems) for e in events])
        i_syn = np.array([list(e.neuron_i_syns) for e in events])
        found |= {
            "spikes": np.array([list(e.hidden_spikes)[:n] for e in events]),
            "v_mem": v_mem[:, :n],
            "i_syn": i_syn[:, :n],
            "i_syn_out": i_syn[:, n : n + n_out],
            "v_mem_out": np.array([list(e.output_v_mems)[:n_out] for e in events]),
        }
        if session.config.uses_second:
            found["i_syn_2"] = np.array([list(e.neuron_i_syn2s)[:n] for e in events])
        return found

    def _by_timestamp(self, session: _Session, counts: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The chip whose outputs come from a monitor of their own, neuron by neuron."""
        event, steps = session.module.event, len(counts)
        start = self._now(session)
        sent = _spikes(event, counts, start, "timestamp")
        end = event.Spike()  # one step later, so that the last one is processed too
        end.timestamp = start + steps
        sent.append(end)
        for address in INPUT_REGISTERS:  # which takes its effect away again
            clear = event.WriteRegisterValue()
            clear.address = address
            sent.append(clear)
        session.monitor.reset()
        session.events.get_events()
        session.source.write(sent)
        last = start + steps - 1
        self._until(
            session, lambda events: any(getattr(e, "timestamp", -1) >= last for e in events)
        )
        spikes = np.array(session.monitor.get_output_spike())
        return {"output": spikes.T[:steps] if spikes.ndim == 2 else spikes}


def _spikes(event: Any, counts: NDArray[Any], start: int, field: str) -> list[Any]:
    """One event per spike, in the order of time."""
    found = []
    for step, channel in np.argwhere(counts).tolist():
        for _ in range(int(counts[step, channel])):
            spike = event.Spike()
            spike.neuron_id = channel
            setattr(spike, field, start + step)
            found.append(spike)
    return found


def _readouts(events: list[Any]) -> list[Any]:
    return [e for e in events if hasattr(e, "output_spikes")]


def _buffers(samna: Any, part: SamnaChip, model: Any, content: Any) -> tuple[Any, Any, Any]:
    """The graph, the buffer of events, and the monitor of the chip that needs one."""
    graph = samna.graph.EventFilterGraph()
    node = model.get_source_node()
    if part.time == "timestamp":
        events = samna.graph.sink_from(node)
        monitor = getattr(samna, part.module).NeuronStateSinkNode()
        graph.sequential([node, monitor])
        monitor.set_configuration(content)
    else:
        _, wanted, events = graph.sequential([node, part.filter, samna.graph.JitSink()])
        wanted.set_desired_type(f"{part.module}::event::Readout")
        monitor = None
    graph.start()
    return graph, events, monitor

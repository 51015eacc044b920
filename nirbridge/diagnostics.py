"""The record for "no": every refusal names node, rule, limit, found value and remedy.

The codes below are the whole list. The first digit is the stage:
1 read, 2 verify, 3 time, 4 lower, 5 quantise, 6 fit to the chip,
7 configuration, 8 raster, files and usage,
9 frameworks and devices.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Rule:
    """What a code stands for: its stage, the rule that was broken, the usual way out."""

    stage: str
    rule: str
    remedy: str


RULES: dict[str, Rule] = {
    "NB101": Rule("read", "the file must exist and be readable", "check the path"),
    "NB102": Rule(
        "read",
        "a .nir file is an HDF5 file",
        "export the graph again with nir.write; a partial download must be repeated",
    ),
    "NB103": Rule(
        "read",
        "a .nir file holds one group 'node' of type NIRGraph and a 'version'",
        "write the graph with nir.write",
    ),
    "NB104": Rule(
        "read",
        "the file's NIR version must be one that is known",
        "write the graph with a released version of nir",
    ),
    "NB105": Rule(
        "read",
        "the arrays of a file must fit in memory",
        "a trained graph is far smaller; pass max_bytes to read() if it really is this large",
    ),
    "NB106": Rule(
        "read",
        "everything in a .nir file lies in the file itself",
        "write the graph again with nir.write, without soft, external or virtual links",
    ),
    "NB107": Rule(
        "read",
        "node types are the primitives of NIR",
        "replace the node by NIR primitives before exporting",
    ),
    "NB108": Rule(
        "read",
        "each node holds the fields of its NIR primitive, as numbers",
        "export the graph again with nir.write",
    ),
    "NB109": Rule(
        "read",
        "a .nir file is a tree of moderate depth and size",
        "write the graph again with nir.write, without links between its groups",
    ),
    "NB201": Rule(
        "verify",
        "parameters are finite numbers, and whole ones where they count",
        "look for NaN or inf in the trained model, and at strides, groups and shapes",
    ),
    "NB202": Rule(
        "verify",
        "time constants are greater than zero, delays not below it",
        "give tau and delays in seconds, tau greater than 0",
    ),
    "NB203": Rule(
        "verify",
        "a name stands for one node; an edge joins two, never into an Input or out of an Output",
        "correct the edge, rename the node or add it",
    ),
    "NB204": Rule(
        "verify",
        "what a node sends has the shape that the next one takes",
        "correct the weight's or the neuron's shape; shapes carry no batch and no time axis",
    ),
    "NB205": Rule(
        "verify",
        "every cycle passes a neuron",
        "put a neuron with a state into the loop, or remove one of its edges",
    ),
    "NB206": Rule(
        "verify",
        "a graph has an Input from which its Outputs can be reached",
        "add nir.Input and nir.Output nodes and connect them",
    ),
    "NB207": Rule(
        "verify",
        "a neuron's threshold lies above its reset",
        "correct v_threshold or v_reset; a threshold at or below the reset fires forever",
    ),
    "NB208": Rule(
        "verify",
        "nodes are NIR primitives, their metadata texts and numbers",
        "replace the node by NIR primitives, or the entry by a text",
    ),
    "NB209": Rule(
        "verify",
        "the parameters of one node fit together",
        "export again; give neurons one value each, as arrays of one shape",
    ),
    "NB301": Rule(
        "time",
        "the time step must be known",
        "say it: --dt SECONDS, or dt=... ; NIR itself does not record it",
    ),
    "NB302": Rule(
        "time",
        "the nodes must imply one and the same time step",
        "say it: --dt SECONDS, or dt=... ; the candidates per node are listed",
    ),
    "NB303": Rule(
        "time",
        "a time constant is not shorter than the Euler step",
        "choose a smaller dt, or scheme='exponential' if the network was trained that way; "
        "check the unit of tau (NIR: seconds)",
    ),
    "NB304": Rule(
        "time",
        "the dynamics record holds known words and numbers",
        "give such a value (--dt, --scheme, --reset, --spikes-per-step, dynamics=...), or correct "
        "the graph's record",
    ),
    "NB305": Rule(
        "time",
        "the ideal model has a closed form between two events",
        "step the graph instead: nirbridge.simulate_stepped",
    ),
    "NB306": Rule(
        "time",
        "the exact simulation comes to an end within its bounds",
        "lower the weights of what drives the network, pass higher bounds (max_spikes, "
        "max_events), or step the graph instead: nirbridge.simulate_stepped",
    ),
    "NB401": Rule(
        "lower",
        "every primitive has a form that a Xylo can compute",
        "replace the node, or follow the change log: the primitive may come later",
    ),
    "NB402": Rule(
        "lower",
        "each Output has a population of its own",
        "give every Output its own readout, or read one Output twice",
    ),
    "NB501": Rule(
        "quantise",
        "the method must be one that is known",
        "choose one of the methods listed",
    ),
    "NB502": Rule(
        "quantise",
        "the method calibrate needs a raster of typical input",
        "give one: --calibration FILE, calibration=...; or choose the method fit",
    ),
    "NB601": Rule("fit", "input channels must fit the chip", "merge or drop channels"),
    "NB602": Rule(
        "fit",
        "the hidden population must fit the chip",
        "train a smaller network, or choose a target that fits: nirbridge targets",
    ),
    "NB603": Rule(
        "fit",
        "output neurons must fit the chip",
        "train with fewer classes, or choose a target that fits: nirbridge targets",
    ),
    "NB604": Rule(
        "fit",
        "a hidden neuron reaches a limited number of hidden neurons",
        'remove the weights of the smallest effect: --prune fan-out, prune="fan-out"; or train '
        "with sparse ones",
    ),
    "NB605": Rule(
        "fit",
        "the recurrent connections fit the chip's memory",
        'remove the weights of the smallest effect: --prune fan-out, prune="fan-out"; or train '
        "with sparse ones",
    ),
    "NB606": Rule(
        "fit",
        "biases fit the chip's bias width",
        "train with smaller biases, or leave an input channel free to carry them",
    ),
    "NB607": Rule(
        "fit",
        "a synapse that carries weights has a decay shift of at least 1",
        "use dash_syn >= 1: with 0 the current is wiped before the membrane reads it",
    ),
    "NB608": Rule(
        "fit",
        "neurons have no more synapses than the chip gives them",
        "use one time constant per neuron, or a target with two synapses",
    ),
    "NB609": Rule(
        "fit",
        "hidden neurons that take input are the first ones, as many as the chip can reach",
        "let fewer neurons take input, or choose a target that reaches more: nirbridge targets",
    ),
    "NB610": Rule(
        "fit",
        "hidden neurons that drive outputs are the last ones, as many as the chip can reach",
        "let fewer neurons drive outputs, or choose a target that reaches more: nirbridge targets",
    ),
    "NB611": Rule(
        "fit",
        "the populations have an order in which input reaches the first and the last drive outputs",
        "use fewer neurons, or fewer that take input and drive outputs; split a population that "
        "does neither; or choose another target: nirbridge targets",
    ),
    "NB701": Rule("config", "a field has its declared shape", "give an array of that shape"),
    "NB702": Rule("config", "a field has its declared type", "convert explicitly with astype"),
    "NB703": Rule("config", "a value lies in the range of its number format", "scale it"),
    "NB704": Rule(
        "config", "a configuration file is one that nirbridge wrote", "convert the graph again"
    ),
    "NB705": Rule(
        "config",
        "a vendor's configuration holds the fields that are known, each once",
        "write it again with the vendor's tools, or complete it",
    ),
    "NB706": Rule(
        "config",
        "a format has room for the chip and its configuration",
        "choose another format: json holds every chip",
    ),
    "NB801": Rule(
        "raster",
        "a raster holds spike counts: integers >= 0 in an array (T, n_in) or (B, T, n_in)",
        "round and cast explicitly; floats are refused because 0.7 spikes have no meaning",
    ),
    "NB802": Rule(
        "raster", "a raster has one column per input channel", "give an array of that shape"
    ),
    "NB803": Rule(
        "raster",
        "a raster file is .npy, .npz (x, optional y), .csv (time in seconds, channel) or NIR's own "
        "data (.nir, .h5, .hdf5)",
        "save the raster in one of these forms",
    ),
    "NB804": Rule("raster", "there is one label per sample", "give labels of shape (B,)"),
    "NB805": Rule("files", "existing output is kept", "choose another place, or pass --force"),
    "NB807": Rule("files", "input is readable and output is writable", "check path and rights"),
    "NB808": Rule(
        "raster",
        "data on a time grid has the network's time step",
        "record it again with that step, or store event lists (nir.EventData), which are binned",
    ),
    "NB809": Rule(
        "raster",
        "a data file says which of its observables is the input",
        "name it: --node NODE or NODE/OBSERVABLE, node=...; or store one, at the node 'input'",
    ),
    "NB810": Rule(
        "usage",
        "a Dask cluster answers at its address",
        "start one: `dask scheduler` and, for each machine, `dask worker ADDRESS`",
    ),
    "NB811": Rule(
        "bench",
        "at least one simulator runs the graph",
        "install a simulator, or mend what the others say",
    ),
    "NB812": Rule(
        "files",
        "a checkpoint belongs to the training that it continues",
        "choose another file for the checkpoint, or remove the old one to start again",
    ),
    "NB901": Rule(
        "frameworks",
        "a layer of a framework has a form in NIR",
        "replace the layer before exporting",
    ),
    "NB902": Rule(
        "frameworks",
        "signals pass from layer to layer",
        "build the model of layers, without operations between them",
    ),
    "NB903": Rule("frameworks", "the library must be installed", "install it as the refusal says"),
    "NB904": Rule(
        "frameworks",
        "the framework can compute what the graph says",
        "choose another framework, or take the nearest with strict=False",
    ),
    "NB905": Rule(
        "frameworks",
        "an exported graph computes what the model computes, on random spikes",
        "look in the forward for what a trace does not show: choices by value, changes in place, "
        "hooks, subclassed layers, states that start elsewhere, loops that are no loop over time",
    ),
    "NB906": Rule(
        "device",
        "a device with the chip of the deployment is attached",
        "attach it and switch it on, or convert for the chip that is there",
    ),
    "NB907": Rule(
        "device",
        "the device takes the configuration and answers every step in time",
        "try again, with a longer --timeout; reset the board; check its firmware",
    ),
    "NB806": Rule("usage", "an option takes one of its known values", "choose one of those"),
}


@dataclass(frozen=True)
class Diagnostic:
    """One broken rule: where, what was allowed, what was found, what to do."""

    code: str
    node: str
    limit: str
    found: str
    remedy: str

    @property
    def rule(self) -> str:
        """The rule behind the code, in words."""
        return RULES[self.code].rule

    @property
    def stage(self) -> str:
        """The stage that refuses."""
        return RULES[self.code].stage

    def to_dict(self) -> dict[str, str]:
        """The record as plain strings, for JSON."""
        return {**asdict(self), "rule": self.rule, "stage": self.stage}

    def __str__(self) -> str:
        where = f"  node {visible(self.node)}" if self.node else ""
        lines = [f"{self.code}  {self.stage}{where}"]
        for name in ("rule", "limit", "found", "remedy"):
            lines.append(f"    {name:<7} {visible(getattr(self, name))}")
        return "\n".join(lines)


def visible(text: str) -> str:
    """A text on one line and without what a terminal would obey: names come from files."""
    parts = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(parts)


def diagnose(
    code: str, *, node: str = "", limit: str, found: object, remedy: str | None = None
) -> Diagnostic:
    """Make the diagnostic of ``code``; the rule's usual remedy stands unless one is given."""
    return Diagnostic(code, node, limit, str(found), remedy or RULES[code].remedy)


class Refused(ValueError):
    """Something was refused. ``diagnostics`` holds every reason of the stage that refused."""

    def __init__(self, diagnostics: Iterable[Diagnostic]):
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(d) for d in self.diagnostics))


def refuse(
    code: str, *, node: str = "", limit: str, found: object, remedy: str | None = None
) -> Refused:
    """A refusal with a single reason, to be raised."""
    return Refused([diagnose(code, node=node, limit=limit, found=found, remedy=remedy)])


def refuse_all(diagnostics: Iterable[Diagnostic]) -> None:
    """Raise :class:`Refused` if there is any diagnostic; otherwise do nothing."""
    found = tuple(diagnostics)
    if found:
        raise Refused(found)

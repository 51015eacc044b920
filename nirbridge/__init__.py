"""From a spiking network in NIR to a verified configuration of a Xylo chip."""

from nirbridge import deploy
from nirbridge.adapters import build, export
from nirbridge.bench import Bench, Input, bench
from nirbridge.configfiles import read_config
from nirbridge.deployment import Deployment, load
from nirbridge.diagnostics import Diagnostic, Refused
from nirbridge.dynamics import Dynamics
from nirbridge.finetuning import finetune
from nirbridge.graph import read, write
from nirbridge.imported import imported
from nirbridge.mapping import XyloConfig
from nirbridge.pipeline import convert
from nirbridge.simulate import Recording, simulate, simulate_continuous, simulate_stepped

__all__ = [
    "Bench",
    "Deployment",
    "Diagnostic",
    "Dynamics",
    "Input",
    "Recording",
    "Refused",
    "XyloConfig",
    "bench",
    "build",
    "convert",
    "deploy",
    "export",
    "finetune",
    "imported",
    "load",
    "read",
    "read_config",
    "simulate",
    "simulate_continuous",
    "simulate_stepped",
    "write",
]
__version__ = "0.1.0"

"""One graph and one input on every simulator: :func:`bench` starts them, each in a process."""

from __future__ import annotations

from nirbridge.bench.bench import bench
from nirbridge.bench.compare import Bench, Row
from nirbridge.bench.inputs import Input, random_inputs
from nirbridge.bench.job import Result
from nirbridge.bench.simulators import names

__all__ = ["Bench", "Input", "Result", "Row", "bench", "names", "random_inputs"]

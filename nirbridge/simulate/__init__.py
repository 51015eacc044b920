"""The chip bit for bit, the network it came from in steps, and the ideal in continuous time."""

from nirbridge.simulate.continuous import ContinuousRecording, simulate_continuous
from nirbridge.simulate.integer import simulate
from nirbridge.simulate.recording import Recording, State
from nirbridge.simulate.stepped import FloatRecording, simulate_stepped

__all__ = [
    "ContinuousRecording",
    "FloatRecording",
    "Recording",
    "State",
    "simulate",
    "simulate_continuous",
    "simulate_stepped",
]

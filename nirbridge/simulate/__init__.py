"""The chip bit for bit, and the network it came from in steps."""

from nirbridge.simulate.integer import simulate
from nirbridge.simulate.recording import Recording, State
from nirbridge.simulate.stepped import FloatRecording, simulate_stepped

__all__ = ["FloatRecording", "Recording", "State", "simulate", "simulate_stepped"]

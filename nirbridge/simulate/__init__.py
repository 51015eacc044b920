"""The chip bit for bit, and the network it came from in steps."""

from nirbridge.simulate.integer import simulate
from nirbridge.simulate.recording import Recording, State

__all__ = ["Recording", "State", "simulate"]

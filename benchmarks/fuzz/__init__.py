"""Mutated files against every reader; see ``benchmarks.fuzz.__main__``."""

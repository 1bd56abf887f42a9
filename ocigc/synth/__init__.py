"""Synthetic layouts: realistic, of a given size, and the same for the same seed."""

from ocigc.synth.generator import Spec, Summary, write

__all__ = ["Spec", "Summary", "write"]

"""Faults in the middle of a run: kills, errors of system calls, and writes that a power failure swallows."""

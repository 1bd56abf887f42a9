"""Mutants: small faults put into the program on purpose, each with the tests that have to notice it.

`make mutants` applies one at a time to a copy of the installed package and runs those tests against that copy.
"""

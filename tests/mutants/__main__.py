"""Applies each mutant to a copy of the installed package and runs its tests: `python -m tests.mutants [WORD…]`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.mutants.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]


def installed() -> Path:
    spec = find_spec("ocigc._native")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def is_killed(mutant: Mutant, package: Path) -> bool:
    """Whether a test fails with the mutant."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "ocigc"
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / mutant.file
        text = file.read_text()
        if text.count(mutant.old) != 1:
            sys.exit(f"{mutant.name}: {mutant.file} has the place {text.count(mutant.old)} times, not once")
        file.write_text(text.replace(mutant.old, mutant.new))
        tests = [test for test in mutant.tests if (ROOT / test.partition("::")[0]).exists()]
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "PYTHONPATH": directory}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            sys.exit(f"{mutant.name}: pytest could not run:\n{done.stdout}{done.stderr}")
        return done.returncode == 1


def main() -> None:
    package = installed()
    survived = []
    chosen = [each for each in MUTANTS if not sys.argv[1:] or any(word in each.name for word in sys.argv[1:])]
    for mutant in chosen:
        killed = is_killed(mutant, package)
        print(f"{'killed' if killed else 'SURVIVED'}: {mutant.name} ({mutant.file})", flush=True)
        survived += [] if killed else [mutant]
    print(f"{len(chosen) - len(survived)} of {len(chosen)} mutants killed")
    sys.exit(bool(survived))


main()

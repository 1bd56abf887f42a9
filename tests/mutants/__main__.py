"""Applies each mutant to a copy of the installed package and runs its tests: `python -m tests.mutants [WORD…]`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.mutants.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
_TIMEOUT = 1200  # seconds; the tests of a mutant take less by far
_SOURCES = ("native", "ocigc", "meson.build", "meson.options", "pyproject.toml", "README.md", "LICENSE")


def installed() -> Path:
    """The directory of the installed package."""
    spec = find_spec("ocigc._native")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


class Core:
    """A copy of the C sources, built anew for each mutant."""

    def __init__(self, directory: Path) -> None:
        self._sources, self._build = directory / "sources", directory / "build"
        self._sources.mkdir()
        for name in _SOURCES:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, self._sources / name)
        self._meson("setup", str(self._build), str(self._sources))

    def build(self, mutant: Mutant, package: Path) -> None:
        """Puts the extension with the fault into a copy of the package."""
        file = self._sources / mutant.file
        text = file.read_text()
        file.write_text(mutant.apply(text))
        try:
            self._meson("compile", "-C", str(self._build))
        finally:
            file.write_text(text)
        (extension,) = self._build.glob("native/bindings/_native*.so")
        shutil.copy2(extension, package)

    def _meson(self, *arguments: str) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            ["meson", *arguments], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            sys.exit(f"meson {arguments[0]}:\n{done.stdout[-3000:]}{done.stderr}")


def is_killed(mutant: Mutant, package: Path, core: Core | None) -> bool:
    """Whether a test fails with the mutant."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "ocigc"
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
        if core is not None and mutant.is_native:
            core.build(mutant, copy)
        else:
            file = copy / mutant.file
            file.write_text(mutant.apply(file.read_text()))
        tests = [test for test in mutant.tests if (ROOT / test.partition("::")[0]).exists()]
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "PYTHONPATH": directory}
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT
            )
        except subprocess.TimeoutExpired:
            return True  # it does not end
        if done.returncode not in (0, 1, 2):  # 2: the tests cannot even be loaded
            sys.exit(f"{mutant.name}: pytest could not run:\n{done.stdout}{done.stderr}")
        return done.returncode != 0


def heed_interrupts() -> None:
    """What is started in the background ignores SIGINT, and so would the tests of interrupts: they would fail, and seem
    to notice every mutant."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """Prints a line for each mutant; those whose names have one of the words that are given, or all."""
    heed_interrupts()
    package = installed()
    survived = []
    chosen = [each for each in MUTANTS if not sys.argv[1:] or any(word in each.name for word in sys.argv[1:])]
    with tempfile.TemporaryDirectory(prefix="ocigc-mutants-") as directory:
        core = Core(Path(directory)) if any(mutant.is_native for mutant in chosen) else None
        for mutant in chosen:
            killed = is_killed(mutant, package, core)
            print(f"{'killed' if killed else 'SURVIVED'}: {mutant.name} ({mutant.file})", flush=True)
            survived += [] if killed else [mutant]
    print(f"{len(chosen) - len(survived)} of {len(chosen)} mutants killed")
    sys.exit(bool(survived))


if __name__ == "__main__":
    main()

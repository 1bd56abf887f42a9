"""Which tests execute which lines of ocigc: `python -m tests.mutants.reach TEST…` runs the tests once and notes it in
`build/reach`. The commands that a test starts count as the test.

It is a plugin of pytest too: the one that switches from test to test.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REACH = ROOT / "build" / "reach"
_TRACED = Path(__file__).with_name("traced")


def _path(item: pytest.Item) -> Path:
    return REACH / hashlib.sha256(item.nodeid.encode()).hexdigest()[:16]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out what is noted."""
    items[:] = [item for item in items if not _path(item).with_suffix(".json").exists()]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Sets where the lines of this test go."""
    import sitecustomize  # type: ignore[import-not-found]

    path = _path(item)
    path.unlink(missing_ok=True)
    os.environ["OCIGC_REACH"] = str(path)
    sitecustomize.tracer.switch(str(path))
    begin = time.monotonic()
    yield
    path.with_suffix(".json").write_text(json.dumps([item.nodeid, time.monotonic() - begin]))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Notes a test that fails or is skipped."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if not report.passed:
        _path(item).with_suffix(".not").write_text(str(report.outcome))


class Reach:
    """The tests of each line, the quickest first."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._tests: dict[str, set[str]] = defaultdict(set)
        for path in REACH.glob("*.json"):
            test, seconds = json.loads(path.read_text())
            lines = path.with_suffix("")
            if path.with_suffix(".not").exists() or not lines.exists():
                continue
            self.seconds[test] = seconds
            for line in set(lines.read_text().splitlines()):
                self._tests[line].add(test)

    def tests(self, file: str, lines: range) -> list[str]:
        """The tests that execute one of these lines. A server that a fixture of a module starts works for all of its
        tests, though only one of them is seen to start it: so the faults count as one."""
        found = set().union(*(self._tests.get(f"{file}:{line}", ()) for line in lines))
        modules = {test.partition("::")[0] for test in found if test.startswith("tests/faults/")}
        found |= {test for test in self.seconds if test.partition("::")[0] in modules}
        return sorted(found, key=lambda test: (self.seconds[test], test))


def main(tests: Sequence[str]) -> None:
    """Runs the tests that are not noted yet."""
    REACH.mkdir(parents=True, exist_ok=True)
    start = f"import sys, pytest; sys.path.append({str(ROOT)!r}); sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-P", "-c", start, "-q", "-p", "no:cacheprovider", "-p", "tests.mutants.reach"]
    subprocess.run([*command, *tests], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(_TRACED)}, check=False)


if __name__ == "__main__":
    main(sys.argv[1:])

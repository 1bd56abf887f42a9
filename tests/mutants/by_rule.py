"""Tries the mutants that are made by rule with the tests that execute the line: `python -m tests.mutants.by_rule
[WORD…]`, after `python -m tests.mutants.reach TEST…`; those of the files whose names have one of the words.

What has come out is noted in `build/by-rule.jsonl`, and not tried again. A test that fails without any mutant too does
not count.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.mutants.__main__ import ROOT, heed_interrupts, installed
from tests.mutants.mutants import Mutant
from tests.mutants.reach import Reach
from tests.mutants.sample import mutants
from tests.mutants.warm import run_tests

NOTES = Path(os.environ.get("OCIGC_MUTANT_NOTES", ROOT / "build" / "by-rule.jsonl"))
_FIRST = 8  # tests that are tried before all others
_MOST = float(
    os.environ.get("OCIGC_MUTANT_SECONDS", "60")
)  # of tests for one mutant, as they took when they were noted


def statement(text: str, line: int) -> range:
    """The lines of the smallest statement that has the line; of a compound one, those of its head."""
    found = range(line, line + 1)
    least = sys.maxsize
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.stmt):
            continue
        body = getattr(node, "body", None)
        end = body[0].lineno if isinstance(body, list) and body else (node.end_lineno or node.lineno) + 1
        end = max(end, node.lineno + 1)
        if node.lineno <= line < end and end - node.lineno < least:
            least, found = end - node.lineno, range(node.lineno, end)
    return found


class Trials:
    """A copy of the package, and mutants that are put into it one after the other."""

    def __init__(self, directory: Path) -> None:
        self._reach = Reach()
        self._package, self._report = directory / "ocigc", directory / "report"
        shutil.copytree(installed(), self._package)
        self._unsound: dict[str, bool] = {}

    def attempt(self, mutant: Mutant) -> tuple[str, str]:
        """What becomes of it: killed, and by which test; or survived, or not reached, or not tried with all tests."""
        file = self._package / mutant.file
        text = file.read_text()
        line = int(mutant.name.split(":")[1])
        tests = self._reach.tests(mutant.file, statement(text, line))
        if not tests:
            return "not reached", ""
        file.write_text(mutant.apply(text))
        os.utime(file, (0, 0))
        try:
            for chosen in self._batches(mutant, tests):
                batch = [test for test in chosen if not self._unsound.get(test)]
                while batch and (killer := self._run(batch)) is not None:
                    mutated = file.read_text()
                    file.write_text(text)
                    os.utime(file, (1, 1))
                    if self._is_sound(killer):
                        return "killed", killer
                    file.write_text(mutated)
                    os.utime(file, (0, 0))
                    batch = [test for test in batch if test != killer]
        finally:
            file.write_text(text)
            os.utime(file, (1, 1))
        tried = sum(len(batch) for batch in self._batches(mutant, tests))
        return ("survived" if tried == len(tests) else "undecided"), f"{tried} of {len(tests)} tests"

    def _batches(self, mutant: Mutant, tests: Sequence[str]) -> Iterator[Sequence[str]]:
        """Those that are about the file first, and of those the quick ones."""
        seconds = self._reach.seconds
        ranks = {module: rank for rank, module in enumerate(mutant.tests)}

        def rank(test: str) -> tuple[int, float]:
            module = test.partition("::")[0]
            return min(ranks.get(each, len(ranks)) for each in (module, os.path.dirname(module))), seconds[test]

        chosen: list[str] = []
        spent = 0.0
        for test in sorted(tests, key=rank):
            if spent + seconds[test] <= _MOST:
                spent += seconds[test]
                chosen.append(test)
        for start, end in ((0, _FIRST), (_FIRST, 3 * _FIRST), (3 * _FIRST, len(chosen))):
            if chosen[start:end]:
                yield chosen[start:end]

    def _run(self, tests: Sequence[str]) -> str | None:
        """The test that fails, or that does not end."""
        seconds = 30 + 10 * sum(self._reach.seconds[test] for test in tests)
        code = run_tests(self._package, tests, seconds, self._report)
        if code == 0:
            return None
        failed = re.search(r"^(?:FAILED|ERROR) (tests/\S+?::.*?)(?: - .*)?$", self._report.read_text(), re.MULTILINE)
        return failed[1] if failed else f"none ended, code {code}"

    def _is_sound(self, test: str) -> bool:
        if test not in self._reach.seconds:
            return True
        if test not in self._unsound:
            self._unsound[test] = run_tests(self._package, [test], 120, self._report) != 0
        return not self._unsound[test]


def main() -> None:
    """Prints a line for each mutant."""
    heed_interrupts()
    words = sys.argv[1:]
    noted = {json.loads(line)[0] for line in NOTES.read_text().splitlines()} if NOTES.exists() else set()
    everything = [each for each in mutants() if not each.is_native]
    order = {word: number for number, word in enumerate(words)}
    chosen = [each for each in everything if not words or any(word in each.file for word in words)]
    chosen.sort(key=lambda each: min((order[word] for word in words if word in each.file), default=0))
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="ocigc-mutants-") as directory, NOTES.open("a") as notes:
        trials = Trials(Path(directory))
        for mutant in chosen:
            if mutant.name in noted:
                continue
            outcome, detail = trials.attempt(mutant)
            found[outcome] += 1
            print(f"{outcome}: {mutant.name} ({detail})", flush=True)
            print(json.dumps([mutant.name, outcome, detail]), file=notes, flush=True)
    print(dict(found))
    sys.exit(bool(found["survived"] + found["not reached"]))


if __name__ == "__main__":
    main()

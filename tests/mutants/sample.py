"""Mutants that are made by rule, not by hand: `python -m tests.mutants.sample COUNT [SEED [WORD…]]` tries so many of
them, of the files whose names have one of the words.

In Python, a condition is negated, a comparison takes in its boundary or leaves it out, `and` becomes `or`, a call whose
value nobody uses is left out, and two of those that follow one another change places. In C, a condition is negated, and
a call is left out.
"""

from __future__ import annotations

import ast
import random
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Lock

from tests.mutants.__main__ import ROOT, Core, heed_interrupts, installed, is_killed
from tests.mutants.mutants import Mutant

# The quick ones first: the first that fails ends it.
_RULES = (
    "tests/gc/test_retention.py",
    "tests/gc/test_filters.py",
    "tests/cli/test_stores_parts.py",
    "tests/cli/test_stores_referrers.py",
    "tests/cli/test_policy.py",
    "tests/gc",
    "tests/cli/test_rules.py",
)
_PRUNING = (
    "tests/pruning/test_writers.py",
    "tests/cli/test_trash.py",
    "tests/pruning/test_interrupts.py",
    "tests/cli/test_prune.py",
    "tests/faults/test_interleavings.py",
    "tests/faults/test_faults.py",
)
_TESTS: dict[str, Sequence[str]] = {
    "gc/candidates.py": _RULES,
    "gc/decide.py": _RULES,
    "gc/mark.py": _RULES,
    "gc/protection.py": _RULES,
    "gc/referrers.py": _RULES,
    "gc/retention.py": _RULES,
    "gc/newest.py": _RULES,
    "gc/filters.py": _RULES,
    "labels.py": ("tests/test_labels.py", *_RULES),
    "layout/lock.py": ("tests/cli/test_run.py", *_PRUNING),
    "pruning/restore_steps.py": ("tests/cli/test_trash.py", *_PRUNING),
    "pruning/real_run.py": _PRUNING,
    "pruning/commit.py": _PRUNING,
    "pruning/index_exchange.py": _PRUNING,
    "pruning/index_merge.py": _PRUNING,
    "pruning/execute.py": _PRUNING,
    "pruning/after_commit.py": _PRUNING,
    "pruning/journal.py": (*_PRUNING, "tests/hostile/test_prune.py"),
    "pruning/restore_plan.py": ("tests/cli/test_trash.py", *_PRUNING),
    "pruning/run_directory.py": (*_PRUNING, "tests/hostile/test_prune.py"),
    "pruning/preflight.py": ("tests/pruning/test_preflight.py", *_PRUNING),
    "pruning/put_back.py": ("tests/pruning/test_put_back.py", *_PRUNING),
    "pruning/recover.py": _PRUNING,
    "pruning/restore.py": ("tests/cli/test_trash.py", *_PRUNING),
    "pruning/roots.py": ("tests/pruning/test_roots.py", *_PRUNING),
    "pruning/saved_plan.py": ("tests/cli/test_apply.py", "tests/cli/test_apply_tree.py"),
    "pruning/tree_member.py": ("tests/layout/test_random_trees.py",),
    "pruning/trash.py": ("tests/cli/test_trash.py", *_PRUNING),
    "pruning/what_goes.py": ("tests/cli/test_apply.py", "tests/cli/test_apply_tree.py"),
    "native/store/sweep.c": ("tests/native/test_store_sweep.py", *_PRUNING),
    "native/store/sweep_labels.c": ("tests/native/test_store_sweep.py", *_PRUNING),
    "native/store/trash_way.c": ("tests/native/test_store_sweep.py", *_PRUNING),
}
_OTHER = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.In: "not in"}
_SIGN = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.In: "in"}


class _Text:
    """A source file, and where the nodes of its tree lie in it."""

    def __init__(self, file: str, path: Path) -> None:
        self.file, self.text = file, path.read_text()
        self._starts = [0]
        for line in self.text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line.encode()))
        self._bytes = self.text.encode()

    def span(self, node: ast.AST) -> tuple[int, int]:
        start = self._starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = self._starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        return start, end

    def code(self, start: int, end: int) -> str:
        return self._bytes[start:end].decode()

    def mutant(self, what: str, start: int, end: int, new: str) -> Mutant:
        """The change of a span. What is replaced is as many lines as it takes for it to be there once."""
        line = self._bytes.count(b"\n", 0, start) + 1
        before, after = self._bytes.rfind(b"\n", 0, start) + 1, self._bytes.find(b"\n", end) + 1
        while self.text.count(self.code(before, after)) > 1:
            before = self._bytes.rfind(b"\n", 0, max(before - 1, 0)) + 1
            after = self._bytes.find(b"\n", after) + 1 or len(self._bytes)
        old = self.code(before, after)
        changed = self.code(before, start) + new + self.code(end, after)
        return Mutant(f"{self.file}:{line}: {what}", self.file, old, changed, tuple(dict.fromkeys(_TESTS[self.file])))


def _python(text: _Text) -> Iterator[Mutant]:
    for node in ast.walk(ast.parse(text.text)):
        if isinstance(node, ast.If | ast.While | ast.IfExp) and not _is_static(node.test):
            start, end = text.span(node.test)
            yield text.mutant("negated", start, end, f"not ({text.code(start, end)})")
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _OTHER:
            start, end = text.span(node)
            left, right = text.span(node.left)[1], text.span(node.comparators[0])[0]
            sign, other = _SIGN[type(node.ops[0])], _OTHER[type(node.ops[0])]
            yield text.mutant(f"{sign} is {other}", left, right, text.code(left, right).replace(sign, other, 1))
        if isinstance(node, ast.BoolOp) and len(node.values) == 2:
            left, right = text.span(node.values[0])[1], text.span(node.values[1])[0]
            words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            yield text.mutant(f"{words[0]} is {words[1]}", left, right, text.code(left, right).replace(*words, 1))
        for body in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            if isinstance(body, list):
                yield from _statements(text, body)


def _is_static(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _statements(text: _Text, body: Sequence[ast.stmt]) -> Iterator[Mutant]:
    calls = [each for each in body if isinstance(each, ast.Expr) and isinstance(each.value, ast.Call)]
    for each in calls:
        start, end = text.span(each)
        yield text.mutant(f"without {text.code(start, end)[:50]}", start, end, "pass")
    for one, two in pairwise(body):
        if one in calls and two in calls:
            (start, middle), (other, end) = text.span(one), text.span(two)
            swapped = text.code(other, end) + text.code(middle, other) + text.code(start, middle)
            yield text.mutant("changes places with the next", start, end, swapped)


def _c(text: _Text) -> Iterator[Mutant]:
    for found in re.finditer(r"^( +)(?:\} else )?if \((.+)\)( \{)?$", text.text, re.MULTILINE):
        yield text.mutant("negated", found.start(2), found.end(2), f"!({found[2]})")
    for found in re.finditer(r"^ +([a-z_]+\(.*\));$", text.text, re.MULTILINE):
        if not found[1].startswith(("free(", "return")):
            yield text.mutant(f"without {found[1][:50]}", found.start(1), found.end(1), "(void)0")


def mutants() -> list[Mutant]:
    """All of them."""
    package = installed()
    found: list[Mutant] = []
    for file in _TESTS:
        text = _Text(file, ROOT / file if file.startswith("native/") else package / file)
        found += _c(text) if file.startswith("native/") else _python(text)
    return found


def main() -> None:
    """Prints a line for each mutant."""
    heed_interrupts()
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    everything = [each for each in mutants() if not sys.argv[3:] or any(word in each.file for word in sys.argv[3:])]
    chosen = random.Random(seed).sample(everything, min(count, len(everything)))
    lock = Lock()
    survived = []
    package = installed()
    with tempfile.TemporaryDirectory(prefix="ocigc-mutants-") as directory:
        core = Core(Path(directory)) if any(each.is_native for each in chosen) else None

        def attempt(mutant: Mutant) -> None:
            if mutant.is_native:
                with lock:
                    killed = is_killed(mutant, package, core)
            else:
                killed = is_killed(mutant, package, core)
            print(f"{'killed' if killed else 'SURVIVED'}: {mutant.name}", flush=True)
            survived.extend([] if killed else [mutant])

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(attempt, chosen))
    print(f"{len(chosen) - len(survived)} of {len(chosen)} killed, of {len(everything):,} that there are")
    sys.exit(bool(survived))


if __name__ == "__main__":
    main()

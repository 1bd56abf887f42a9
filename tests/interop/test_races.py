"""Programs that copy into a layout, one copy after the other, while prunes run there without a pause.

OCIGC_RACES=100 makes as many rounds.
"""

from __future__ import annotations

import os
import shlex
import sys
import threading
from pathlib import Path

import pytest

from tests.helpers.command import ocigc
from tests.interop.programs import PATH, PRUNE, blobs, call, needs, pruned
from tests.interop.writers import copying, image

ROUNDS = int(os.environ.get("OCIGC_RACES", "2"))
PROGRAMS = [pytest.param(name, marks=needs(name, "crane")) for name in ("oras", "regctl", "skopeo", "crane")]
UMOCI = pytest.param("umoci", marks=needs("umoci", "skopeo", "crane"))


@pytest.mark.parametrize("undone", [False, True], ids=["prunes", "prunes and restores"])
@pytest.mark.parametrize("program", [*PROGRAMS, UMOCI])
def test_what_is_in_use_is_whole_at_every_moment(
    program: str, undone: bool, crane_registry: str, tmp_path: Path, rootfs: Path
) -> None:
    repository, layout = f"{crane_registry}/{tmp_path.name}", tmp_path / "layout"
    for tag, layers in (("used", ("one",)), ("a", ("one", "two")), ("b", ("one", "three"))):
        image(repository, tag, rootfs, *layers)
    call(*copying("skopeo" if program == "umoci" else program, repository, "used", layout))
    expected = blobs(layout)
    options = ("--all", "--repository", "registry.example/app", "--in-use", "-")
    used = f"registry.example/app:used\n{repository}:used\n"
    ends = threading.Event()
    failures: list[object] = []
    runs = 0

    def prune() -> None:
        nonlocal runs
        while not ends.is_set():
            trash = ("--trash", "1h") if undone else ()
            results = [(ocigc("prune", "--force", *trash, *options, layout, stdin=used), {0, 3})]
            if undone:
                results.append((ocigc("restore", layout), {0, 2, 3}))
            runs += 1
            # What a copy writes at this moment may be torn: then a run stops, and nothing has changed.
            whole = blobs(layout).items() >= expected.items()
            failures.extend(result for result, codes in results if result.code not in codes or not whole)

    pruner = threading.Thread(target=prune)
    pruner.start()
    try:
        for number in range(ROUNDS):
            for tag in ("a", "b"):
                call(*_writing(program, repository, tag, layout, number))
    finally:
        ends.set()
        pruner.join()
    assert runs
    assert failures == []
    result = ocigc(*PRUNE, *options, layout, stdin=used)
    assert result.code == 0, result
    pruned(layout, *options, stdin=used)
    assert blobs(layout) == expected
    print(f"{2 * ROUNDS} copies by {program}, {runs} prunes{' and restores' if undone else ''}")


def _writing(program: str, repository: str, tag: str, layout: Path, number: int) -> tuple[str, ...]:
    if program != "umoci":
        return copying(program, repository, tag, layout)
    return "umoci", "config", "--image", f"{layout}:used", "--tag", tag, "--config.label", f"round={number}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_copies_that_ocigc_runs_are_whole_when_they_end(
    program: str, crane_registry: str, tmp_path: Path, rootfs: Path
) -> None:
    """They share layers with images that are pruned all the time."""
    repository, layout = f"{crane_registry}/{tmp_path.name}", tmp_path / "layout"
    for tag, layers in (("used", ("one",)), ("a", ("two", "three")), ("b", ("three", "two"))):
        image(repository, tag, rootfs, *layers)
    call(*copying(program, repository, "used", layout))
    options = ("--all", "--repository", "registry.example/app", "--in-use", "-")
    ends = threading.Event()

    def prune() -> None:
        while not ends.is_set():
            ocigc("prune", "--force", "--wait", "1m", *options, layout, stdin=f"x/app:1\n{repository}:used\n")

    pruner = threading.Thread(target=prune)
    pruner.start()
    try:
        for number in range(ROUNDS):
            for tag in ("a", "b"):
                copy = copying(program, repository, tag, layout)
                verify = (sys.executable, "-m", "ocigc", "verify", str(layout))
                both = f"{shlex.join(copy)} && {shlex.join(verify)}"
                result = ocigc("run", layout, "--", "sh", "-c", both, env={"PATH": PATH})
                assert result.code == 0, (number, result)
    finally:
        ends.set()
        pruner.join()

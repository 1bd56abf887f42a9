"""Programs that copy an image into the layout while a prune runs there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import snapshot
from tests.interop.gate import Gate
from tests.interop.programs import STARTING, blobs, call, entries, needs, pruned, sound, started
from tests.interop.writers import copying, image

REPOSITORY = "registry.example/app"


@dataclass(frozen=True)
class Copy:
    """A copy of `new` into a layout with `old` and `used` that stands still until it is told to go on."""

    layout: Path
    gate: Gate
    process: subprocess.Popen[str]
    used: str
    expected: dict[str, bytes]
    """What the same copy makes elsewhere."""

    def prune(self) -> dict[str, Any]:
        options = ("--all", "--repository", REPOSITORY, "--in-use", "-")
        result = ocigc("prune", "--force", "--format", "json", *options, self.layout, stdin=self.used)
        assert result.code == 0, result
        report: dict[str, Any] = result.json
        return report

    def ends(self) -> None:
        assert self.process.poll() is None
        self.gate.open()
        _, error = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, error


def tagged(layout: Path) -> dict[str, dict[str, Any]]:
    """The entries by their tags, of which crane gives whole references."""
    key = "org.opencontainers.image.ref.name"
    return {entry["annotations"][key].rpartition(":")[2]: entry for entry in entries(layout)}


@contextmanager
def copy_that_stands_still(
    program: str, registry: str, path: Path, files: Path, *layers: str, by: Sequence[str | Path] = ()
) -> Iterator[Copy]:
    repository = f"{registry}/{path.name}"
    layout, elsewhere = path / "layout", path / "elsewhere"
    for tag, parts in (("old", ("one",)), ("used", ("two",)), ("new", layers)):
        image(repository, tag, files, *parts)
        call(*copying(program, repository, tag, elsewhere if tag == "new" else layout))
    manifest = json.loads(call("crane", "manifest", f"{repository}:new"))
    with Gate(registry, manifest["layers"][-1]["digest"]) as gate:
        process = started(*by, *copying(program, f"{gate.address}/{path.name}", "new", layout))
        try:
            gate.wait()
            used = f"{REPOSITORY}:used\n{repository}:used\n"
            yield Copy(layout, gate, process, used, blobs(elsewhere))
        finally:
            process.kill()
            process.communicate()


PROGRAMS = [pytest.param(name, marks=needs(name, "crane")) for name in ("oras", "regctl", "skopeo", "crane")]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_copy_that_a_prune_comes_across_is_whole(
    program: str, crane_registry: str, tmp_path: Path, rootfs: Path
) -> None:
    with copy_that_stands_still(program, crane_registry, tmp_path, rootfs, "three") as copy:
        report = copy.prune()
        assert len(report["ImagesDeleted"]) == 1 + 3
        copy.ends()
    assert blobs(copy.layout).items() >= copy.expected.items()
    # Those that have read index.json at their beginning bring back what was removed, without its content.
    assert tagged(copy.layout).keys() == {"used", "new"} | ({"old"} if program in ("oras", "skopeo") else set())
    copy = replace(copy, used=f"{copy.used}{REPOSITORY}:new\n{copy.gate.address}/{tmp_path.name}:new\n")
    copy.prune()
    assert tagged(copy.layout).keys() == {"used", "new"}
    assert blobs(copy.layout).items() >= copy.expected.items()
    sound(copy.layout)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_lease_holds_what_a_copy_has_found(program: str, crane_registry: str, tmp_path: Path, rootfs: Path) -> None:
    with copy_that_stands_still(program, crane_registry, tmp_path, rootfs, "one", "three") as copy:
        assert ocigc("lease", "create", copy.layout, tagged(copy.layout)["old"]["digest"]).code == 0
        copy.prune()
        copy.ends()
    assert tagged(copy.layout).keys() >= {"used", "new"}
    assert blobs(copy.layout).items() >= copy.expected.items()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_prune_waits_for_a_copy_that_ocigc_runs(
    program: str, crane_registry: str, tmp_path: Path, rootfs: Path
) -> None:
    """The copy finds a layer of an image that the prune would remove."""
    run = (sys.executable, "-m", "ocigc", "run", tmp_path / "layout", "--")
    with copy_that_stands_still(program, crane_registry, tmp_path, rootfs, "one", "three", by=run) as copy:
        present = blobs(copy.layout)
        options = ("--force", "--all", "--repository", REPOSITORY, "--in-use", "-", copy.layout)
        refused(ocigc("prune", *options, stdin=copy.used), 3)
        assert blobs(copy.layout).items() >= present.items()
        copy.ends()
    assert tagged(copy.layout).keys() == {"used", "old", "new"}
    copy = replace(copy, used=f"{copy.used}{REPOSITORY}:new\n{copy.gate.address}/{tmp_path.name}:new\n")
    copy.prune()
    assert tagged(copy.layout).keys() == {"used", "new"}
    assert blobs(copy.layout).items() >= copy.expected.items()
    sound(copy.layout)


LEFT = {
    "oras": r"ingest/[0-9a-f]{64}_[0-9]+",
    "regctl": r"blobs/sha256/[0-9]+\.tmp",
    "skopeo": r"oci-put-blob[0-9]+",
    "crane": r"blobs/sha256/[0-9a-f]{64}[0-9]+",
}


def unfinished(layout: Path, program: str) -> list[str]:
    """The files that a program has begun."""
    return [path for path in snapshot(layout) if re.fullmatch(LEFT[program], path)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_copy_that_was_killed_leaves_a_file_and_can_be_made_again(
    program: str, crane_registry: str, tmp_path: Path, rootfs: Path
) -> None:
    with copy_that_stands_still(program, crane_registry, tmp_path, rootfs, "three") as copy:
        layout = copy.layout
        end = time.monotonic() + STARTING
        left: list[str] = []
        while not left or left != unfinished(layout, program):  # what is small comes to its end soon
            assert time.monotonic() < end
            left = unfinished(layout, program)
            time.sleep(1)
        copy.process.kill()
        copy.process.wait()
    before = snapshot(layout)
    assert ocigc("prune", "--force", layout).code == 0
    assert snapshot(layout) == before  # for all that anybody knows, a copy runs
    for path in left:
        os.utime(layout / path, (time.time() - 48 * 3600,) * 2)
    assert pruned(layout)["Leftovers"] == sorted(left)
    call(*copying(program, f"{crane_registry}/{tmp_path.name}", "new", layout))
    assert blobs(layout).items() >= copy.expected.items()
    sound(layout)

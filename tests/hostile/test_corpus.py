"""Every case of the corpus against every command: one clear line or a right answer, within bounds, and nothing lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command import Result, refused
from tests.helpers.layouts import Descriptor, LayoutWriter, snapshot
from tests.hostile.corpus import CASES, KEPT, Case, outside, sound

MEMORY = 1 << 30  # bytes of address space
SECONDS = 60

# Each command in a process of its own, but Python starts, and loads them all, only once.
RUN = f"""
import json, os, resource, sys
from ocigc.cli.commands import make_parser
from ocigc.cli.main import main
make_parser()
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
for number, command in enumerate(json.loads(sys.argv[1])):
    child = os.fork()
    if child == 0:
        for stream, name in (1, "out"), (2, "err"):
            os.dup2(os.open(f"{{sys.argv[2]}}/{{number}}.{{name}}", os.O_WRONLY | os.O_CREAT, 0o600), stream)
        os._exit(main(command))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def run(directory: Path, commands: list[list[str]]) -> list[Result]:
    """What commands answer, one after the other."""
    directory.mkdir()
    process = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(commands), str(directory)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
        cwd="/",
    )
    codes = map(int, process.stdout.split())
    return [
        Result(code, *((directory / f"{number}.{name}").read_bytes().decode() for name in ("out", "err")))
        for number, code in enumerate(codes)
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_store_stays_whole(case: Case, tmp_path: Path) -> None:
    if case.root and os.geteuid() != 0:
        pytest.skip("only root makes devices")
    layout = sound(tmp_path / "layout")
    kept = children(layout, layout.entries[0])
    case.damage(layout)
    finish_writing(layout)
    before, bait = snapshot(layout.path), snapshot(outside(layout))
    used = tmp_path / "used.json"
    kept_one = [{"Id": "c", "Image": "", "Config": {"Image": KEPT}}]
    # What is under an image that goes need not be understood, so where a prune has to be refused all images stay.
    all_of_them = [{"Id": "c", "Image": each, "Config": {"Image": each}} for each in images(layout)]
    used.write_text(json.dumps(kept_one + (all_of_them if case.code else [])))

    place = str(layout.path)
    prune = ["prune", "--all", "--grace", "0s", "--in-use", str(used), place]
    commands = [[name, place] for name in ("ls", "du", "check", "verify")]
    commands += [["trash", "ls", place], ["lease", "ls", place], ["report", place, "-o", "-"]]
    commands += [["tree", place, KEPT], ["why", place, KEPT], [*prune, "--dry-run"], [*prune, "--force"]]
    results = run(tmp_path / "results", commands)
    for command, result in zip(commands, results, strict=True):
        assert 0 <= result.code <= 3, command
        assert "Traceback" not in result.err, (command, result)
        assert all(c.isprintable() or c == "\n" for c in result.out + result.err), command
    for result in results[-2 if case.seen else -1 :]:
        assert result.code == case.code, result
        if case.code:
            refused(result, case.code, case.line)
    if case.code:
        assert snapshot(layout.path) == before
        used.write_text(json.dumps(kept_one))
        (result,) = run(tmp_path / "last", [[*prune, "--force"]])
        assert result.code in (0, case.code), result
        assert result.code == 0 or snapshot(layout.path) == before
    assert snapshot(outside(layout)) == bait
    assert kept <= layout.present()


def images(layout: LayoutWriter) -> list[str]:
    """Whatever names or digests the entries have."""
    digests = (entry["digest"] for entry in layout.entries if isinstance(entry.get("digest"), str))
    return [digest for digest in digests if re.fullmatch("sha256:[0-9a-f]{64}", digest)]


def finish_writing(layout: LayoutWriter) -> None:
    """What was written just now would be read again for a while."""
    for name in ("index.json", "oci-layout"):
        if (layout.path / name).exists():
            os.utime(layout.path / name, (0, 0))


def children(layout: LayoutWriter, image: Descriptor) -> set[str]:
    """What an image consists of."""
    manifest = json.loads(layout.blob_path(image).read_text())
    return {child["digest"] for child in (image, manifest["config"], *manifest["layers"])}


def test_every_case_has_a_name_and_a_reason() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.why for case in CASES)

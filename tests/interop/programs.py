"""Other people's programs, and what they leave behind."""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import ocigc
from tests.helpers.layouts import snapshot

PRUNE = ("prune", "--force", "--grace", "0s", "--format", "json")
STARTING = 60  # seconds
Buildah = Callable[..., str]

# Where tools/interop-tools.sh puts what it builds.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
PATH = os.environ.get("OCIGC_INTEROP_BIN", str(_CACHE / "ocigc-interop" / "bin")) + os.pathsep + os.environ["PATH"]


def attempt(
    *command: str | Path, stdin: str | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=cwd,
        env={**os.environ, "PATH": PATH},
    )


def call(*command: str | Path, stdin: str | None = None, cwd: Path | None = None) -> str:
    process = attempt(*command, stdin=stdin, cwd=cwd)
    assert process.returncode == 0, (command, process.stderr)
    return process.stdout


def needs(*programs: str) -> pytest.MarkDecorator:
    absent = [program for program in programs if shutil.which(program, path=PATH) is None]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)} (see tools/interop-tools.sh)")


def started(*command: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env={**os.environ, "PATH": PATH},
    )


@contextmanager
def daemon(log: Path, *command: str | Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=output, stderr=output, env={**os.environ, "PATH": PATH}
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def appears(log: Path, pattern: str) -> re.Match[str]:
    end = time.monotonic() + STARTING
    while time.monotonic() < end:
        if found := re.search(pattern, log.read_text()):
            return found
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def random_files(path: Path) -> Path:
    path.mkdir()
    for name in ("one", "two", "three"):
        (path / name).write_bytes(os.urandom(5000))
    return path


def entries(layout: Path) -> list[dict[str, Any]]:
    manifests: list[dict[str, Any]] = json.loads((layout / "index.json").read_text())["manifests"]
    return manifests


def blobs(layout: Path) -> dict[str, bytes]:
    """All blobs, and no files that have not become one."""
    return {path.name: path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir() if len(path.name) == 64}


def names(layout: Path) -> set[str | None]:
    return {entry.get("annotations", {}).get("org.opencontainers.image.ref.name") for entry in entries(layout)}


def sound(layout: Path, absent: Sequence[str] = ()) -> None:
    """All is there and whole, but for these digests of whole platforms."""
    result = ocigc("verify", "--format", "json", layout)
    assert result.code == 0, result
    assert set(result.json["Missing"]) <= set(absent)


def pruned(layout: Path, *options: str | Path, stdin: str | None = None, absent: Sequence[str] = ()) -> dict[str, Any]:
    """Prunes. What stays is as it was, what goes is what the report says, and a second run finds nothing."""
    before = blobs(layout)
    result = ocigc(*PRUNE, *options, layout, stdin=stdin)
    assert result.code == 0, result
    report: dict[str, Any] = result.json
    after = blobs(layout)
    assert after.items() <= before.items()
    deleted = [each["Deleted"] for each in report["ImagesDeleted"] if "Deleted" in each] + report["Orphans"]
    gone = sorted(f"sha256:{name}" for name in before.keys() - after.keys())
    # docker 29 names manifests and indexes only.
    assert sorted(deleted) == gone if "docker-29" not in options else set(deleted) <= set(gone)
    freed = sum(len(before[name]) for name in before.keys() - after.keys())
    assert report["SpaceReclaimed"] == freed if not report["Leftovers"] else report["SpaceReclaimed"] >= freed
    sound(layout, absent)
    finds_nothing(layout, *options, stdin=stdin)
    return report


def finds_nothing(layout: Path, *options: str | Path, stdin: str | None = None) -> None:
    before = snapshot(layout)
    result = ocigc(*PRUNE, *options, layout, stdin=stdin)
    assert result.code == 0, result
    assert (result.json["ImagesDeleted"], result.json["Orphans"], result.json["SpaceReclaimed"]) == ([], [], 0)
    assert snapshot(layout) == before


def same_tree(left: Path, right: Path) -> bool:
    comparison = filecmp.dircmp(left, right)
    if comparison.left_only or comparison.right_only or comparison.funny_files:
        return False
    _, mismatch, errors = filecmp.cmpfiles(left, right, comparison.common_files, shallow=False)
    return not mismatch and not errors and all(same_tree(left / d, right / d) for d in comparison.common_dirs)

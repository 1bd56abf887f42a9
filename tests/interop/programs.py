"""Other people's programs, and what they leave behind."""

from __future__ import annotations

import filecmp
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.command import ocigc

PRUNE = ("prune", "--force", "--grace", "0s", "--format", "json")
Buildah = Callable[..., str]


def call(*command: str | Path, cwd: Path | None = None) -> str:
    process = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=120, cwd=cwd
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def needs(*programs: str) -> pytest.MarkDecorator:
    absent = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)} (see tools/interop-tools.sh)")


def blobs(layout: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir()}


def names(layout: Path) -> set[str | None]:
    manifests = json.loads((layout / "index.json").read_text())["manifests"]
    return {entry.get("annotations", {}).get("org.opencontainers.image.ref.name") for entry in manifests}


def sound(layout: Path) -> None:
    result = ocigc("verify", "--format", "json", layout)
    assert result.code == 0, result
    assert result.json["Missing"] == []


def same_tree(left: Path, right: Path) -> bool:
    comparison = filecmp.dircmp(left, right)
    if comparison.left_only or comparison.right_only or comparison.funny_files:
        return False
    _, mismatch, errors = filecmp.cmpfiles(left, right, comparison.common_files, shallow=False)
    return not mismatch and not errors and all(same_tree(left / d, right / d) for d in comparison.common_dirs)

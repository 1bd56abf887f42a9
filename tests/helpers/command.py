"""Running the command as a user does: as a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.layouts import LayoutWriter


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def ocigc(*arguments: str | Path, stdin: str | None = None, env: dict[str, str] | None = None) -> Result:
    """Runs one command; whatever happens, there must be no traceback.

    With OCIGC_TWICE in the environment, a prune that has gone well is run once more, and must find nothing.
    """
    result = _run(arguments, stdin, env)
    again = "OCIGC_TWICE" in os.environ and arguments[:1] == ("prune",) and {"-f", "--force"} & set(arguments)
    again = again and "--metrics-file" not in arguments  # the metrics of a run that finds nothing take its place
    passing = any(re.fullmatch(r"[1-9]\d*m?s", str(argument)) for argument in arguments)  # a grace that ends meanwhile
    if again and result.code == 0 and not passing and not {"-n", "--dry-run", "-nf"} & set(arguments):
        second = _run((*arguments, "--format", "json"), stdin, env)
        assert second.code == 0, second
        found = {key: second.json[key] for key in ("ImagesDeleted", "Unleased", "Orphans", "SpaceReclaimed")}
        assert not any(found.values()), found
    return result


def _run(arguments: tuple[str | Path, ...], stdin: str | None, env: dict[str, str] | None) -> Result:
    process = subprocess.run(
        [sys.executable, "-m", "ocigc", *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
        env={**os.environ, **(env or {})},
    )
    assert "Traceback" not in process.stderr, process.stderr
    return Result(process.returncode, process.stdout, process.stderr)


NOBODY = 65534


def ocigc_as_nobody(*arguments: str | Path) -> Result:
    """Runs one command as a user to whom permissions mean something: as nobody, if this is root."""
    command = [sys.executable, "-m", "ocigc"]
    if os.geteuid() == 0:
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
        able = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False, cwd="/")
        if able.returncode != 0:
            pytest.skip(f"nobody cannot run Python here: {able.stderr}")
    process = subprocess.run(
        [*command, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    return Result(process.returncode, process.stdout, process.stderr)


def refused(result: Result, code: int, *words: str) -> None:
    """One clear line, the exit code, and these words in it."""
    assert result.code == code, result
    lines = result.err.splitlines()
    assert len(lines) == 1, result.err
    for word in words:
        assert word in lines[0]


def prune(layout: LayoutWriter, *arguments: str, used: str | None = None) -> list[str]:
    """Prunes twice, and gives what was untagged: the second time nothing is."""
    in_use = [] if used is None else ["--in-use", "-"]
    command = ("prune", "--force", "--grace", "0s", "--format", "json", *in_use, *arguments, layout.path)
    first, second = ocigc(*command, stdin=used), ocigc(*command, stdin=used)
    assert (first.code, second.code) == (0, 0), (first, second)
    assert (second.json["ImagesDeleted"], second.json["Orphans"]) == ([], [])
    return [item["Untagged"] for item in first.json["ImagesDeleted"] if "Untagged" in item]

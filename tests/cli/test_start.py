"""What a command loads: people wait for it at every start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.layouts import LayoutWriter

LOADED = """
import sys
from ocigc.cli.main import main
before = set(sys.modules)
sys.exit(main(sys.argv[1:]) or print(*sys.modules, file=sys.stderr))
"""
NEVER = {"asyncio", "email", "http", "importlib.metadata", "importlib.resources", "logging", "shutil", "socket"}


def loaded(*arguments: str | Path) -> set[str]:
    """The modules that a command has loaded when it is done."""
    command = [sys.executable, "-c", LOADED, *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd="/")
    return set(process.stderr.split())


@pytest.mark.parametrize("word", ["--version", "--help"])
def test_what_needs_no_layout_loads_next_to_nothing(word: str) -> None:
    modules = loaded(word)
    assert not modules & {"argparse", "dataclasses", "json", "re", "typing", "ocigc._native", *NEVER}


@pytest.mark.parametrize("command", [("prune", "-n"), ("ls",), ("check",), ("tree",), ("why",)])
def test_a_look_loads_only_what_it_takes(tmp_path: Path, command: tuple[str, ...]) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("one"), "app:1")
    modules = loaded(*command, layout.path, *(("app:1",) if command[0] in ("tree", "why") else ()))
    assert not modules & NEVER
    if command[0] == "prune":
        assert not modules & {
            *("dataclasses", "difflib", "hashlib", "inspect", "tomllib"),
            *("ocigc.gc.retention", "ocigc.pruning.real_run", "ocigc.pruning.run_directory"),
        }

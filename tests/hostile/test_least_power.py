"""Landlock: once the layout is open, nothing outside of it can be changed."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.layouts import LayoutWriter

TRY = """
import os, sys
from ocigc.native import confine
from ocigc.layout.opening import open_layout
also = [os.open(path, os.O_RDONLY) for path in os.environ.get("ALSO", "").split()]
layout = open_layout(sys.argv[1], writable=sys.argv[2] == "yes", also=also)
for path in sys.argv[3:]:
    try:
        open(path, "w").close()
        print("written")
    except PermissionError:
        print("denied")
try:
    os.execv("/bin/true", ["true"])
except PermissionError:
    print("denied")
"""


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def attempts(layout: LayoutWriter, writable: str, *paths: Path, also: Path | None = None) -> list[str]:
    process = subprocess.run(
        [sys.executable, "-c", TRY, str(layout.path), writable, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={**os.environ, **({} if also is None else {"ALSO": str(also)})},
    )
    return process.stdout.split()


def landlocked() -> bool:
    code = "from ocigc.native import confine; print(confine())"
    return (
        "True"
        in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout
    )


@pytest.mark.skipif(not landlocked(), reason="this kernel has no Landlock, or not enough of it")
def test_nothing_outside_of_the_layout_can_be_changed(layout: LayoutWriter, tmp_path: Path) -> None:
    inside, outside = layout.path / "inside", tmp_path / "outside"
    outside.write_text("precious")
    assert attempts(layout, "yes", inside, outside, tmp_path / "new") == ["written", "denied", "denied", "denied"]
    assert attempts(layout, "no", inside, outside) == ["denied", "denied", "denied"]
    assert outside.read_text() == "precious"


MORE = """
import ctypes, os, socket, sys
from ocigc.native import confine
server = socket.create_server(("127.0.0.1", 0))
confine(network=sys.argv[2] == "yes")

def attempt(call, *arguments):
    try:
        call(*arguments)
        print("done")
    except PermissionError:
        print("denied")

attempt(os.truncate, sys.argv[1], 0)
attempt(socket.create_connection, server.getsockname())
attempt(os.kill, os.getppid(), 0)
"""


def version() -> int:
    return ctypes.CDLL(None).syscall(444, None, 0, 1)  # landlock_create_ruleset


@pytest.mark.skipif(version() < 6, reason="this kernel's Landlock knows no scopes")
@pytest.mark.parametrize(("network", "connection"), [("no", "denied"), ("yes", "done")])
def test_what_later_kernels_can_take_away_is_given_up_too(tmp_path: Path, network: str, connection: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    command = [sys.executable, "-c", MORE, precious, network]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.split() == ["denied", connection, "denied"]
    assert precious.read_text() == "precious"


@pytest.mark.skipif(not landlocked(), reason="this kernel has no Landlock, or not enough of it")
def test_a_further_directory_can_be_changed_and_nothing_beside_it(layout: LayoutWriter, tmp_path: Path) -> None:
    also = tmp_path / "also"
    also.mkdir()
    paths = [also / "new", layout.path / "inside", tmp_path / "new"]
    assert attempts(layout, "no", *paths, also=also) == ["written", "denied", "denied", "denied"]
    assert attempts(layout, "yes", *paths, also=also) == ["written", "written", "denied", "denied"]

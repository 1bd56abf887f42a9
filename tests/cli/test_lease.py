"""`ocigc lease`: what it holds."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter


@pytest.mark.parametrize("resource", ["docker.io/library/alpine:3", "alpine:3", None])
def test_an_image_is_held_by_its_name_or_digest(resource: str | None, tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    image = layout.image("alpine")
    # alpine:3 has the form of a digest, of an algorithm that nobody knows.
    layout.tag(image, "docker.io/library/alpine:3")
    assert ocigc("lease", "create", layout.path, resource or image["digest"]).code == 0
    result = ocigc("prune", "--all", "--force", "--grace", "0s", "--allow-empty", layout.path)
    assert result.code == 0
    assert layout.has(image)


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(path.parent):
        made.bind(path.name)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, socket_at])
def test_a_lease_that_is_not_a_file_stops_a_prune(make: Callable[[Path], None], tmp_path: Path) -> None:
    """Nobody knows what it keeps."""
    layout = LayoutWriter(tmp_path / "layout")
    orphan = layout.blob("orphan")
    (layout.path / "leases").mkdir()
    make(layout.path / "leases" / "x.json")
    done = ocigc("prune", "--force", "--grace", "0s", "--allow-empty", layout.path)
    refused(done, 3, "leases/x.json: not a plain file; remove it or put the file in its place")
    assert layout.has(orphan)


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    refused(ocigc("lease", "create", LayoutWriter(tmp_path / "layout").path, "alpine:3"), 2, "no image 'alpine:3'")

"""`ocigc verify --deep`."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from tests.helpers.command import ocigc
from tests.helpers.layouts import CONFIG, Descriptor, LayoutWriter

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONTENT = b"content of a layer " * 1000
MEASURED = """
import sys
from ocigc.cli.main import main
code = main(sys.argv[1:])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM:")))
sys.exit(code)
"""


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def diff_id(content: bytes = CONTENT) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image(layout: LayoutWriter, layers: list[Descriptor], diff_ids: list[str]) -> Descriptor:
    config = layout.json({"rootfs": {"type": "layers", "diff_ids": diff_ids}, "architecture": "x", "os": "y"}, CONFIG)
    found = layout.manifest(config, layers)
    layout.tag(found, f"image:{len(layout.entries)}")
    return found


def deep(layout: LayoutWriter, code: int = 0) -> Any:
    result = ocigc("verify", "--deep", "--sparse", "--format", "json", layout.path)
    assert result.code == code, result.out + result.err
    assert result.json["Corrupt"] == []
    return result.json["Deep"]


GZIP = gzip.compress(CONTENT, mtime=0)
SOUND = [
    (GZIP, LAYER + "+gzip"),
    (gzip.compress(CONTENT[:7], mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(CONTENT[7:]), LAYER + "+gzip"),
    (GZIP, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    (GZIP, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
    (GZIP, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
    (zstd.compress(CONTENT), LAYER + "+zstd"),
    (CONTENT, LAYER),
]


@pytest.mark.parametrize(("blob", "media_type"), SOUND)
def test_a_sound_layer_is_not_a_finding(layout: LayoutWriter, blob: bytes, media_type: str) -> None:
    image(layout, [layout.blob(blob, media_type)], [diff_id()])
    assert deep(layout) == {"Checked": 1, "Mismatched": [], "Undecodable": [], "Unsupported": []}


@pytest.mark.parametrize(
    ("blob", "media_type"),
    [
        (GZIP[:-1], LAYER + "+gzip"),
        (GZIP[:-500], LAYER + "+gzip"),
        (b"", LAYER + "+gzip"),
        (GZIP + b"garbage", LAYER + "+gzip"),
        (GZIP[:-8] + b"\0" * 8, LAYER + "+gzip"),
        (CONTENT, LAYER + "+gzip"),
        (zstd.compress(CONTENT)[:-3], LAYER + "+zstd"),
        (CONTENT, LAYER + "+zstd"),
    ],
)
def test_what_does_not_unpack(layout: LayoutWriter, blob: bytes, media_type: str) -> None:
    layer = layout.blob(blob, media_type)
    image(layout, [layer], [diff_id()])
    assert deep(layout, 1)["Undecodable"] == [layer["digest"]]
    assert f"layer: {layer['digest']}: " in ocigc("verify", "--deep", layout.path).out


def test_what_unpacks_to_something_else(layout: LayoutWriter) -> None:
    layer = layout.blob(GZIP, LAYER + "+gzip")
    image(layout, [layer], [diff_id()])
    image(layout, [layer], [diff_id(b"something else")])
    uneven = image(layout, [layer], [diff_id(), diff_id()])
    assert deep(layout, 1)["Mismatched"] == sorted([layer["digest"], uneven["digest"]])


def test_what_nobody_can_look_into(layout: LayoutWriter) -> None:
    encrypted = layout.blob(b"?", LAYER + "+gzip+encrypted")
    other = layout.blob(b"??", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
    image(layout, [encrypted, other], [diff_id(), diff_id()])
    absent = layout.blob(b"absent", LAYER)
    image(layout, [absent], [diff_id()])
    layout.blob_path(absent).unlink()
    found = deep(layout)
    assert found["Unsupported"] == sorted([encrypted["digest"], other["digest"]])
    assert found["Checked"] == 0


def test_a_bomb_takes_no_memory(layout: LayoutWriter) -> None:
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=9) as file:
        for _ in range(512):
            file.write(bytes(1 << 20))
    hasher = hashlib.sha256()
    for _ in range(512):
        hasher.update(bytes(1 << 20))
    image(layout, [layout.blob(bomb.getvalue(), LAYER + "+gzip")], [f"sha256:{hasher.hexdigest()}"])
    # What wait4 and getrusage tell counts the process that has started it too.
    command = [sys.executable, "-c", MEASURED, "verify", "--deep", "--sparse", layout.path]
    done = subprocess.run(command, cwd="/", check=True, capture_output=True, text=True)
    assert int(done.stdout.split()[-2]) < 300 << 10

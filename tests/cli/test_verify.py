"""`ocigc verify` on sound and unsound layouts."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from blake3 import blake3

from tests.helpers.command import ocigc
from tests.helpers.layouts import MANIFEST, LayoutWriter, snapshot


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    for number in range(4):
        writer.tag(writer.image(f"image {number}", ["base", "x" * (70_000 * number)]), f"app:{number}")
    return writer


def test_a_sound_layout(layout: LayoutWriter) -> None:
    before = snapshot(layout.path)
    result = ocigc("verify", "--format", "json", layout.path)
    blobs = list((layout.path / "blobs").glob("*/*"))
    assert result.code == 0, result
    answer = result.json
    assert answer.pop("Seconds") > 0
    assert answer == {
        "Checked": len(blobs),
        "Bytes": sum(path.stat().st_size for path in blobs),
        "Corrupt": [],
        "WrongSize": [],
        "Missing": [],
        "Unsupported": [],
        "Incomplete": [],
        "Affected": [],
        "Sound": True,
        "Errors": [],
    }
    assert "sound" in ocigc("verify", layout.path).out
    assert snapshot(layout.path) == before
    assert not (layout.path / ".ocigc").exists()


@pytest.mark.parametrize("kernel", ["portable", "shani", "shani-x4", "avx512"])
def test_every_kernel_finds_the_flipped_bit(layout: LayoutWriter, kernel: str) -> None:
    layer = layout.blob(os.urandom(1 << 20))
    content = bytearray(layout.blob_path(layer).read_bytes())
    content[777_777] ^= 1
    layout.blob_path(layer).write_bytes(content)
    result = ocigc("verify", "--format", "json", layout.path, env={"OCIGC_SHA256": kernel})
    assert result.code == 1, result
    assert result.json["Corrupt"] == [layer["digest"]]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "blake3"])
@pytest.mark.parametrize("position", [0, -1])
def test_all_of_a_digest_counts(layout: LayoutWriter, algorithm: str, position: int) -> None:
    content = b"the name is wrong by one digit"
    name = blake3(content).hexdigest() if algorithm == "blake3" else hashlib.new(algorithm, content).hexdigest()
    digits = list(name)
    digits[position] = "0" if digits[position] != "0" else "1"
    directory = layout.path / "blobs" / algorithm
    directory.mkdir(exist_ok=True)
    (directory / "".join(digits)).write_bytes(content)
    result = ocigc("verify", "--format", "json", layout.path)
    assert (result.code, result.json["Corrupt"]) == (1, [f"{algorithm}:{''.join(digits)}"])


def test_truncated_and_empty_blobs(layout: LayoutWriter) -> None:
    one, two = layout.blob("to be cut short"), layout.blob("to be emptied")
    layout.blob_path(one).write_bytes(b"to be cut")
    layout.blob_path(two).write_bytes(b"")
    result = ocigc("verify", "--format", "json", layout.path)
    assert result.code == 1
    assert result.json["Corrupt"] == sorted([one["digest"], two["digest"]])


def test_a_corrupt_manifest_is_reported_once(layout: LayoutWriter) -> None:
    target = layout.entries[0]
    layout.blob_path(target).write_bytes(b"{" + layout.blob_path(target).read_bytes()[1:-1] + b" ")
    result = ocigc("verify", "--format", "json", layout.path)
    assert result.code == 1
    assert result.json["Corrupt"] == [target["digest"]]
    assert result.json["Errors"] == []


def test_a_malformed_manifest_whose_digest_is_right(layout: LayoutWriter) -> None:
    broken = layout.blob('{"layers": 1}', MANIFEST)
    layout.tag(broken, "app:broken")
    result = ocigc("verify", "--format", "json", layout.path)
    assert result.code == 1
    assert result.json["Corrupt"] == []
    assert len(result.json["Errors"]) == 1
    assert broken["digest"] in result.json["Errors"][0]


def test_sizes_that_descriptors_get_wrong(layout: LayoutWriter) -> None:
    layer = layout.blob("layer")
    layout.tag(layout.manifest(layout.config("c"), [{**layer, "size": 4}]), "app:wrong")
    target = layout.image("target")
    layout.tag({**target, "size": target["size"] + 1}, "app:index-wrong")
    result = ocigc("verify", "--format", "json", layout.path)
    assert result.code == 1
    assert result.json["WrongSize"] == sorted([layer["digest"], target["digest"]])
    assert result.json["Corrupt"] == []


def test_missing_blobs_are_listed_and_their_images_incomplete(layout: LayoutWriter) -> None:
    layer = layout.blob("gone")
    layout.tag(layout.manifest(layout.config("c"), [layer]), "app:sparse")
    absent = layout.image("absent")
    layout.tag(absent, "app:absent")
    layout.blob_path(layer).unlink()
    layout.blob_path(absent).unlink()
    result = ocigc("verify", "--format", "json", layout.path)
    assert result.code == 1
    assert result.json["Missing"] == sorted([layer["digest"], absent["digest"]])
    assert [(each["Name"], each["Missing"]) for each in result.json["Incomplete"]] == [
        ("app:absent", [absent["digest"]]),
        ("app:sparse", [layer["digest"]]),
    ]
    assert {each["Digest"]: each["Images"] for each in result.json["Affected"]} == {
        layer["digest"]: ["app:sparse"],
        absent["digest"]: ["app:absent"],
    }
    assert not result.json["Sound"]
    text = ocigc("verify", layout.path).out
    assert "incomplete: app:sparse linux/amd64: 4 B missing: sha256:" in text
    assert "NOT SOUND" in text
    sparse = ocigc("verify", "--sparse", "--format", "json", layout.path)
    assert (sparse.code, sparse.json["Sound"], sparse.json["Incomplete"]) == (0, True, [])
    tree = ocigc("verify", "--recursive", "--format", "json", layout.path.parent)
    assert tree.code == 1
    assert {each["Layout"] for each in tree.json["Incomplete"]} == {"layout"}


def test_sha512_and_blake3(layout: LayoutWriter) -> None:
    good = layout.blob("good", algorithm="sha512")
    bad = layout.blob("bad", algorithm="sha512")
    layout.blob_path(bad).write_text("BAD")
    (layout.path / "blobs" / "blake3").mkdir()
    encoded = blake3(b"content").hexdigest()
    (layout.path / "blobs" / "blake3" / encoded).write_bytes(b"content")
    (layout.path / "blobs" / "blake3" / ("0" * 64)).write_bytes(b"content")
    result = ocigc("verify", "--format", "json", layout.path)
    assert result.code == 1
    assert result.json["Corrupt"] == sorted([bad["digest"], "blake3:" + "0" * 64])
    assert good["digest"] not in result.json["Unsupported"]


def test_unregistered_algorithms_are_unsupported_not_wrong(layout: LayoutWriter) -> None:
    (layout.path / "blobs" / "md5").mkdir()
    encoded = hashlib.md5(b"x").hexdigest()
    (layout.path / "blobs" / "md5" / encoded).write_bytes(b"x")
    result = ocigc("verify", "--format", "json", layout.path)
    assert result.code == 0
    assert result.json["Unsupported"] == [f"md5:{encoded}"]


def test_a_fifo_among_the_blobs(layout: LayoutWriter) -> None:
    os.mkfifo(layout.path / "blobs" / "sha256" / ("f" * 64))
    result = ocigc("verify", "--format", "json", layout.path)
    assert result.code == 3
    assert "fifo" in result.json["Errors"][0]


def test_jobs_must_be_positive(layout: LayoutWriter) -> None:
    assert ocigc("verify", "--jobs", "1", layout.path).code == 0
    assert ocigc("verify", "--jobs", "0", layout.path).code == 2


def test_only_what_is_reachable(layout: LayoutWriter) -> None:
    orphan, leased = layout.blob("orphan"), layout.blob("leased")
    layout.lease("copy", [leased], flat="true")
    everything = ocigc("verify", "--format", "json", layout.path).json["Checked"]
    layout.blob_path(orphan).write_bytes(b"rotten")
    assert ocigc("verify", layout.path).code == 1
    result = ocigc("verify", "--reachable", "--format", "json", layout.path)
    assert (result.code, result.json["Checked"]) == (0, everything - 1)
    layout.blob_path(leased).write_bytes(b"rotten")
    result = ocigc("verify", "--reachable", "--format", "json", layout.path)
    assert (result.code, result.json["Corrupt"]) == (1, [leased["digest"]])


def wait_until_it_hashes(process: subprocess.Popen[str], layout: Path) -> None:
    """Until it has mapped a blob, or read some."""
    maps, counters = Path(f"/proc/{process.pid}/maps"), Path(f"/proc/{process.pid}/io")
    while str(layout) not in maps.read_text() and int(counters.read_text().split()[1]) < 64 << 20:
        assert process.poll() is None
        time.sleep(0.05)


def test_an_interrupt_leaves_a_report(layout: LayoutWriter) -> None:
    """Sparse blobs that take minutes, and one that is done at once."""
    rotten = layout.blob("rotten")
    layout.blob_path(rotten).write_bytes(b"ROTTEN")
    for number in range(64):
        with (layout.path / "blobs" / "sha256" / f"{number:064x}").open("wb") as file:
            file.truncate(4 << 30)
    arguments = [sys.executable, "-m", "ocigc", "verify", "--format", "json", str(layout.path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/") as process:
        wait_until_it_hashes(process, layout.path)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert json.loads(out)["Interrupted"] is True


def test_a_blob_that_is_touched_while_it_is_read_is_not_called_corrupt(layout: LayoutWriter) -> None:
    blob = layout.path / "blobs/sha256" / f"{1:064x}"
    with blob.open("wb") as file:
        file.truncate(2 << 30)
    arguments = [sys.executable, "-m", "ocigc", "verify", "--format", "json", str(layout.path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/") as process:
        wait_until_it_hashes(process, layout.path)
        os.utime(blob)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 3, err  # it is not verified
    report = json.loads(out)
    assert report["Corrupt"] == []
    assert "changed while it was read" in json.dumps(report)


def test_a_run_is_in_the_history_of_a_layout_that_has_one(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("a", ["layer"]), "app:1")
    assert ocigc("verify", layout.path).code == 0
    assert not (layout.path / ".ocigc").exists()  # nothing is made in what others own
    (layout.path / ".ocigc").mkdir()
    blob = layout.blob("will rot")
    assert ocigc("verify", layout.path).code == 0
    layout.blob_path(blob).write_bytes(b"has rot.")
    assert ocigc("verify", layout.path).code == 1
    assert ocigc("verify", "--reachable", layout.path).code == 0
    lines = [json.loads(line) for line in (layout.path / ".ocigc/history.jsonl").read_text().splitlines()]
    assert [(line["command"], line["corrupt"], line["whole"]) for line in lines] == [
        ("verify", 0, True),
        ("verify", 1, True),
        ("verify", 0, False),
    ]
    size = sum(path.stat().st_size for path in (layout.path / "blobs/sha256").iterdir())
    assert {(line["images"], line["blobs"], line["bytes"]) for line in lines} == {(1, 4, size)}
    (layout.path / ".ocigc/history.jsonl").unlink()
    (layout.path / ".ocigc/history.jsonl").mkdir()
    result = ocigc("verify", layout.path)
    assert result.code == 1
    assert "not in the history" in result.err

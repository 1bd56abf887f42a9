"""`ocigc verify` with a ledger, as a command."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, ocigc_as_nobody, refused
from tests.helpers.layouts import LayoutWriter, snapshot

SETTLED_SECONDS = 2.2  # by then nobody takes a file for one that may still change without a trace


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> list[LayoutWriter]:
    """Layouts that are old enough; each test takes one."""
    writers = [LayoutWriter(tmp_path_factory.mktemp("settled") / "layout") for _ in range(8)]
    for writer in writers:
        writer.tag(writer.image("one", ["base", "x" * 300_000]), "app:1")
        writer.tag(writer.image("two", ["base", "y" * 100]), "app:2")
    time.sleep(SETTLED_SECONDS)
    return writers


@pytest.fixture
def layout(settled: list[LayoutWriter]) -> LayoutWriter:
    return settled.pop()


def ledger(layout: LayoutWriter) -> Path:
    return layout.path / ".ocigc" / "ledger"


def verify(*arguments: str | Path, code: int = 0) -> dict[str, object]:
    result = ocigc("verify", "--format", "json", *arguments)
    assert result.code == code, result
    document: dict[str, object] = result.json
    return document


def test_changed_hashes_only_what_is_new_or_touched(layout: LayoutWriter) -> None:
    count = len(layout.present())
    before = snapshot(layout.path)
    first = verify("--changed", layout.path)
    assert (first["Checked"], first["Skipped"]) == (count, 0)
    second = verify("--changed", layout.path)
    assert (second["Checked"], second["Bytes"], second["Skipped"]) == (0, 0, count)
    assert snapshot(layout.path) == before
    assert (
        ocigc("verify", "--changed", layout.path).out == f"0 blobs, 0 B: sound\n{count} blobs not read, by the ledger\n"
    )

    rotten = layout.entries[0]
    content = layout.blob_path(rotten).read_bytes()
    layout.blob_path(rotten).write_bytes(content.replace(b"layers", b"LAYERS"))
    for _ in range(2):
        found = verify("--changed", layout.path, code=1)
        assert (found["Corrupt"], found["Skipped"]) == ([rotten["digest"]], count - 1)
    layout.blob_path(rotten).write_bytes(content)
    assert verify("--changed", layout.path)["Checked"] == 1


def test_a_plain_verify_makes_no_ledger_and_believes_none(layout: LayoutWriter) -> None:
    count = len(layout.present())
    assert "Skipped" not in verify(layout.path)
    assert not (layout.path / ".ocigc").exists()
    verify("--changed", layout.path)
    written = ledger(layout).stat()
    assert verify(layout.path)["Checked"] == count
    assert ledger(layout).stat().st_ino != written.st_ino
    assert verify("--changed", layout.path)["Skipped"] == count


def test_quick_finds_the_flipped_bit(layout: LayoutWriter) -> None:
    count = len(layout.present())
    assert verify("--quick", layout.path)["Checked"] == count
    assert verify("--quick", layout.path)["Compared"] == count
    assert "finds bit rot, not forgery" in ocigc("verify", "--quick", layout.path).out
    assert "finds bit rot, not forgery" in " ".join(ocigc("verify", "--help").out.split())
    layer = layout.blob("x" * 300_000)
    verify("--changed", layout.path)
    with layout.blob_path(layer).open("r+b") as file:
        file.seek(222_222)
        file.write(b"y")
    found = verify("--quick", layout.path, code=1)
    assert (found["Corrupt"], found["Compared"]) == ([layer["digest"]], count - 1)


def test_a_scrub_over_many_nights(layout: LayoutWriter, tmp_path: Path) -> None:
    count = len(layout.present())
    none = verify("--older-than", "30d", "--budget", "0s", layout.path)
    assert (none["Checked"], none["Left"]) == (0, count)
    assert "left for the next run" in ocigc("verify", "--budget", "0s", layout.path).out
    metrics = tmp_path / "verify.prom"
    verify("--older-than", "30d", "--budget", "0s", "--metrics-file", metrics, layout.path)
    left = next(line for line in metrics.read_text().splitlines() if line.startswith("ocigc_left_blobs{"))
    assert left.endswith(f" {count}")
    assert verify("--older-than", "30d", "--budget", "10m", layout.path)["Checked"] == count
    assert verify("--older-than", "30d", layout.path)["Skipped"] == count
    assert verify("--older-than", "1ns", layout.path)["Checked"] == count
    assert verify("--budget", "10m", layout.path)["Checked"] == count


def test_only_one_way_at_a_time(layout: LayoutWriter) -> None:
    refused(ocigc("verify", "--changed", "--quick", layout.path), 2, "--quick", "not allowed with")
    refused(ocigc("verify", "--older-than", "soon", layout.path), 2, "soon")
    assert not (layout.path / ".ocigc").exists()


def test_a_damaged_ledger_is_told_in_one_line(layout: LayoutWriter) -> None:
    count = len(layout.present())
    verify("--changed", layout.path)
    content = bytearray(ledger(layout).read_bytes())
    content[-1] ^= 1
    ledger(layout).write_bytes(content)
    result = ocigc("verify", "--changed", "--format", "json", layout.path)
    assert (result.code, result.json["Checked"]) == (0, count)
    assert len(result.err.splitlines()) == 1
    assert "damaged" in result.err
    assert verify("--changed", layout.path)["Skipped"] == count


def test_a_tree_of_layouts(tmp_path: Path, settled: list[LayoutWriter]) -> None:
    for number in range(2):
        settled.pop().path.rename(tmp_path / str(number))
    verify("--changed", "--recursive", tmp_path)
    found = verify("--changed", "--recursive", tmp_path)
    # The rename has touched the layouts, not their blobs.
    assert found["Checked"] == 0
    assert all(member["Skipped"] for member in found["Layouts"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("option", ["--changed", "--quick", "--older-than=1d"])
def test_a_layout_that_may_not_be_written(open_directory: Path, option: str) -> None:
    foreign = LayoutWriter(open_directory / "layout")
    foreign.tag(foreign.image("kept", ["k"]), "example.com/kept:1")
    foreign.path.chmod(0o555)
    result = ocigc_as_nobody("verify", option, "--format", "json", foreign.path)
    assert result.code == 0, result
    assert result.json["Checked"] == len(foreign.present())
    assert len(result.err.splitlines()) == 1
    assert "the ledger is not kept" in result.err
    assert not (foreign.path / ".ocigc").exists()

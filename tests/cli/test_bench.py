"""What `ocigc bench` measures: form, not speed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ocigc.synth import Spec, write
from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter, snapshot


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    write(tmp_path / "layout", Spec(seed=1, images=4))
    return tmp_path / "layout"


@pytest.mark.parametrize("options", [(), ("--cold",), ("--limit", "20kB")])
def test_it_measures_each_round_and_changes_nothing(layout: Path, options: tuple[str, ...]) -> None:
    before = snapshot(layout)
    process = ocigc("bench", "--rounds", "2", "--format", "json", *options, str(layout))
    assert process.code == 0, process.err
    found = process.json
    sizes = [path.stat().st_size for path in layout.glob("blobs/*/*")]
    assert found["Blobs"] == len(sizes)
    assert found["Cores"] == len(os.sched_getaffinity(0))
    assert found["Whole"] == ("--limit" not in options)
    assert found["Cold"] == ("--cold" in options)
    assert found["Bytes"] == sum(sizes) if found["Whole"] else 0 < found["Bytes"] <= 20_000
    for key in ("Core", "Read", "Verify", "Scan", "ScanWithStatus"):
        assert len(found[key]["Seconds"]) == 2
        assert found[key]["PerSecond"] > 0
    assert found["Efficiency"] == max(found["OfCore"], found["OfRead"])
    assert found["OfRead"] == pytest.approx(found["Verify"]["PerSecond"] / found["Read"]["PerSecond"])
    assert snapshot(layout) == before


def test_its_table_ends_with_the_efficiency(layout: Path) -> None:
    process = ocigc("bench", "--rounds", "1", str(layout))
    lines = process.out.splitlines()
    assert [line.split()[0] for line in lines[:6]] == ["WORK", "hash", "read", "verify", "scan", "scan"]
    assert lines[-1].startswith("Efficiency ")
    assert "% of " in lines[-1]


def test_there_is_nothing_to_measure_without_a_blob(tmp_path: Path) -> None:
    LayoutWriter(tmp_path / "layout")
    process = ocigc("bench", str(tmp_path / "layout"))
    assert process.code == 3
    assert "nothing to measure" in process.err


def test_a_sample_that_is_not_sound_is_not_measured(layout: Path) -> None:
    for path in layout.glob("blobs/*/*"):
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    process = ocigc("bench", "--rounds", "1", "--limit", "20kB", str(layout))
    assert process.code == 3
    assert "not every blob is sound" in process.err


@pytest.mark.parametrize("rounds", ["0", "101", "many"])
def test_rounds_are_a_small_number(layout: Path, rounds: str) -> None:
    process = ocigc("bench", "--rounds", rounds, str(layout))
    assert process.code == 2
    assert "invalid number of rounds" in process.err

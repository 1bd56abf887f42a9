"""`--metrics-file`: what a collector reads after runs that went well, failed, or should not have been."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocigc.cli.output import metrics
from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter

Sample = tuple[str, frozenset[tuple[str, str]]]

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})\{{((?:[a-zA-Z_]\w*=\"(?:[^\"\\\n]|\\[\\n\"])*\",?)*)\}} ([-+]?[0-9.]+(?:e[-+]?\d+)?)")
LABEL = re.compile(r"([a-zA-Z_]\w*)=\"((?:[^\"\\\n]|\\[\\n\"])*)\"(?:,|$)")


def unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], value)


def exposition(text: str) -> dict[Sample, float]:
    """A strict reader: every metric has its HELP, then its TYPE, then its samples, none twice."""
    assert text.endswith("\n")
    found: dict[Sample, float] = {}
    helped, typed = [], []
    for line in text[:-1].split("\n"):
        if match := re.fullmatch(rf"# HELP ({NAME}) (?:[^\\\n]|\\\\|\\n)+", line):
            assert match[1] not in helped
            helped.append(match[1])
        elif match := re.fullmatch(rf"# TYPE ({NAME}) (gauge|counter)", line):
            assert helped[-1] == match[1]
            assert match[1] not in typed
            typed.append(match[1])
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert typed[-1] == match[1]
            key = match[1], frozenset((name, unescaped(value)) for name, value in LABEL.findall(match[2]))
            assert key not in found
            found[key] = float(match[3])
    return found


def values(path: Path) -> dict[str, float]:
    return {name.removeprefix("ocigc_"): value for (name, _), value in exposition(path.read_text()).items()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "metrics").mkdir()
    return tmp_path / "metrics" / "ocigc.prom"


def test_a_prune(layout: LayoutWriter, file: Path) -> None:
    before = list((layout.path / "blobs/sha256").iterdir())
    result = ocigc("prune", "--force", "--format", "json", "--metrics-file", file, layout.path)
    assert result.code == 0, result
    after = list((layout.path / "blobs/sha256").iterdir())
    found = exposition(file.read_text())
    assert {labels for _, labels in found} == {frozenset({("command", "prune"), ("layout", str(layout.path))})}
    told = values(file)
    assert 0 <= told.pop("duration_seconds") < 120
    assert told.pop("last_run_timestamp_seconds") == told.pop("last_success_timestamp_seconds") > 1.7e9
    assert told == {
        "last_exit_code": 0,
        "images": 1,
        "blobs": len(after),
        "removed_images": 1,
        "removed_blobs": len(before) - len(after),
        "reclaimed_bytes": result.json["SpaceReclaimed"],
        "young_orphans": 0,
    }


def test_a_verify_that_finds_something(layout: LayoutWriter, file: Path) -> None:
    assert ocigc("verify", "--metrics-file", file, layout.path).code == 0
    sound = values(file)
    assert sound["corrupt_blobs"] == 0
    assert sound["checked_blobs"] == len(list((layout.path / "blobs/sha256").iterdir()))
    blob = layout.blob("a layer that will rot")
    layout.blob_path(blob).write_bytes(b"a layer that has rot.")
    assert ocigc("verify", "--metrics-file", file, layout.path).code == 1
    unsound = values(file)
    assert unsound["corrupt_blobs"] == 1
    assert unsound["last_exit_code"] == 1
    assert unsound["last_success_timestamp_seconds"] == sound["last_success_timestamp_seconds"]
    assert unsound["last_run_timestamp_seconds"] > sound["last_run_timestamp_seconds"]


def test_a_run_that_fails_keeps_the_last_success(layout: LayoutWriter, file: Path) -> None:
    assert ocigc("prune", "--force", "--metrics-file", file, layout.path).code == 0
    before = values(file)
    (layout.path / "index.json").write_text("{")
    assert ocigc("prune", "--force", "--metrics-file", file, layout.path).code == 3
    after = values(file)
    assert after["last_exit_code"] == 3
    assert after["last_success_timestamp_seconds"] == before["last_success_timestamp_seconds"]
    assert "removed_blobs" not in after


def test_a_layout_that_is_gone_is_recorded(tmp_path: Path, file: Path) -> None:
    assert ocigc("verify", "--metrics-file", file, tmp_path / "nowhere").code == 2
    assert values(file)["last_exit_code"] == 2
    assert values(file)["last_success_timestamp_seconds"] == 0


def test_a_tree_of_layouts(tmp_path: Path, file: Path) -> None:
    for name in ("one", "two", "broken"):
        writer = LayoutWriter(tmp_path / "root" / name)
        writer.tag(writer.image("kept", ["k"]), "1")
        writer.tag(writer.image("gone", ["g"]))
    (tmp_path / "root/broken/index.json").write_text("{")
    assert ocigc("prune", "--force", "--recursive", "--metrics-file", file, tmp_path / "root").code == 3
    told = values(file)
    assert (told["layouts"], told["failed_layouts"]) == (3, 1)
    assert (told["images"], told["removed_images"]) == (2, 2)


def test_what_a_store_takes(layout: LayoutWriter, file: Path) -> None:
    layout.tag(layout.image("lacks", ["l"]), "example.com/lacks:1")
    for path in (layout.path / "blobs/sha256").iterdir():
        os.utime(path, (1_500_000_000, 1_500_000_000))
    assert ocigc("rm", "--force", "--trash", "30d", layout.path, "example.com/lacks:1").code == 0
    lacking = layout.image("lacking", ["absent"])
    layout.entries = [entry for entry in layout.entries if "lacks" not in str(entry)]
    layout.tag(lacking, "example.com/kept:2")
    layout.blob_path(layout.blob("absent")).unlink()
    for _ in range(2):  # what it has written it can read
        assert ocigc("du", "--metrics-file", file, layout.path).code == 0
    du = ocigc("du", "--format", "json", layout.path).json
    found = exposition(file.read_text())
    labels = {"command": "du", "layout": str(layout.path)}
    store = {name: value for (name, of), value in found.items() if of == frozenset(labels.items())}
    assert {name: store[f"ocigc_{name}"] for name in ("store_bytes", "reclaimable_bytes", "reclaimable_all_bytes")} == {
        "store_bytes": du["Size"],
        "reclaimable_bytes": du["Reclaimable"],
        "reclaimable_all_bytes": du["ReclaimableAll"],
    }
    assert store["ocigc_store_disk_bytes"] == du["Disk"]
    assert store["ocigc_incomplete_images"] == 1
    assert store["ocigc_trash_runs"] == 1
    assert store["ocigc_trash_bytes"] > 0
    assert store["ocigc_oldest_verification_timestamp_seconds"] == 0
    assert 0 < store["ocigc_disk_free_bytes"] < store["ocigc_disk_size_bytes"]
    for each in du["Repositories"]:
        key = frozenset({**labels, "repository": each["Name"] or "<none>"}.items())
        figures = {"images": "Images", "bytes": "Size", "unique_bytes": "Unique", "reclaimable_bytes": "Reclaimable"}
        assert {name: found[f"ocigc_repository_{name}", key] for name in figures} == {
            name: each[figure] for name, figure in figures.items()
        }


def test_since_when_everything_is_verified(layout: LayoutWriter, file: Path) -> None:
    for path in (layout.path / "blobs/sha256").iterdir():
        os.utime(path, (1_500_000_000, 1_500_000_000))
    time.sleep(2.1)  # what has just been touched is not believed
    began = time.time()
    assert ocigc("verify", "--changed", layout.path).code == 0
    ended = time.time()
    assert ocigc("du", "--metrics-file", file, layout.path).code == 0
    assert began <= values(file)["oldest_verification_timestamp_seconds"] <= ended
    # What has come since has waited since then.
    came = layout.blob_path(layout.blob("nobody has verified this")).stat().st_ctime
    (layout.path / ".ocigc/history.jsonl").unlink()
    assert ocigc("du", "--metrics-file", file, layout.path).code == 0
    assert values(file)["oldest_verification_timestamp_seconds"] <= ended < came
    (layout.path / ".ocigc/ledger").unlink()
    assert ocigc("du", "--metrics-file", file, layout.path).code == 0
    assert values(file)["oldest_verification_timestamp_seconds"] == 0
    assert ocigc("verify", layout.path).code == 0
    assert ocigc("du", "--metrics-file", file, layout.path).code == 0
    assert values(file)["oldest_verification_timestamp_seconds"] >= int(came)


def test_a_tree_that_is_measured(tmp_path: Path, file: Path) -> None:
    for name in ("one", "two", "broken"):
        writer = LayoutWriter(tmp_path / "root" / name)
        writer.tag(writer.image(name, ["k", name]), "example.com/same:1")
    (tmp_path / "root/broken/index.json").write_text("{")
    assert ocigc("du", "--recursive", "--metrics-file", file, tmp_path / "root").code == 3
    found = {name: value for (name, of), value in exposition(file.read_text()).items() if "repository" not in dict(of)}
    assert (found["ocigc_layouts"], found["ocigc_failed_layouts"]) == (3, 1)
    same = {
        of: value for (name, of), value in exposition(file.read_text()).items() if name == "ocigc_repository_images"
    }
    assert list(same.values()) == [2]  # of two layouts


def test_others_may_read_it_and_nothing_else_is_left(layout: LayoutWriter, file: Path) -> None:
    command = ["sh", "-c", 'umask 077; exec "$@"', "sh", sys.executable, "-m", "ocigc"]
    subprocess.run([*command, "verify", "--metrics-file", file, layout.path], check=True, cwd="/", capture_output=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", os.fsdecode(b"not utf-8 \xff"), "bücher", "a\x85b\u2028c"])
def test_layouts_with_hostile_names(tmp_path: Path, file: Path, name: str) -> None:
    writer = LayoutWriter(tmp_path / name)
    for _ in range(2):
        assert ocigc("verify", "--metrics-file", file, writer.path).code == 0
    assert len({labels for _, labels in exposition(file.read_text())}) == 1


@pytest.mark.parametrize("name", ["", "missing/ocigc.prom", "layout/index.json", "layout", "link"])
def test_a_file_that_cannot_be_or_is_of_something_else(layout: LayoutWriter, tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    before = (layout.path / "index.json").read_bytes()
    result = ocigc("verify", "--metrics-file", f"{tmp_path}/{name}", layout.path)
    refused(result, 2, "--metrics-file")
    assert (layout.path / "index.json").read_bytes() == before
    assert not (tmp_path / "elsewhere").exists()


def test_two_commands_may_not_share_a_file(layout: LayoutWriter, file: Path) -> None:
    assert ocigc("verify", "--metrics-file", file, layout.path).code == 0
    before = file.read_bytes()
    refused(ocigc("prune", "--force", "--metrics-file", file, layout.path), 2, "a file of its own")
    assert file.read_bytes() == before


def test_a_dry_run_is_not_recorded(layout: LayoutWriter, file: Path) -> None:
    refused(ocigc("prune", "--dry-run", "--metrics-file", file, layout.path), 2, "dry run")
    assert not file.exists()


def test_what_cannot_be_written_fails_the_run_but_not_the_answer(layout: LayoutWriter, file: Path) -> None:
    # The directory is removed while the run waits for its list of what is in use.
    used = file.parent.parent / "used"
    os.mkfifo(used)
    arguments = ["prune", "--force", "--format", "json", "--in-use", used, "--metrics-file", file, layout.path]
    process = subprocess.Popen(
        [sys.executable, "-m", "ocigc", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    with used.open("w") as pipe:
        file.parent.rmdir()
        pipe.write("example.com/kept:1\n")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert "only the metrics are lost" in err
    assert out.count("ImagesDeleted") == 1
    assert len(err.splitlines()) == 1


@given(st.text(), st.text())
def test_what_is_written_can_be_read(command: str, layout: str) -> None:
    label = metrics.label_set(command, layout)
    text = metrics.exposition({"blobs": 7, "duration_seconds": 0.25}, label)
    assert list(exposition(text).values()) == [7, 0.25]
    assert metrics.read_exposition(text, label) == {"blobs": 7, "duration_seconds": 0.25}


@given(st.text(), st.dictionaries(st.text(), st.integers(0, 10)))
def test_names_of_repositories_are_escaped(layout: str, images: dict[str, int]) -> None:
    label = metrics.label_set("du", layout)
    shown = {metrics.printable(name): count for name, count in images.items()}
    repositories = {name: {"repository_images": count} for name, count in shown.items()}
    text = metrics.exposition({"blobs": 7}, label, repositories)
    found = {dict(of).get("repository"): value for (_, of), value in exposition(text).items()}
    assert found == {None: 7, **shown}
    assert metrics.read_exposition(text, label) == {"blobs": 7}

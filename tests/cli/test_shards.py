"""`ocigc verify --shard` and `ocigc merge`: many runs report what one would have reported."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import Result, ocigc, refused
from tests.helpers.layouts import LayoutWriter, varied

SECONDS = re.compile(r'"Seconds": [0-9.]+')


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return varied(tmp_path / "layout", 6, 50)


def damage(writer: LayoutWriter) -> None:
    """One of each kind of finding."""
    manifests = [json.loads(writer.blob_path(entry).read_bytes()) for entry in writer.entries]
    writer.blob_path(manifests[0]["layers"][1]).write_bytes(b"something else")
    writer.blob_path(manifests[1]["layers"][1]).unlink()
    content = writer.blob_path(writer.entries[2])
    content.write_bytes(content.read_bytes()[:-1] + b" ")
    writer.tag(writer.json({"schemaVersion": 2, "config": 7}, "application/vnd.oci.image.manifest.v1+json"), "bad:1")
    unknown = writer.path / "blobs" / "xyz"
    unknown.mkdir()
    (unknown / "abc").write_bytes(b"?")


def shards(of: int, path: Path, into: Path, *more: str) -> list[Path]:
    files = []
    for number in range(1, of + 1):
        result = ocigc("verify", "--shard", f"{number}/{of}", *more, path)
        files.append(into / f"{number}-of-{of}.json")
        files[-1].write_text(result.out)
    return files


def plain(result: Result) -> tuple[int, str]:
    """All but the time that it took."""
    return result.code, SECONDS.sub("", result.out)


@pytest.mark.parametrize("of", [1, 2, 7])
@pytest.mark.parametrize("damaged", [False, True])
def test_the_report_is_that_of_one_run(layout: LayoutWriter, tmp_path: Path, of: int, damaged: bool) -> None:
    if damaged:
        damage(layout)
    files = shards(of, layout.path, tmp_path)
    for output in ("text", "json"):
        whole = ocigc("verify", "--format", output, layout.path)
        assert plain(ocigc("merge", "--format", output, *reversed(files))) == plain(whole)
        assert whole.code == int(damaged)


@pytest.mark.parametrize("more", [("--reachable",), ("--sparse",), ("--changed",), ("--older-than", "1h")])
def test_every_way_to_verify(layout: LayoutWriter, tmp_path: Path, more: tuple[str, ...]) -> None:
    damage(layout)
    copy = shutil.copytree(layout.path, tmp_path / "copy" / "layout", symlinks=True)
    files = shards(3, layout.path, tmp_path, *more)
    merged = ocigc("merge", "--format", "json", *files)
    whole = ocigc("verify", "--format", "json", *more, copy)
    assert plain(merged) == (whole.code, SECONDS.sub("", whole.out).replace(str(copy), str(layout.path)))


def test_shards_of_a_tree_merge_into_the_report_of_one_run(layout: LayoutWriter, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(layout.path, tree / "a")
    damage(layout)
    shutil.copytree(layout.path, tree / "b")
    (tree / "broken").mkdir()
    (tree / "broken" / "oci-layout").write_text('{"imageLayoutVersion": "9"}')
    files = shards(3, tree, tmp_path, "--recursive")
    for output in ("text", "json"):
        whole = ocigc("verify", "--recursive", "--format", output, tree)
        assert plain(ocigc("merge", "--format", output, *files)) == plain(whole)
        assert whole.code == 3


def test_a_tree_with_ledgers(layout: LayoutWriter, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(layout.path, tree / "a")
    assert ocigc("verify", "--recursive", "--changed", tree).code == 0
    assert ocigc("verify", "--recursive", "--shard", "1/1", tree).err == ""


def test_each_blob_is_hashed_once(layout: LayoutWriter, tmp_path: Path) -> None:
    counts = [
        json.loads(file.read_text())["layouts"][0]["result"]["checked"] for file in shards(5, layout.path, tmp_path)
    ]
    assert sum(counts) == len(list((layout.path / "blobs").glob("*/*")))
    assert max(counts) < sum(counts)


def test_a_shard_exits_as_verify_does(layout: LayoutWriter) -> None:
    assert ocigc("verify", "--shard", "1/2", layout.path).code == 0
    damage(layout)
    codes = [ocigc("verify", "--shard", f"{number}/2", layout.path).code for number in (1, 2)]
    assert codes == [1, 1]


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2", ""])
def test_a_wrong_shard(layout: LayoutWriter, shard: str) -> None:
    refused(ocigc("verify", f"--shard={shard}", layout.path), 2, "expected I/N")


@pytest.mark.parametrize("more", [["--deep"], ["--repair-from", "/nowhere"]])
def test_what_needs_whole_images_has_no_shards(layout: LayoutWriter, more: list[str]) -> None:
    refused(ocigc("verify", "--shard", "1/2", *more, layout.path), 2, "--shard", "leave out")


def test_missing_and_doubled_shards(layout: LayoutWriter, tmp_path: Path) -> None:
    files = shards(4, layout.path, tmp_path)
    refused(ocigc("merge", files[0], files[2]), 3, "2/4, 4/4 missing")
    refused(ocigc("merge", *files, files[1]), 3, "shard 2/4", "once")
    assert ocigc("merge", "--format", "json", files[0]).json["Sound"] is False


def test_shards_of_another_layout_are_refused(layout: LayoutWriter, tmp_path: Path) -> None:
    files = shards(2, layout.path, tmp_path)
    other = LayoutWriter(tmp_path / "other")
    other.tag(other.image("another"), "other:1")
    (strange := tmp_path / "strange").mkdir()
    refused(
        ocigc("merge", files[0], shards(2, other.path, strange)[1]), 3, f"{layout.path}: index.json has changed", "1/2"
    )
    refused(ocigc("merge", files[0], shards(3, layout.path, strange)[1]), 3, "not the same verification")
    refused(ocigc("merge", files[0], shards(2, layout.path, strange, "--sparse")[1]), 3, "the same options")


def test_shards_of_copies_are_not_one_verification(layout: LayoutWriter, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(layout.path, copy)
    (strange := tmp_path / "strange").mkdir()
    files = [shards(2, layout.path, tmp_path)[0], shards(2, copy, strange)[1]]
    refused(ocigc("merge", *files), 3, str(copy), str(layout.path), "one path")


def test_a_path_may_be_given_in_several_ways(layout: LayoutWriter, tmp_path: Path) -> None:
    files = shards(2, layout.path, tmp_path)
    files[1].write_text(ocigc("verify", "--shard", "2/2", f"{os.path.relpath(layout.path, '/')}/").out)
    assert ocigc("merge", *files).code == 0


def test_an_image_that_came_meanwhile(layout: LayoutWriter, tmp_path: Path) -> None:
    first = shards(2, layout.path, tmp_path)[0]
    layout.tag(layout.image("new"), "new:1")
    second = shards(2, layout.path, tmp_path / "layout")[1]
    refused(ocigc("merge", first, second), 3, f"{layout.path}: index.json has changed since shard 1/2")


def test_a_blob_that_came_meanwhile_costs_the_run_of_its_shard_alone(layout: LayoutWriter, tmp_path: Path) -> None:
    files = shards(4, layout.path, tmp_path)
    blob = next(
        found
        for found in (layout.blob(f"new {number}") for number in range(100))
        if int(found["digest"][7:15], 16) * 4 >> 32 == 1
    )
    for other in (layout.path / "blobs" / "sha256").iterdir():
        if other.read_bytes().startswith(b"new ") and other != layout.blob_path(blob):
            other.unlink()
    layout.blob_path(blob).write_bytes(b"rotten")
    files[3].write_text(ocigc("verify", "--shard", "4/4", layout.path).out)
    refused(ocigc("merge", *files), 3, "have come or gone", "2/4; run them again")
    files[1].write_text(ocigc("verify", "--shard", "2/4", layout.path).out)
    assert plain(ocigc("merge", *files)) == plain(ocigc("verify", layout.path))


def rewrite(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from ocigc.verification.fragment import _checksum

    content = json.loads(file.read_text())
    content.pop("sum")
    change(content)
    file.write_text(json.dumps({**content, "sum": _checksum(content)}))


def test_another_version(layout: LayoutWriter, tmp_path: Path) -> None:
    files = shards(2, layout.path, tmp_path)
    rewrite(files[1], lambda content: content.update(version="0.0.1"))
    refused(ocigc("merge", *files), 3, "made by ocigc 0.0.1", files[1].name)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(shard={"number": 3, "of": 2}),
        lambda content: content.update(shard={"number": 2, "of": True}),
        lambda content: content.update(layouts=[]),
        lambda content: content.update(layouts={}),
        lambda content: content.update(more=1),
        lambda content: content.pop("version"),
        lambda content: content["layouts"][0].update(blobs=[]),
        lambda content: content["layouts"][0]["result"].update(checked="many"),
        lambda content: content["layouts"][0]["result"].update(corrupt="x"),
    ],
)
def test_fragments_are_checked_like_what_a_stranger_gives(
    layout: LayoutWriter, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    files = shards(2, layout.path, tmp_path)
    rewrite(files[1], change)
    refused(ocigc("merge", *files), 3)


def test_what_is_not_a_whole_fragment(layout: LayoutWriter, tmp_path: Path) -> None:
    whole = shards(1, layout.path, tmp_path)[0].read_bytes()
    torn = tmp_path / "torn.json"
    for content in (b"", whole[:-40], whole[: len(whole) // 2], whole.replace(b'"checked": ', b'"checked": 1', 1)):
        torn.write_bytes(content)
        refused(ocigc("merge", torn), 3, "torn.json", "run its shard again")
    for content in (b"[]", b"{}", b"\xff", b"[" * 10**5):
        torn.write_bytes(content)
        refused(ocigc("merge", torn), 2, "torn.json", "not a fragment of a verification")
    refused(ocigc("merge", tmp_path / "nowhere.json"), 2, "nowhere.json")


def test_shards_add_to_one_ledger(layout: LayoutWriter) -> None:
    """Also where another shard, which has begun later, writes first."""
    from array import array
    from contextlib import ExitStack

    from ocigc.layout.layout import Layout
    from ocigc.native import Detail, Selection, Store
    from ocigc.verification import ledger

    later = 10**10  # ns from the time of the files
    began = max(path.stat().st_ctime_ns for path in (layout.path / "blobs").rglob("*")) + later
    with Layout(str(layout.path)) as opened, Store.scan(opened.fd, detail=Detail.IDENTITY) as store:
        nodes = array("I", range(len(store)))
        with ExitStack() as stack:
            runs = [
                stack.enter_context(ledger.open_ledger(opened, store, began + delay, pytest.fail, make=True))
                for delay in (5, 3, 9)
            ]
            for number, run in enumerate(runs):
                assert run is not None
                own = nodes[number::3]
                run.update(own, store.verify(own, checksums=True), began + number)
        with ledger.open_ledger(opened, store, began + later, pytest.fail, make=False) as merged:
            assert merged is not None
            assert not merged.select(nodes, Selection.CHANGED)

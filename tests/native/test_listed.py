"""Stores of blobs that somebody names."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from ocigc.layout.layout import Layout
from ocigc.native import Detail, Ledger, Selection, Store, Verdict
from tests.helpers.layouts import LayoutWriter


def binary(*digests: str) -> bytes:
    return b"".join(bytes.fromhex(digest.partition(":")[2]) for digest in digests)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_named_blobs_are_verified_like_scanned_ones(tmp_path: Path, algorithm: str) -> None:
    writer = LayoutWriter(tmp_path / "layout")
    sound, corrupt, gone, _ = (writer.blob(f"{algorithm} {n}", algorithm=algorithm) for n in range(4))
    writer.blob_path(corrupt).write_bytes(b"something else")
    writer.blob_path(gone).unlink()
    named = [each["digest"] for each in (sound, corrupt, gone, sound)]
    with Layout(str(writer.path)) as layout, Store.listed(layout.fd, algorithm, binary(*named)) as store:
        assert list(store.digests(range(len(store)))) == sorted(set(named))
        found = dict(zip(store.digests(range(len(store))), store.verify(range(len(store))).verdicts, strict=True))
    assert found == dict(zip(named, (Verdict.SOUND, Verdict.CORRUPT, Verdict.GONE), strict=False))


def test_none_may_be_named(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "layout")
    with Layout(str(writer.path)) as layout, Store.listed(layout.fd, "sha256", b"") as store:
        assert len(store) == 0
        assert store.verify([]).verdicts == b""


@pytest.mark.parametrize(("algorithm", "digests"), [("md5", bytes(16)), ("sha256", bytes(31)), ("", b"")])
def test_other_algorithms_and_parts_of_digests(tmp_path: Path, algorithm: str, digests: bytes) -> None:
    writer = LayoutWriter(tmp_path / "layout")
    with Layout(str(writer.path)) as layout, pytest.raises(ValueError, match="not digests of"):
        Store.listed(layout.fd, algorithm, digests)


def test_a_ledger_takes_no_record_of_what_it_has_found_unsound(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "layout")
    mine, theirs = writer.blob("mine"), writer.blob("theirs")
    with Layout(str(writer.path)) as layout, Store.scan(layout.fd, detail=Detail.IDENTITY) as store:
        nodes = array("I", range(2))
        other = Ledger(store)
        other.update(nodes, store.verify(nodes, checksums=True), 2**62)
        writer.blob_path(mine).write_bytes(b"evil")
        own = Ledger(store)
        node = store.find(mine["digest"])
        assert node is not None
        own.update(array("I", [node]), store.verify([node], checksums=True), 2**61)
        own.take_over(other)
        assert own.select(nodes, Selection.RECORDED).tolist() == [store.find(theirs["digest"])]
        own.close()
        other.close()

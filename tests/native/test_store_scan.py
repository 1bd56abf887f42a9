"""Scanning and reading: what counts as a blob, what is kept out of the way, and what is refused."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocigc.errors import CorruptError, MalformedError, Refused
from ocigc.hard_links import RemovedLinks, on_disk
from ocigc.native import Detail, Store
from tests.helpers.layouts import LayoutWriter
from tests.helpers.stores import node, scanned

HEX = "ab" * 32


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path)


def digests(store: Store) -> list[str]:
    return [store.digest(number) for number in range(len(store))]


def test_a_missing_blobs_directory_is_an_empty_store(tmp_path: Path) -> None:
    with scanned(tmp_path) as store:
        assert len(store) == 0
        assert store.find(f"sha256:{HEX}") is None
        assert store.freed([]) == 0


@pytest.mark.parametrize("detail", Detail)
def test_every_blob_is_a_node_in_the_order_of_digests(layout: LayoutWriter, detail: Detail) -> None:
    algorithms = ("sha256", "sha512")
    blobs = [layout.blob(f"blob {n}", algorithm=algorithm) for n in range(300) for algorithm in algorithms]
    with scanned(layout, detail) as store:
        assert digests(store) == sorted(blob["digest"] for blob in blobs)
        for blob in blobs:
            number = node(store, blob)
            status = layout.blob_path(blob).stat()
            assert store.size(number) == blob["size"]
            assert store.stamp(number) == max(status.st_mtime_ns, status.st_ctime_ns)


def test_what_is_new_since_an_earlier_scan(layout: LayoutWriter) -> None:
    gone, kept = layout.blob("gone"), layout.blob("kept", algorithm="sha512")
    odd = layout.path / "blobs" / "odd"
    odd.mkdir()
    (odd / "kept").touch()
    with scanned(layout) as earlier:
        layout.blob_path(gone).unlink()
        new = [layout.blob(f"new {n}", algorithm=algorithm) for n in range(40) for algorithm in ("sha256", "sha512")]
        (odd / "new").touch()
        with scanned(layout) as later:
            wanted = sorted([*(blob["digest"] for blob in new), "odd:new"])
            assert list(later.digests(later.added(earlier))) == wanted
            assert list(earlier.digests(earlier.added(later))) == [gone["digest"]]
            assert later.find(kept["digest"]) is not None
        assert list(earlier.added(earlier)) == []


@given(st.sets(st.binary(min_size=32, max_size=32), max_size=200), st.integers(0, 31))
def test_look_ups_find_what_is_there_and_nothing_else(keys: set[bytes], shared: int) -> None:
    # A shared beginning puts all keys into one bucket: the worst case of the index.
    names = {(bytes(shared) + key[shared:]).hex() for key in keys}
    with tempfile.TemporaryDirectory() as directory:
        layout = LayoutWriter(Path(directory))
        for name in names:
            (layout.path / "blobs" / "sha256" / name).touch()
        with scanned(layout) as store:
            assert digests(store) == sorted(f"sha256:{name}" for name in names)
            for name in names:
                assert store.digest(node(store, f"sha256:{name}")) == f"sha256:{name}"
                other = name[:-1] + ("0" if name[-1] != "0" else "1")
                assert (store.find(f"sha256:{other}") is not None) == (other in names)


NO_DIGESTS = [
    "",
    ":",
    "sha256",
    "sha256:",
    "sha256:../../etc/passwd",
    f"sha256:{HEX.upper()}",
    f"sha256:{HEX}0",
    f"sha256:{HEX}\0",
    f"sha512:{HEX}",
    f"md5:{HEX}",
]


@pytest.mark.parametrize("digest", NO_DIGESTS)
def test_what_is_no_digest_of_a_blob_is_not_found(layout: LayoutWriter, digest: str) -> None:
    (layout.path / "blobs" / "sha256" / HEX).touch()
    with scanned(layout) as store:
        assert store.find(digest) is None


def test_foreign_files_are_kept_out_and_counted(layout: LayoutWriter) -> None:
    blobs = layout.path / "blobs"
    (blobs / "README").touch()
    (blobs / "Not an algorithm").mkdir()
    for name in [HEX.upper(), HEX + "0", HEX[:-1], "x.tmp", "\x1b[31m", "ü"]:
        (blobs / "sha256" / name).touch()
    (blobs / "sha256" / "directory").mkdir()
    with scanned(layout) as store:
        assert len(store) == 0
        count, names = store.foreign()
        assert count == 9
        assert "README" in names
        assert "Not an algorithm" in names
        assert f"sha256/{HEX.upper()}" in names
        assert "sha256/directory" in names


def test_the_names_of_a_thousand_foreign_files_are_kept(layout: LayoutWriter) -> None:
    for number in range(1200):
        (layout.path / "blobs" / "sha256" / f"{number}.tmp").touch()
    with scanned(layout) as store:
        count, names = store.foreign()
        assert count == 1200
        assert len(set(names)) == 1000


@pytest.mark.parametrize("detail", Detail)
def test_blobs_of_unregistered_algorithms_are_nodes_that_nothing_sweeps(layout: LayoutWriter, detail: Detail) -> None:
    directory = layout.path / "blobs" / "sha3-256"
    directory.mkdir()
    for name in ["zz", "a", "Aa=_-"]:
        (directory / name).write_text("content")
    (directory / "not encoded!").touch()
    (directory / "d").mkdir()
    with scanned(layout, detail) as store:
        assert digests(store) == ["sha3-256:Aa=_-", "sha3-256:a", "sha3-256:zz"]
        number = node(store, "sha3-256:a")
        assert store.find("sha3-256:b") is None
        assert list(store.sweepable([number])) == []
        assert store.read(number, 100) == b"content"
        assert store.foreign()[0] == 2


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_symlink(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def make_socket(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    try:  # through /proc, for a socket's path may have 107 bytes only
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)


KINDS = [(make_fifo, "a fifo"), (make_symlink, "a symlink"), (make_socket, "a socket")]


@pytest.mark.parametrize("detail", Detail)
@pytest.mark.parametrize(("make", "kind"), KINDS)
@pytest.mark.parametrize("name", [f"sha256/{HEX}", "sha256/other", "other", f"sha3/{HEX}"])
def test_what_is_neither_file_nor_directory_is_refused(
    layout: LayoutWriter, make: Callable[[Path], None], kind: str, name: str, detail: Detail
) -> None:
    (layout.path / "blobs" / "sha3").mkdir()
    make(layout.path / "blobs" / name)
    with pytest.raises(Refused, match=f"blobs/{name} is {kind}"), scanned(layout, detail):
        pass


@pytest.mark.parametrize("detail", Detail)
def test_a_directory_named_like_a_blob_is_refused(layout: LayoutWriter, detail: Detail) -> None:
    (layout.path / "blobs" / "sha256" / HEX).mkdir()
    with pytest.raises(Refused, match=f"blobs/sha256/{HEX} is a directory"), scanned(layout, detail):
        pass


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
def test_a_symlink_in_place_of_a_directory_is_refused(layout: LayoutWriter, name: str, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    (layout.path / name).rename(real)
    (layout.path / name).symlink_to(real)
    with pytest.raises(Refused, match=f"{name} is a symlink"), scanned(layout):
        pass


def test_hard_links_free_their_bytes_with_the_last_name(layout: LayoutWriter) -> None:
    twins = [layout.blob("twins", algorithm="sha256"), layout.blob("twins", algorithm="sha512")]
    layout.blob_path(twins[1]).unlink()
    os.link(layout.blob_path(twins[0]), layout.blob_path(twins[1]))
    shared, alone = layout.blob("shared with another layout"), layout.blob("alone")
    os.link(layout.blob_path(shared), layout.path / "another")
    with scanned(layout) as store:
        nodes = [node(store, blob) for blob in twins]
        assert store.freed(nodes[:1]) == 0
        assert store.freed(nodes[1:]) == 0
        assert store.freed(nodes) == twins[0]["size"]
        assert store.freed([node(store, shared)]) == 0
        assert store.freed([node(store, alone), node(store, shared), *nodes]) == alone["size"] + twins[0]["size"]
        each = array("I", [*nodes, node(store, alone), nodes[0]])
        assert list(store.freed_each(each, array("I", [2, 2, 3, 4]))) == [twins[0]["size"], 0, alone["size"], 0]
        assert store.size(nodes[0]) == twins[0]["size"]
        for some in (nodes[:1], nodes, range(len(store))):
            files = store.files(some)
            # Counted name by name, as with those of other layouts.
            assert (files.freed, files.disk) == (RemovedLinks().remove(files), on_disk([files, files]) - files.alone)
            assert files.size == files.alone + sum(name.size for name in files.names) == sum(map(store.size, some))


@pytest.mark.parametrize("detail", Detail)
def test_many_hard_linked_blobs(layout: LayoutWriter, detail: Detail) -> None:
    """More than a thread hands over at a time, so that their numbers have to be put together."""
    other = layout.path / "other"
    other.mkdir()
    total = 0
    for number in range(5000):
        name = hashlib.sha256(str(number).encode()).hexdigest()
        path = layout.path / "blobs" / "sha256" / name
        path.write_bytes(bytes(number % 7))
        if number % 3 == 0:
            os.link(path, other / name)
        else:
            total += number % 7
    with scanned(layout, detail) as store:
        assert len(store) == 5000
        assert store.freed(range(5000)) == total


@pytest.mark.parametrize("detail", Detail)
@pytest.mark.parametrize("all_at_once", [True, False])
def test_sizes_of_large_blobs(layout: LayoutWriter, detail: Detail, all_at_once: bool) -> None:
    """Sizes are kept short, up to a gibibyte."""
    sizes = [0, 1, (1 << 30) - 1, 1 << 30, (1 << 30) + 1, (1 << 31) + 5, 1 << 32, (1 << 40) + 7]
    names = [hashlib.sha256(str(size).encode()).hexdigest() for size in sizes]
    for name, size in zip(names, sizes, strict=True):
        with (layout.path / "blobs" / "sha256" / name).open("wb") as file:
            file.truncate(size)
    linked = layout.path / "blobs" / "sha256" / names[-1]
    os.link(linked, layout.path / "another name")
    with scanned(layout, detail) as store:
        nodes = [node(store, {"digest": f"sha256:{name}"}) for name in names]
        if all_at_once:
            store.stat()
        assert [store.size(each) for each in nodes] == sizes
        assert [store.freed([each]) for each in nodes] == [*sizes[:-1], 0]
        assert store.freed(nodes) == sum(sizes[:-1])
        found = store.files(nodes)
        assert (found.alone, [name.size for name in found.names]) == (sum(sizes[:-1]), sizes[-1:])


# Reading


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_reads_and_verifies(layout: LayoutWriter, algorithm: str) -> None:
    blob = layout.blob(b"content" * 100_000, algorithm=algorithm)
    empty = layout.blob(b"", algorithm=algorithm)
    with scanned(layout) as store:
        assert store.read(node(store, blob), 1 << 20) == b"content" * 100_000
        assert store.read(node(store, empty), 0) == b""


def test_corrupt_content_is_told(layout: LayoutWriter) -> None:
    blob = layout.blob("content")
    layout.blob_path(blob).write_text("CONTENT")
    with scanned(layout) as store:
        with pytest.raises(CorruptError, match=blob["digest"]):
            store.read(node(store, blob), 100)
        assert store.read(node(store, blob), 100, verify=False) == b"CONTENT"


def test_the_limit_is_kept_before_anything_is_read(layout: LayoutWriter) -> None:
    path = layout.path / "blobs" / "sha256" / HEX
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with scanned(layout) as store, pytest.raises(MalformedError, match="1073741824"):
        store.read(0, 16 << 20)


def test_a_blob_that_went_or_became_something_else_is_refused(layout: LayoutWriter) -> None:
    blobs = [layout.blob(name) for name in ("gone", "symlink", "fifo")]
    with scanned(layout) as store:
        for blob in blobs:
            layout.blob_path(blob).unlink()
        layout.blob_path(blobs[1]).symlink_to(layout.path / "oci-layout")
        os.mkfifo(layout.blob_path(blobs[2]))
        with pytest.raises(Refused, match="No such file"):
            store.read(node(store, blobs[0]), 100)
        with pytest.raises(Refused, match="not a regular file"):
            store.read(node(store, blobs[1]), 100)
        with pytest.raises(Refused, match="is a fifo"):
            store.read(node(store, blobs[2]), 100)


def test_the_layout_is_held_open(layout: LayoutWriter, tmp_path: Path) -> None:
    """A layout that is renamed, with another put in its place, is still the one that was opened."""
    blob = layout.blob("content")
    with scanned(layout) as store:
        moved = tmp_path.with_name(tmp_path.name + "-moved")
        tmp_path.rename(moved)
        tmp_path.mkdir()
        assert store.read(node(store, blob), 100) == b"content"
        moved.rename(tmp_path)

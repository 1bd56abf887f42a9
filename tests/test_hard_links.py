"""Files with several names: what a layout knows of its own, against a count name by name."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ocigc.hard_links import RemovedLinks, on_disk
from tests.helpers.layouts import LayoutWriter
from tests.helpers.stores import node, scanned

BLOBS = 5


def _linked(path: Path) -> tuple[LayoutWriter, list[str]]:
    """Blobs of which one has a name elsewhere, and two are one file."""
    layout = LayoutWriter(path / "layout")
    blobs = [layout.blob("b" * (number + 1)) for number in range(BLOBS)]
    places = [layout.blob_path(blob) for blob in blobs]
    (path / "elsewhere").hardlink_to(places[0])
    places[1].unlink()
    places[1].hardlink_to(places[2])
    layout.write_index()
    return layout, [blob["digest"] for blob in blobs]


def test_the_sums_are_those_of_the_names(tmp_path: Path) -> None:
    layout, digests = _linked(tmp_path)

    @settings(max_examples=40, deadline=None)
    @given(st.sets(st.integers(0, BLOBS - 1)))
    def check(wanted: set[int]) -> None:
        with scanned(layout) as store:
            files = store.files([node(store, digests[each]) for each in sorted(wanted)])
            linked = wanted & {0, 1, 2}
            assert len(files.names) == len(linked)
            assert files.size == files.alone + sum(name.size for name in files.names)
            assert files.disk == files.alone + sum({name.inode: name.size for name in files.names}.values())
            assert files.freed == RemovedLinks().remove(files)
            assert on_disk([files]) == on_disk([files, store.files(())]) == files.disk

    check()

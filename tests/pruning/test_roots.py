"""What may still go when the question is asked again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ocigc.digest import Digest
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import TOLERATING_ALL, load
from ocigc.progress import SILENT
from ocigc.pruning.roots import Roots, still_to_delete
from ocigc.times import SECOND
from tests.helpers.layouts import LayoutWriter


def test_what_somebody_has_touched_since_the_run_began_stays(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path)
    writer.tag(writer.image("kept", ["kept"]), "example.com/kept:1")
    orphan, touched = writer.blob("orphan"), writer.blob("touched")
    time.sleep(0.02)
    began = time.time_ns()
    time.sleep(0.02)
    os.utime(writer.blob_path(touched))
    digests = [Digest(each["digest"]) for each in (orphan, touched)]
    now = time.time_ns()
    with Layout(tmp_path) as layout:
        snapshot = load(layout, None, now, SILENT, TOLERATING_ALL)
        with snapshot.store as store:
            nodes, gone = still_to_delete(snapshot, digests, began, now + SECOND, now)
            assert list(store.digests(nodes)) == [orphan["digest"]]
            assert gone == []


@pytest.mark.parametrize("age", [0, 3600 * SECOND])
def test_a_blob_that_comes_within_one_tick_of_the_clock_is_seen(tmp_path: Path, age: int) -> None:
    """A time that was new when it was read may stand for a later change, too; an old one cannot."""
    writer = LayoutWriter(tmp_path)
    writer.tag(writer.image("kept"), "example.com/kept:1")
    blobs = tmp_path / "blobs" / "sha256"
    tick = time.time_ns() - age
    os.utime(blobs, ns=(tick, tick))
    with Layout(tmp_path) as layout, layout.scan() as store:
        roots = Roots.read(layout)
        assert not roots.has_moved_on(layout, None, store)
        writer.blob("it comes late")
        os.utime(blobs, ns=(tick, tick))
        assert roots.has_moved_on(layout, None, store) == (age == 0)

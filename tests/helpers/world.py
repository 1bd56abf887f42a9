"""A small layout and a run of a prune that can be disturbed at any step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from ocigc.gc.decide import Request
from ocigc.gc.filters import Filters
from ocigc.gc.in_use import InUse
from ocigc.layout import lock
from ocigc.layout.configs import labels_of
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import TOLERATING_ALL, load
from ocigc.progress import SILENT, Report
from ocigc.pruning.after_commit import Executed, RunTerms
from ocigc.pruning.execute import execute
from ocigc.pruning.planning import decide
from ocigc.pruning.recover import recover
from ocigc.pruning.roots import Roots
from tests.helpers.layouts import Descriptor, LayoutWriter

Act = Callable[[], object]


class World:
    """A layout with one image that goes and one that stays, and a run that can be disturbed."""

    def __init__(self, path: Path) -> None:
        self.writer = LayoutWriter(path)
        self.layer = self.writer.blob("shared with a newcomer")
        self.gone = self.writer.manifest(self.writer.config("gone"), [self.layer])
        self.kept = self.writer.image("kept", ["kept"])
        self.writer.tag(self.gone)
        self.writer.tag(self.kept, "example.com/kept:1")
        self.sidecar = self.writer.labels(self.layer, {"a": "b"})

    def prune(
        self,
        before: Act = lambda: None,
        sweeping: Act = lambda: None,
        moved: Act = lambda: None,
        looking: Act = lambda: None,
        wait: int = 0,
    ) -> Executed | None:
        """A run; `before` happens when the plan has been made, `sweeping` when the blobs are about to go, `moved` once
        they have, `looking` whenever the layout is being read again after that."""

        def phase(name: str) -> Report | None:
            if name == "Reading manifests":
                looking()
            if name != "Removing blobs":
                return None
            sweeping()
            return lambda progress: moved() if progress.items == progress.total_items else None

        with Layout(str(self.writer.path)) as layout, lock.exclusive(layout, 0) as state:
            now = time.time_ns()
            terms = RunTerms(now, now, wait=wait)
            recover(layout, state, terms, SILENT)
            roots = Roots.read(layout)
            snapshot = load(layout, None, now, lambda _: None)
            request = Request(Filters(True, (), ()), InUse(), now, 0)
            plan = decide(snapshot.inputs, request, labels_of(snapshot, request.rules), snapshot.store)
            before()
            with snapshot.store:
                return execute(snapshot, plan, [], roots, state, terms, phase)

    def newcomer(self) -> Descriptor:
        """Another tool pushes an image that shares a layer with the one that goes, as if we were not there."""
        image = self.writer.manifest(self.writer.config("new"), [self.layer])
        self.writer.entries = json.loads((self.writer.path / "index.json").read_text())["manifests"]
        self.writer.tag(image, "example.com/new:1")
        return image

    def images_are_whole(self) -> None:
        with Layout(str(self.writer.path)) as layout:
            snapshot = load(layout, None, time.time_ns(), lambda _: None, TOLERATING_ALL)
            with snapshot.store as store:
                assert store.missing() == []
                assert store.faults() == []
                assert all(store.find(image.target.digest) is not None for image in snapshot.images)

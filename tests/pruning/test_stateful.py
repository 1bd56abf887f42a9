"""Any order of pushes, tags, leases, prunes, interruptions and restores: no image that is named ever lacks a blob."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ocigc.gc.decide import Request
from ocigc.gc.filters import Filters
from ocigc.gc.in_use import InUse
from ocigc.layout import lock
from ocigc.layout.configs import labels_of
from ocigc.layout.layout import Layout
from ocigc.layout.protect import held, hold, release
from ocigc.layout.snapshot import TOLERATING_ALL, load
from ocigc.progress import SILENT, Report
from ocigc.pruning import trash
from ocigc.pruning.after_commit import RunTerms
from ocigc.pruning.execute import execute
from ocigc.pruning.planning import decide
from ocigc.pruning.prune import prune
from ocigc.pruning.prune_options import PruneOptions, request
from ocigc.pruning.recover import recover
from ocigc.pruning.restore import restore, trashed
from ocigc.pruning.roots import Roots
from ocigc.times import SECOND
from tests.helpers.layouts import Descriptor, LayoutWriter

names = st.sampled_from([f"example.com/app:{number}" for number in range(4)])
layers = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=3, unique=True)


class Interrupted(BaseException):
    """The process dies here."""


def quiet(_: str) -> Report | None:
    return None


def dies(name: str) -> Report | None:
    if name == "Removing blobs":
        raise Interrupted
    return None


class Layouts(RuleBasedStateMachine):
    """Writers push and tag as they please; ocigc prunes, is interrupted, and restores."""

    @initialize()
    def start(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.writer = LayoutWriter(self.directory / "layout")
        self.counter = 0
        self.lost: set[str] = set()  # what restore said is nowhere

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            shutil.rmtree(self.directory)

    def entries(self) -> list[Descriptor]:
        found: list[Descriptor] = json.loads((self.writer.path / "index.json").read_text())["manifests"]
        return found

    def named(self) -> set[str]:
        found = {entry.get("annotations", {}).get("org.opencontainers.image.ref.name") for entry in self.entries()}
        return found - {None}

    @rule(name=names, contents=layers, dangling=st.booleans(), signed=st.booleans())
    def push(self, name: str, contents: list[str], dangling: bool, signed: bool) -> None:
        self.counter += 1
        self.writer.entries = self.entries()
        image = self.writer.image(str(self.counter), contents)
        if signed:
            self.writer.tag(self.writer.manifest(self.writer.config("signature"), [], subject=image))
        for entry in self.writer.entries:
            if entry.get("annotations", {}).get("org.opencontainers.image.ref.name") == name:
                del entry["annotations"]  # as skopeo does when a tag moves on
        self.writer.tag(image, None if dangling else name)

    @rule(name=names)
    def untag(self, name: str) -> None:
        self.writer.entries = [e for e in self.entries() if name not in e.get("annotations", {}).values()]
        self.writer.write_index()

    @rule(content=st.text(max_size=3))
    def leave_an_orphan(self, content: str) -> None:
        self.writer.blob(content)

    @precondition(lambda self: self.entries())
    @rule(data=st.data(), flat=st.booleans())
    def lease(self, data: st.DataObject, flat: bool) -> None:
        self.release()
        target = data.draw(st.sampled_from(self.entries()))
        with Layout(str(self.writer.path)) as layout:
            hold(layout, [target["digest"]], identity="lease", flat=flat)

    @rule()
    def release(self) -> None:
        with Layout(str(self.writer.path)) as layout:
            if held(layout):
                release(layout, ["lease"])

    @rule(everything=st.booleans(), keep=st.booleans(), die=st.booleans())
    def prune(self, everything: bool, keep: bool, die: bool) -> None:
        with Layout(str(self.writer.path)) as layout, lock.exclusive(layout, 0) as state:
            now = time.time_ns()
            terms = RunTerms(now, now, now + 3600 * SECOND if keep else None)
            recover(layout, state, terms, SILENT)
            trash.remove_old(layout, state, now)
            roots = Roots.read(layout)
            snapshot = load(layout, None, now, quiet)
            asked = Request(Filters(not everything, (), ()), InUse(), now, 0)
            plan = decide(snapshot.inputs, asked, labels_of(snapshot, asked.rules), snapshot.store)
            with snapshot.store:
                try:
                    assert plan.empty or execute(snapshot, plan, [], roots, state, terms, dies if die else quiet)
                except Interrupted:
                    return
        if not plan.empty:
            self.nothing_is_left_to_prune(everything=everything)

    def nothing_is_left_to_prune(self, *, everything: bool) -> None:
        with Layout(str(self.writer.path)) as layout:
            now = time.time_ns()
            snapshot = load(layout, None, now, quiet)
            asked = Request(Filters(not everything, (), ()), InUse(), now, 0)
            with snapshot.store:
                assert decide(snapshot.inputs, asked, labels_of(snapshot, asked.rules), snapshot.store).empty

    @precondition(lambda self: self.named())
    @rule(data=st.data(), keep=st.booleans())
    def remove(self, data: st.DataObject, keep: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.named())))
        options = PruneOptions(
            request(prune_all=True), allow_empty=True, trash=3600 * SECOND if keep else None, references=(name,)
        )
        with Layout(str(self.writer.path)) as layout, prune(layout, options):
            assert name not in self.named()

    @rule()
    def restore(self) -> None:
        with Layout(str(self.writer.path)) as layout:
            runs = trashed(layout)
            if not runs:
                return
            restored = restore(layout)
            self.lost.update(restored.missing)
            digests = {entry["digest"] for entry in self.entries()}
            assert {image.target.digest for image in restored.images} <= digests | self.lost

    @invariant()
    def every_image_is_whole(self) -> None:
        for entry in self.entries() if hasattr(self, "writer") else ():
            if entry["digest"] in self.lost:  # another run has freed it for good, before the entry came back
                continue
            document = json.loads(self.writer.blob_path(entry).read_text())
            children = [document["config"], *document["layers"]]
            assert all(self.writer.has(child) or child["digest"] in self.lost for child in children)

    @invariant()
    def verify_finds_nothing(self) -> None:
        if not hasattr(self, "writer"):
            return
        with Layout(str(self.writer.path)) as layout:
            snapshot = load(layout, None, time.time_ns(), quiet, TOLERATING_ALL)
            with snapshot.store as store:
                assert store.faults() == []
                assert store.wrong_sizes() == []


TestLayouts = Layouts.TestCase
TestLayouts.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)

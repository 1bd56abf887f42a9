"""Random trees of small layouts that share blobs: no run loses what a layout needs, and a second run finds nothing.

OCIGC_TREES=2000 reads so many trees; OCIGC_TREES=2000-2100 those of some seeds.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ocigc.hard_links import RemovedLinks
from ocigc.layout.discover import Found, Tree
from ocigc.layout.layout import Layout
from ocigc.progress import SILENT, Watcher
from ocigc.pruning.neighbours import Others
from ocigc.pruning.prune import prune
from ocigc.pruning.prune_options import PruneOptions
from ocigc.pruning.prune_tree import TreeRun
from tests.helpers.layouts import LayoutWriter
from tests.layout.test_random_stores import Store, children, contents, entries, kept, parsed

FIRST, _, STOP = os.environ.get("OCIGC_TREES", "20").rpartition("-")
SEEDS = range(int(FIRST or 0), int(STOP))

Answer = tuple[list[tuple[str, str]], list[str]]


def whole(path: Path) -> dict[str, bytes]:
    """The blobs of a layout, without files of 0 bytes, which stand for blobs elsewhere."""
    return {digest: content for digest, content in contents(path).items() if content}


class RandomTree:
    """Some layouts, of which each lacks some blobs that another has; and often a pool of blobs."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.random = root, random.Random(seed)
        stores = [Store(root / f"layout{n}", 10 * seed + n) for n in range(self.random.choice([2, 2, 3, 3, 4]))]
        layouts = [store.layout.path for store in stores]
        self.paths = [*layouts, *self._pool(layouts)]
        for path in layouts:
            self._take_some(path)
        self.options = replace(stores[0].options, keep_storage=None, in_tree=True, match_in_use=False)
        self.detaches = stores[0].detaches

    def _pool(self, layouts: list[Path]) -> Iterator[Path]:
        if self.random.random() < 0.5:
            return
        pool = LayoutWriter(self.root / "pool").path
        for path in layouts:
            for file in sorted((path / "blobs").glob("*/*")):
                there = pool / file.relative_to(path)
                if self.random.random() < 0.6 and not there.exists():
                    there.hardlink_to(file) if self.random.random() < 0.4 else there.write_bytes(file.read_bytes())
        yield pool

    def _take_some(self, path: Path) -> None:
        for digest in sorted(contents(path)):
            elsewhere = any(digest in whole(other) for other in self.paths if other != path)
            if elsewhere and self.random.random() < 0.25:
                file = path / "blobs" / digest.replace(":", "/")
                file.unlink()
                if self.random.random() < 0.2:
                    file.touch()

    def blobs(self) -> dict[str, bytes]:
        return {digest: content for path in self.paths for digest, content in whole(path).items()}


def run(root: Path, options: PruneOptions) -> tuple[dict[str, Answer], list[str]]:
    """What a run takes from each layout, and why it leaves some alone."""
    answers: dict[str, Answer] = {}
    taken = RemovedLinks()
    with Tree(str(root), lambda _: None) as tree:
        tree_run = TreeRun(tree, options.request.now, SILENT)

        def work(layout: Layout, found: Found, watch: Watcher, others: Others, *, dry_run: bool) -> None:
            own = replace(options, dry_run=dry_run)
            with prune(layout, own, review=others.note_plan, watch=watch, taken=taken, elsewhere=others) as done:
                images, orphans = answers.get(found.path, ([], []))
                if not dry_run:
                    answers[found.path] = [*images, *done.items()], [*orphans, *done.orphans()]
                    taken.remove(done.snapshot.store.files(done.plan.blobs))

        tree_run.plan(lambda *arguments: work(*arguments, dry_run=True))
        errors = list(tree_run.carry_out(lambda *arguments: work(*arguments, dry_run=False)).errors)
    return {path: answer for path, answer in answers.items() if any(answer)}, errors


def needed(path: Path, own: dict[str, bytes], everywhere: dict[str, bytes]) -> set[str]:
    """What a layout needs of its own blobs, and of those of all others."""
    here = kept(path, own)
    flat = {
        resource["id"]
        for lease in (json.loads(file.read_text()) for file in path.glob("leases/*.json"))
        for resource in (lease["resources"] if "containerd.io/gc.flat" in lease["labels"] else ())
    }
    remaining = [entry["digest"] for entry in entries(path)]
    remaining += [child for digest in here - flat for child in children(parsed(own[digest]))]
    found: set[str] = set()
    while remaining:
        digest = remaining.pop()
        if digest in everywhere and digest not in found:
            found.add(digest)
            remaining += children(parsed(everywhere[digest]))
    return here | found


@pytest.mark.parametrize("seed", SEEDS)
def test_no_layout_loses_what_it_needs_and_a_second_run_finds_nothing(seed: int, tmp_path: Path) -> None:
    tree = RandomTree(tmp_path / "tree", seed)
    everywhere, own = tree.blobs(), {path: whole(path) for path in tree.paths}
    _, errors = run(tree.root, tree.options)
    left = tree.blobs().keys()
    if not tree.detaches:
        for path in tree.paths:
            assert needed(path, own[path], everywhere) <= left
    assert run(tree.root, tree.options) == ({}, errors)

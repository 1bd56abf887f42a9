"""What the layouts of a tree need of each other."""

from __future__ import annotations

import time
from pathlib import Path

from ocigc.layout.discover import Tree
from ocigc.pruning.other_layouts import TreeNeeds
from tests.helpers.layouts import LayoutWriter


def needed(root: Path) -> dict[str, list[str]]:
    with Tree(str(root), lambda _: None) as tree:
        needs = TreeNeeds(tree, time.time_ns())
        return {found.path: list(needs.beside(found).needed()) for found in tree.found}


def test_what_one_has_not_the_others_keep(tmp_path: Path) -> None:
    user, pool = LayoutWriter(tmp_path / "user"), LayoutWriter(tmp_path / "pool")
    layer = user.blob("layer")
    user.tag(user.manifest(user.config("a"), [layer]), "app:1")
    assert needed(tmp_path) == {"pool": [], "user": []}
    user.blob_path(layer).rename(pool.blob_path(layer))
    assert needed(tmp_path) == {"pool": [layer["digest"]], "user": []}
    # Two that need the same are both counted, each beside itself.
    third = LayoutWriter(tmp_path / "third")
    third.tag(third.manifest(third.config("b"), [layer]), "app:1")
    digest = layer["digest"]
    assert needed(tmp_path) == {"pool": [digest], "third": [digest], "user": [digest]}


def test_what_cannot_be_read_needs_what_it_names(tmp_path: Path) -> None:
    user, pool = LayoutWriter(tmp_path / "user"), LayoutWriter(tmp_path / "pool")
    image = user.image("a")
    user.tag(image, "app:1")
    (user.path / "index.json").write_bytes((user.path / "index.json").read_bytes()[:-5])
    pool.blob("x")
    assert needed(tmp_path)["pool"] == [image["digest"]]

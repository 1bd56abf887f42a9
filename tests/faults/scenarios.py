"""Layouts that between them exercise every rule of prune, and the prune that does it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.layouts import LayoutWriter

KEPT = "example.com/kept:1"
SNAPSHOT = "containerd.io/gc.ref.snapshot.overlayfs"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`build` writes a layout and returns what containers use of it, names and digests. `options` are the prune's."""

    name: str
    build: Callable[[LayoutWriter], list[str]]
    options: tuple[str, ...] = ()

    @property
    def trash(self) -> bool:
        return "--trash" in self.options

    def make(self, path: Path) -> Path:
        """Writes the layout, and beside it the list of containers."""
        layout = LayoutWriter(path)
        used = self.build(layout)
        containers = [
            {"Id": f"c{i}", "Image": name if name.startswith("sha256:") else "", "Config": {"Image": name}}
            for i, name in enumerate(used)
        ]
        self._in_use(path).write_text(json.dumps(containers))
        return path

    def prune(self, layout: Path) -> list[str]:
        """The arguments of the prune of a layout that stands where `make` wrote it, or beside that."""
        in_use = str(self._in_use(layout))
        return ["prune", "--force", "--all", "--grace", "0s", "--in-use", in_use, *self.options, str(layout)]

    def _in_use(self, layout: Path) -> Path:
        return layout.parent / "in-use.json"


def _untag(layout: LayoutWriter) -> list[str]:
    """One name of two, a whole image that shares a layer with one that stays, and an orphan."""
    kept = layout.image("kept", ["base", "kept"])
    layout.tag(kept, KEPT)
    layout.tag(kept, "example.com/other:1")
    layout.tag(layout.image("gone", ["base", "gone"]), "example.com/gone:1")
    layout.blob("orphan")
    return [KEPT]


def _dangling(layout: LayoutWriter) -> list[str]:
    """A container that was started by digest keeps an image that loses its last name; a dangling one goes."""
    used = layout.image("used", ["base", "used"])
    layout.tag(used, "example.com/used:1")
    layout.tag(layout.image("nameless", ["base", "nameless"]))
    return [str(used["digest"])]


def _unlease(layout: LayoutWriter) -> list[str]:
    """Configs that are held by a label lose the label of their snapshot; one goes with its sidecar."""
    for name in ("one", "two"):
        config = layout.config(name)
        layout.labels(config, {"containerd.io/gc.root": "1", SNAPSHOT: name, "kept": "label"})
        layout.tag(layout.manifest(config, [layout.blob(name)]), f"example.com/{name}:1")
    gone = layout.config("gone")
    layout.labels(gone, {SNAPSHOT: "gone"})
    layout.tag(layout.manifest(gone), "example.com/gone:1")
    layout.tag(layout.image("kept"), KEPT)
    return [KEPT]


def _orphans(layout: LayoutWriter) -> list[str]:
    """Nothing to untag: index.json stays as it is. Sidecars, a lease, and blobs that are two names of one inode."""
    layout.tag(layout.image("kept"), KEPT)
    for name in ("one", "two", "three"):
        layout.labels(layout.blob(name), {"name": name})
    layout.lease("copy", [layout.blob("leased")])
    first, second = (layout.blob_path(layout.blob("linked", algorithm=name)) for name in ("sha256", "sha512"))
    second.unlink()
    os.link(first, second)
    return [KEPT]


def _referrers(layout: LayoutWriter) -> list[str]:
    """Signatures, and the fallback tag that lists them, of an image that stays and of one that goes."""
    for name in ("kept", "gone"):
        image = layout.image(name, ["base", name])
        layout.tag(image, f"example.com/{name}:1")
        signature = layout.manifest(layout.config(f"signature of {name}"), [layout.blob(f"s {name}")], image)
        layout.tag(layout.index([signature]), image["digest"].replace(":", "-"))
    return [KEPT]


def _mixture(layout: LayoutWriter) -> list[str]:
    """Some of all."""
    _unlease(layout)
    _referrers(layout)
    layout.tag(layout.index([layout.image("amd64"), layout.image("arm64")]), "example.com/both:1")
    layout.labels(layout.blob("orphan"), {"name": "orphan"})
    return [KEPT]


SCENARIOS = (
    Scenario("untag", _untag),
    Scenario("dangling", _dangling),
    Scenario("unlease", _unlease),
    Scenario("orphans", _orphans),
    Scenario("referrers", _referrers),
    Scenario("mixture", _mixture),
    Scenario("trash", _mixture, ("--trash", "7d")),
)

"""Stores of programs that Debian does not have, by the form that they document."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.helpers.command import ocigc
from tests.helpers.layouts import Descriptor, LayoutWriter
from tests.interop.programs import PRUNE, sound

SIGNATURE = "application/vnd.dev.cosign.simplesigning.v1+json"
CHART = "application/vnd.cncf.helm.config.v1+json"


def _zot_repository(root: Path, name: str) -> LayoutWriter:
    (root / name).mkdir(parents=True)
    layout = LayoutWriter(root / name)
    (layout.path / ".uploads").mkdir()
    return layout


def test_zot(tmp_path: Path) -> None:
    """A repository a layout, equal blobs hard-linked, manifests that were pushed by digest listed without a name."""
    root = tmp_path / "zot"
    (one, two) = (_zot_repository(root, name) for name in ("team/app", "team/app/nightly"))
    (root / "cache.db").write_bytes(b"what zot knows of equal blobs")
    (root / "_trivy").mkdir()
    gone: dict[str, Descriptor] = {}
    for layout in (one, two):
        parts = [layout.image(architecture, ["base", architecture]) for architecture in ("amd64", "arm64")]
        for part in parts:
            layout.tag(part)
        index = layout.index(parts)
        layout.tag(index, "1")
        layout.tag(layout.manifest(layout.config("sbom"), [layout.blob("sbom")], subject=index))
        gone[str(layout.path)] = layout.image("pushed over", ["old"])
        layout.tag(gone[str(layout.path)])
    for blob in (one.path / "blobs" / "sha256").iterdir():
        twin = two.path / "blobs" / "sha256" / blob.name
        twin.unlink()
        os.link(blob, twin)

    result = ocigc(*PRUNE, "--recursive", root)
    assert result.code == 0, result
    assert [each["Layout"] for each in result.json["Layouts"]] == ["team/app", "team/app/nightly"]
    freed = {entry["digest"]: entry["size"] for entry in gone.values()}
    assert result.json["SpaceReclaimed"] >= sum(freed.values())
    for layout in (one, two):
        sound(layout.path)
        listed = [entry["digest"] for entry in json.loads((layout.path / "index.json").read_text())["manifests"]]
        assert listed == [entry["digest"] for entry in layout.entries[:-1]]
        assert not layout.has(layout.entries[-1])
    assert (root / "cache.db").exists()


def _hauler_entry(layout: LayoutWriter, target: Descriptor, name: str, kind: str) -> None:
    bare = name.removeprefix("index.docker.io/")
    layout.tag(target, bare, **{"kind": kind, "io.containerd.image.name": name})


def test_hauler(tmp_path: Path) -> None:
    """One layout: images, charts and files, and signatures under the very name of the image that they sign."""
    layout = LayoutWriter(tmp_path / "store")
    (layout.path / "store.json").write_text('{"store-id": "2f0c"}')
    for name, tag in (("kept", "1"), ("gone", "2")):
        image = layout.image(name, [name])
        signature = layout.manifest(layout.config(f"signature of {name}"), [layout.blob(f"{name} signed", SIGNATURE)])
        for target, kind in ((image, "image"), (signature, "sigs")):
            _hauler_entry(layout, target, f"index.docker.io/library/{name}:{tag}", f"dev.cosignproject.cosign/{kind}")
    chart = layout.manifest(layout.json({"name": "chart"}, CHART), [layout.blob("a chart")])
    layout.tag(chart, "hauler/chart:0.1.0", kind="dev.cosignproject.cosign/image")

    assert ocigc(*PRUNE, layout.path).json["ImagesDeleted"] == []
    used = "docker.io/library/kept:1\nhauler/chart:0.1.0\n"
    result = ocigc(*PRUNE, "--all", "--in-use", "-", layout.path, stdin=used)
    assert result.code == 0, result
    kept = [entry["digest"] for entry in json.loads((layout.path / "index.json").read_text())["manifests"]]
    assert kept == [layout.entries[0]["digest"], layout.entries[1]["digest"], chart["digest"]]
    assert (layout.path / "store.json").exists()
    sound(layout.path)

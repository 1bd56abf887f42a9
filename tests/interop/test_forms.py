"""Stores of programs that Debian does not have, by the form that they document."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.helpers.command import ocigc
from tests.helpers.layouts import Descriptor, LayoutWriter
from tests.interop.programs import PRUNE, blobs, entries, pruned, sound

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
            layout.entry(part)
        index = layout.index(parts)
        layout.tag(index, "1")
        layout.entry(layout.manifest(layout.config("sbom"), [layout.blob("sbom")], subject=index))
        gone[str(layout.path)] = layout.image("pushed over", ["old"])
        layout.entry(gone[str(layout.path)])
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
    layout.tag(target, bare, **{"kind": kind, "io.containerd.image.name": name, "hauler.dev/original-ref": name})


def _signing(layout: LayoutWriter, subject: Descriptor) -> Descriptor:
    """What cosign signs, as a layer."""
    critical = {"image": {"docker-manifest-digest": subject["digest"]}, "type": "cosign container image signature"}
    return layout.json({"critical": critical, "optional": None}, SIGNATURE)


@pytest.mark.parametrize("prefix", ["dev.cosignproject.cosign", "dev.hauler"])
def test_hauler(tmp_path: Path, prefix: str) -> None:
    """One layout: images, charts and files, and what refers to an image under the very name of it.

    Source: hauler 2.0, pkg/store/store.go (`writeImage`, `saveRelatedArtifacts`, `saveReferrers`), pkg/consts; before,
    the kinds were cosign's.
    """
    layout = LayoutWriter(tmp_path / "store")
    (layout.path / "store.json").write_text('{"store-id": "2f0c"}')
    for name, tag in (("kept", "1"), ("gone", "2")):
        image = layout.image(name, [name])
        signature = layout.manifest(layout.config(f"signature of {name}"), [_signing(layout, image)])
        sbom = layout.manifest(layout.config(f"SBOM of {name}"), [layout.blob(f"{name} listed", "text/spdx+json")])
        bundle = layout.manifest(layout.config("bundle"), [layout.blob(f"{name} in a bundle")], subject=image)
        referrer = f"referrers/{bundle['digest'].partition(':')[2]}"
        for target, kind in ((image, "image"), (signature, "sigs"), (sbom, "sboms"), (bundle, referrer)):
            _hauler_entry(layout, target, f"index.docker.io/library/{name}:{tag}", f"{prefix}/{kind}")
    chart = layout.manifest(layout.json({"name": "chart"}, CHART), [layout.blob("a chart")])
    layout.tag(chart, "hauler/chart:0.1.0", kind=f"{prefix}/image")

    assert pruned(layout.path)["ImagesDeleted"] == []
    pruned(layout.path, "--all", "--in-use", "-", stdin="docker.io/library/kept:1\nhauler/chart:0.1.0\n")
    kept = [entry["digest"] for entry in entries(layout.path)]
    assert kept == [*(entry["digest"] for entry in layout.entries[:4]), chart["digest"]]
    assert (layout.path / "store.json").exists()


@pytest.mark.parametrize("prefix", ["dev.cosignproject.cosign", "dev.hauler"])
def test_hauler_the_newest_version_keeps_what_refers_to_it(tmp_path: Path, prefix: str) -> None:
    layout = LayoutWriter(tmp_path / "store")
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        image = layout.image(version, [version])
        signature = layout.manifest(layout.config(f"signature of {version}"), [_signing(layout, image)])
        for target, kind in ((signature, "sigs"), (image, "image")):
            _hauler_entry(layout, target, f"registry.example/app:{version}", f"{prefix}/{kind}")
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\nkeep-last = 2\norder = "semver"\n')
    pruned(layout.path, "--policy", policy)
    assert entries(layout.path) == layout.entries[2:]


@pytest.mark.parametrize("as_image", [False, True])
def test_buildkit_a_cache_that_is_exported_again(tmp_path: Path, as_image: bool) -> None:
    """`--cache-to type=local`: the entry is replaced, and the blobs of the last cache stay.

    Source: BuildKit 0.32, cache/remotecache/export.go (`ExportableCache`), client/ociindex; buildkit#1896.
    """
    layout = LayoutWriter(tmp_path / "cache")
    (layout.path / "ingest").mkdir()

    def export(*layers: str) -> Descriptor:
        zipped = "application/vnd.oci.image.layer.v1.tar+gzip"
        config = layout.json({"layers": list(layers), "records": []}, "application/vnd.buildkit.cacheconfig.v0")
        written = [layout.blob(b"\x1f\x8b\x08\x00" + layer.encode(), zipped) for layer in layers]
        return layout.manifest(config, written) if as_image else layout.index([*written, config])

    old = export("base", "once")
    layout.tag(export("base", "again"), "latest")
    before = blobs(layout.path)
    report = pruned(layout.path)
    assert report["ImagesDeleted"] == []
    assert old["digest"] in report["Orphans"]
    assert len(blobs(layout.path)) == len(before) - 3
    assert entries(layout.path) == layout.entries


def test_zarf(tmp_path: Path) -> None:
    """`images/` of a package: names in base.name only before 2025, entries sorted by digest.

    Source: zarf 0.84, src/pkg/images/common.go (`addNameAnnotationsToDesc`), src/pkg/utils/image.go.
    """
    layout = LayoutWriter(tmp_path / "images")
    for tag in ("1.0.0", "1.1.0", "2.0.0"):
        name = f"registry.example/app:{tag}"
        both = {"org.opencontainers.image.base.name": name}
        layout.tag(layout.image(tag, ["base", tag]), name if tag == "2.0.0" else None, **both)
    layout.entries.sort(key=lambda entry: str(entry["digest"]))
    layout.write_index()
    assert pruned(layout.path)["ImagesDeleted"] == []
    report = pruned(layout.path, "--all", "--in-use", "-", stdin="registry.example/app:1.1.0\n")
    assert [each["Untagged"] for each in report["ImagesDeleted"] if "Untagged" in each] == [
        "registry.example/app:1.0.0",
        "registry.example/app:2.0.0",
    ]


def test_oc_mirror(tmp_path: Path) -> None:
    """Catalogs, one in a layout, without a name: only orphans go, by a policy that says so.

    Source: oc-mirror v2, internal/pkg/operator/catalog_handler.go (`EnsureCatalogInOCIFormat`).
    """
    root = tmp_path / "working-dir" / "operator-catalogs"
    layouts = []
    for catalog in ("redhat-operator-index", "certified-operator-index"):
        path = root / catalog / "0f3a" / "catalog-image"
        path.mkdir(parents=True)
        layouts.append(LayoutWriter(path))
        layouts[-1].entry(layouts[-1].image(catalog, [catalog]))
        layouts[-1].blob("of the catalog before")
    assert ocigc(*PRUNE, layouts[0].path).code == 3
    policy = tmp_path / "policy.toml"
    policy.write_text("[[rule]]\nkeep-tagged = true\n")
    result = ocigc(*PRUNE, "--recursive", "--policy", policy, root)
    assert result.code == 0, result
    for layout in layouts:
        assert entries(layout.path) == layout.entries
        assert len(blobs(layout.path)) == 3
        sound(layout.path)

"""Which images are complete, over real stores."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ocigc.layout.completeness import incomplete_images
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import TOLERATING_ALL, load
from ocigc.progress import SILENT
from tests.helpers.layouts import CONFIG, INDEX, LAYER, Descriptor, LayoutWriter

FOREIGN = (
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
)


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def missing(layout: LayoutWriter) -> list[tuple[str, str, list[str]]]:
    """Of each incomplete image its name, the platform and what is missing."""
    with Layout(str(layout.path)) as opened:
        snapshot = load(opened, None, 0, SILENT, TOLERATING_ALL)
        with snapshot.store:
            found = incomplete_images(snapshot)
            return [(each.image.familiar, each.platform, [one.digest for one in each.missing]) for each in found]


def image(
    layout: LayoutWriter, seed: str, architecture: str = "amd64", **more: Any
) -> tuple[Descriptor, list[Descriptor]]:
    """A manifest, and its config and two layers."""
    config = layout.json({"os": "linux", "architecture": architecture, "comment": seed}, CONFIG)
    layers = [layout.blob(f"{seed} one"), layout.blob(f"{seed} two")]
    return layout.manifest(config, layers, **more), [config, *layers]


@pytest.mark.parametrize("lost", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_config_or_a_layer_is_absent(lost: tuple[int, ...], layout: LayoutWriter) -> None:
    manifest, parts = image(layout, "a")
    layout.tag(manifest, "app:1")
    layout.tag(manifest, "app:2")
    layout.tag(image(layout, "other")[0], "other:1")
    for number in lost:
        layout.blob_path(parts[number]).unlink()
    platform = "" if 0 in lost else "linux/amd64"
    digests = [parts[number]["digest"] for number in lost]
    assert missing(layout) == [("app:1", platform, digests), ("app:2", platform, digests)]


def test_the_target_is_absent(layout: LayoutWriter) -> None:
    manifest, _ = image(layout, "a")
    layout.tag(manifest, "app:1")
    layout.blob_path(manifest).unlink()
    assert missing(layout) == [("app:1", "", [manifest["digest"]])]


def _index(layout: LayoutWriter) -> tuple[list[Descriptor], list[list[Descriptor]], Descriptor]:
    images = [image(layout, name, name) for name in ("amd64", "arm64")]
    manifests = [
        {
            **manifest,
            "platform": {"os": "linux", "architecture": name, **({"variant": "v8"} if name == "arm64" else {})},
        }
        for (manifest, _), name in zip(images, ("amd64", "arm64"), strict=True)
    ]
    return manifests, [parts for _, parts in images], layout.index(manifests)


def test_an_absent_platform_is_a_sparse_image(layout: LayoutWriter) -> None:
    manifests, parts, index = _index(layout)
    layout.tag(index, "app:1")
    for blob in (manifests[1], *parts[1]):
        layout.blob_path(blob).unlink()
    assert missing(layout) == []


def test_half_a_platform_is_incomplete(layout: LayoutWriter) -> None:
    _, parts, index = _index(layout)
    layout.tag(index, "app:1")
    layout.blob_path(parts[1][2]).unlink()
    assert missing(layout) == [("app:1", "linux/arm64/v8", [parts[1][2]["digest"]])]
    layout.blob_path(parts[0][1]).unlink()
    assert missing(layout) == [
        ("app:1", "linux/amd64", [parts[0][1]["digest"]]),
        ("app:1", "linux/arm64/v8", [parts[1][2]["digest"]]),
    ]


@pytest.mark.parametrize("nested", [False, True])
def test_all_platforms_are_absent(nested: bool, layout: LayoutWriter) -> None:
    manifests, _, index = _index(layout)
    if nested:
        index = layout.index([index])
    layout.tag(index, "app:1")
    for manifest in manifests:
        layout.blob_path(manifest).unlink()
    assert missing(layout) == [("app:1", "", [manifest["digest"] for manifest in manifests])]


def test_an_attestation_alone_is_nothing_to_run(layout: LayoutWriter) -> None:
    manifest, _ = image(layout, "a")
    attestation, _ = image(layout, "attestation")
    annotations = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": manifest["digest"],
    }
    unknown = {"os": "unknown", "architecture": "unknown"}
    layout.tag(layout.index([manifest, {**attestation, "annotations": annotations, "platform": unknown}]), "app:1")
    layout.blob_path(attestation).unlink()
    assert missing(layout) == []
    attestation, _ = image(layout, "attestation")
    layout.blob_path(manifest).unlink()
    assert missing(layout) == [("app:1", "", [manifest["digest"]])]


@pytest.mark.parametrize("media_type", FOREIGN)
def test_foreign_layers_may_be_absent(media_type: str, layout: LayoutWriter) -> None:
    foreign = {**layout.blob("foreign"), "mediaType": media_type, "urls": ["https://example.com/layer"]}
    layer = layout.blob("layer")
    layout.tag(layout.manifest(layout.config(), [foreign, layer]), "windows:1")
    layout.blob_path(foreign).unlink()
    assert missing(layout) == []
    layout.blob_path(layer).unlink()
    assert missing(layout) == [("windows:1", "linux/amd64", [layer["digest"]])]


def test_content_that_is_embedded_is_not_missing(layout: LayoutWriter) -> None:
    config = layout.json({}, "application/vnd.oci.empty.v1+json")
    embedded = {**config, "data": base64.b64encode(b"{}").decode()}
    layout.tag(layout.manifest(embedded, [layout.blob("sbom")]), "sbom:1")
    layout.blob_path(config).unlink()
    assert missing(layout) == []
    forged = {**config, "data": base64.b64encode(b"[]").decode()}
    layout.tag(layout.manifest(forged, [layout.blob("sbom")]), "sbom:2")
    assert missing(layout) == [("sbom:2", "", [config["digest"]])]


def test_the_layers_of_a_cache_are_the_manifests_of_an_index(layout: LayoutWriter) -> None:
    """Source: BuildKit `type=local` caches with `image-manifest=false`."""
    layer = layout.blob("layer", LAYER + "+gzip")
    config = layout.json({"layers": []}, "application/vnd.buildkit.cacheconfig.v0")
    layout.tag(layout.index([layer, config]), "latest")
    assert missing(layout) == []
    layout.blob_path(layer).unlink()
    assert missing(layout) == [("latest", "", [layer["digest"]])]


def test_an_absent_subject_is_nothing_that_a_referrer_needs(layout: LayoutWriter) -> None:
    subject, _ = image(layout, "a")
    referrer, _ = image(layout, "sbom", subject=subject)
    layout.tag(referrer, "sbom:1")
    layout.blob_path(subject).unlink()
    assert missing(layout) == []


def test_a_document_that_is_no_manifest_needs_nothing(layout: LayoutWriter) -> None:
    absent = layout.blob("absent")
    layout.tag(layout.json({"see": absent}, "application/vnd.example.list+json"), "list:1")
    (layout.path / "blobs" / "sha256" / absent["digest"][7:]).unlink()
    assert missing(layout) == []


def test_docker_media_types(layout: LayoutWriter) -> None:
    layer = layout.blob("layer", "application/vnd.docker.image.rootfs.diff.tar.gzip")
    config = layout.json({"os": "linux", "architecture": "s390x"}, "application/vnd.docker.container.image.v1+json")
    document = {"schemaVersion": 2, "config": config, "layers": [layer]}
    manifest = layout.json(document, "application/vnd.docker.distribution.manifest.v2+json")
    listing = {"schemaVersion": 2, "manifests": [manifest], "mediaType": INDEX}
    layout.tag(layout.blob(json.dumps(listing), "application/vnd.docker.distribution.manifest.list.v2+json"), "app:1")
    layout.blob_path(layer).unlink()
    assert missing(layout) == [("app:1", "linux/s390x", [layer["digest"]])]


def test_a_manifest_that_its_entry_embeds(layout: LayoutWriter) -> None:
    """Source: debuerreotype#151."""
    manifest, parts = image(layout, "a")
    content = layout.blob_path(manifest).read_bytes()
    layout.blob_path(manifest).unlink()
    layout.tag({**manifest, "data": base64.b64encode(content).decode()}, "app:1")
    assert missing(layout) == []
    layout.blob_path(parts[1]).unlink()
    assert missing(layout) == [("app:1", "", [parts[1]["digest"]])]

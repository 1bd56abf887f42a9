"""Kinds of stores that have broken tools like this one, most with the public report that they come from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import CONFIG, INDEX, LAYER, MANIFEST, Descriptor, LayoutWriter, snapshot

ABSENT = "sha256:" + "ab" * 32
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"

Kind = Callable[[LayoutWriter], Descriptor]


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def manifest_of(layout: LayoutWriter, **members: object) -> Descriptor:
    return layout.json({"schemaVersion": 2, "mediaType": MANIFEST, **members}, MANIFEST)


def no_media_type(layout: LayoutWriter) -> Descriptor:
    """container-libs#573, spegel#172: `mediaType` is only recommended."""
    document = {"schemaVersion": 2, "config": layout.config("a"), "layers": [layout.blob("x")]}
    return layout.json({"schemaVersion": 2, "manifests": [layout.json(document, MANIFEST)]}, INDEX)


def schema_1(layout: LayoutWriter) -> Descriptor:
    """retagger#1234: old mirrors have images of docker's schema 1, whose layers are no descriptors."""
    layers = [{"blobSum": layout.blob(text)["digest"]} for text in "xy"]
    document = {"schemaVersion": 1, "name": "a", "tag": "1", "fsLayers": layers, "history": [], "signatures": []}
    return layout.json(document, SCHEMA_1)


def schema_1_in_a_list(layout: LayoutWriter) -> Descriptor:
    """The same below a list of manifests."""
    return layout.json({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [schema_1(layout)]}, DOCKER_LIST)


def artifact_manifest(layout: LayoutWriter) -> Descriptor:
    """umoci#455: artifacts of OCI 1.1 release candidates and of ORAS have `blobs`."""
    media_type = "application/vnd.oci.artifact.manifest.v1+json"
    return layout.json({"mediaType": media_type, "artifactType": "a/b", "blobs": [layout.blob("x")]}, media_type)


def empty_config_embedded(layout: LayoutWriter) -> Descriptor:
    """ocidir-rs#31: the empty config is in the descriptor, and nowhere else."""
    digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": 2, "data": "e30="}
    return layout.manifest(empty, [layout.blob("x")], artifactType="a/b")


def config_of_no_bytes(layout: LayoutWriter) -> Descriptor:
    """trivy-checks#270."""
    return layout.manifest(layout.blob("", CONFIG), [layout.blob("x")])


def null_layers(layout: LayoutWriter) -> Descriptor:
    """image-spec#1013: Go writes a list that is nil as null."""
    return manifest_of(layout, config=layout.config("a"), layers=None, subject=None, annotations=None)


def no_config(layout: LayoutWriter) -> Descriptor:
    """image-spec#1025: artifacts leave out what they have not."""
    return manifest_of(layout, artifactType="a/b", layers=[layout.blob("x")])


def nested_indexes(layout: LayoutWriter) -> Descriptor:
    """drydock#814: buildx puts an index with an attestation below each platform."""
    attestation = layout.manifest(layout.config("b"), [layout.blob("{}", "application/vnd.in-toto+json")])
    inner = layout.index([layout.image("a"), attestation])
    return layout.index([{**inner, "platform": {"os": "linux", "architecture": "amd64"}}])


def bundle(layout: LayoutWriter) -> Descriptor:
    """container-libs#211: porter's bundles list a config, images, and indexes of images."""
    config = layout.manifest(layout.json({}, "application/vnd.cnab.config.v1+json"))
    return layout.index([config, layout.image("invocation"), layout.index([layout.image("component")])])


def several_algorithms(layout: LayoutWriter) -> Descriptor:
    """image-spec#874: every descriptor has the algorithm that it wants."""
    config = layout.blob(json.dumps({"architecture": "amd64", "os": "linux"}), CONFIG, "sha512")
    layers = [layout.blob("x", algorithm="sha512"), layout.blob("y")]
    return layout.blob(json.dumps({"schemaVersion": 2, "config": config, "layers": layers}), MANIFEST, "sha512")


def encrypted(layout: LayoutWriter) -> Descriptor:
    """oras#1981: ocicrypt's layers."""
    layer = layout.blob("x", f"{LAYER}+gzip+encrypted")
    return layout.manifest(
        layout.config("a"), [{**layer, "annotations": {"org.opencontainers.image.enc.keys.jwe": "e"}}]
    )


def foreign_layers(layout: LayoutWriter) -> Descriptor:
    """oras-go#319: Windows' base layers stay where their `urls` say."""
    docker = {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": ABSENT, "size": 5}
    oci = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": ABSENT, "size": 5}
    return layout.manifest(layout.config("a"), [{**docker, "urls": ["https://x.example"]}, oci, layout.blob("x")])


def chunked(layout: LayoutWriter) -> Descriptor:
    """stargz-snapshotter, containers/storage: digests in annotations of layers are no blobs."""
    toc = {
        "containerd.io/snapshot/stargz/toc.digest": ABSENT,
        "io.github.containers.zstd-chunked.manifest-checksum": ABSENT,
    }
    return layout.manifest(layout.config("a"), [{**layout.blob("x", f"{LAYER}+zstd"), "annotations": toc}])


def lazily_loaded(layout: LayoutWriter) -> Descriptor:
    """soci-snapshotter: version 2 of its index is a manifest beside the image."""
    soci = layout.manifest(layout.json({}, "application/vnd.amazon.soci.index.v2+json"), [layout.blob("ztoc")])
    image = {**layout.image("a"), "annotations": {"com.amazon.soci.index-digest": soci["digest"]}}
    return layout.index([image, {**soci, "artifactType": "application/vnd.amazon.soci.index.v2+json"}])


def one_child_thrice(layout: LayoutWriter) -> Descriptor:
    """syft#1544: images of the same content under several platforms."""
    return layout.index([layout.image("a")] * 3)


def white_space(layout: LayoutWriter) -> Descriptor:
    """skopeo keeps the bytes of a manifest as a registry has sent them."""
    document = {"schemaVersion": 2, "config": layout.config("a"), "layers": [layout.blob("x")]}
    return layout.blob("\n\n  " + json.dumps(document, indent=3).replace("\n", "\r\n") + "\r\n", MANIFEST)


def docker_media_type(layout: LayoutWriter) -> Descriptor:
    """A manifest that has one media type in its entry, and another in itself."""
    return {**layout.image("a"), "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}


KINDS: list[Kind] = [
    no_media_type,
    schema_1,
    schema_1_in_a_list,
    artifact_manifest,
    empty_config_embedded,
    config_of_no_bytes,
    null_layers,
    no_config,
    nested_indexes,
    bundle,
    several_algorithms,
    encrypted,
    foreign_layers,
    chunked,
    lazily_loaded,
    one_child_thrice,
    white_space,
    docker_media_type,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_it_is_sound_and_stays_whole_until_it_goes(kind: Kind, layout: LayoutWriter) -> None:
    layout.tag(kind(layout), "a:1")
    layout.tag(layout.image("other", ["other"]), "b:1")
    before = snapshot(layout.path)
    assert ocigc("verify", layout.path).code == 0
    pruned = ocigc("prune", "--force", "--grace", "0s", "-a", "--in-use", "-", layout.path, stdin="a:1\nb:1\n")
    assert pruned.code == 0, pruned
    assert snapshot(layout.path) == before
    assert ocigc("rm", "--force", layout.path, "a:1").code == 0
    assert len(layout.present()) == 3


@pytest.mark.parametrize("kind", [schema_1, artifact_manifest])
def test_what_has_no_descriptors_or_layers_is_told_to_be_incomplete(kind: Kind, layout: LayoutWriter) -> None:
    layout.tag(kind(layout), "a:1")
    next(each for each in (layout.path / "blobs/sha256").iterdir() if each.read_bytes() == b"x").unlink()
    found = ocigc("verify", "--format", "json", layout.path)
    assert (found.code, [each["Name"] for each in found.json["Incomplete"]]) == (1, ["a:1"])


NAMES = [
    "b957ec1de6b91b6fd0a64afbd6a81a177d476ba8f9adf2a11504716abd3ef977",  # apptainer's cache of blobs
    "b957ec1de6b91b6fd0a64afbd6a81a177d476ba8f9adf2a11504716abd3ef977-src",  # skopeo#496, stacker
    "quay.io/me/artifact:1",  # podman artifact
    "docker://x/y:1",
    "a b",
    "../../etc",
    "x" * 300,
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_name(name: str, layout: LayoutWriter) -> None:
    layout.tag(layout.image("a"), name, note="y" * 100_000)
    before = snapshot(layout.path)
    assert ocigc("ls", "-q", layout.path).out.splitlines() == [name]
    assert ocigc("prune", "--force", "--grace", "0s", layout.path).code == 0
    assert snapshot(layout.path) == before
    assert ocigc("rm", "--force", "--allow-empty", layout.path, name).code == 0


def test_the_same_entry_several_times_is_one_image(layout: LayoutWriter) -> None:
    """image-spec#581: nothing says that names are unique."""
    image = layout.image("a")
    for _ in range(3):
        layout.tag(image, "a:1")
        layout.entry(image)
    assert ocigc("ls", "-q", layout.path).out == "a:1\n"
    assert ocigc("prune", "--force", "--grace", "0s", layout.path).code == 0
    assert layout.has(image)


# What nobody can tell anything about


@pytest.mark.parametrize("document", [{"schemaVersion": 2, "manifests": None}, {"schemaVersion": 2}])
def test_a_layout_that_lists_nothing_keeps_its_blobs(document: object, layout: LayoutWriter) -> None:
    """soci-snapshotter#647: the index is empty, and all blobs are in use."""
    image = layout.image("a")
    (layout.path / "index.json").write_text(json.dumps(document))
    refused(ocigc("prune", "--force", "--grace", "0s", layout.path), 3, "no image", "every blob")
    assert layout.has(image)


def symlinked_blob(layout: LayoutWriter, image: Descriptor) -> None:
    """debuerreotype#149."""
    layout.blob_path(image).rename(layout.path / "blobs/image-manifest.json")
    layout.blob_path(image).symlink_to("../image-manifest.json")


def symlinked_blobs(layout: LayoutWriter, _: Descriptor) -> None:
    """ocidir-rs#21: LXC's cache."""
    (layout.path / "blobs/sha256").rename(layout.path / "cache")
    (layout.path / "blobs/sha256").symlink_to("../cache")


def directory_for_a_blob(layout: LayoutWriter, image: Descriptor) -> None:
    layout.blob_path(image).unlink()
    layout.blob_path(image).mkdir()


def capitals(layout: LayoutWriter, image: Descriptor) -> None:
    """A copy by way of a file system or a program that does not keep small letters."""
    path = layout.blob_path(image)
    path.rename(path.with_name(path.name.upper()))


def byte_order_mark(layout: LayoutWriter, _: Descriptor) -> None:
    """Editors on Windows write one."""
    index = layout.path / "index.json"
    index.write_bytes(b"\xef\xbb\xbf" + index.read_bytes())


def page_of_a_proxy(layout: LayoutWriter, _: Descriptor) -> None:
    """A manifest that has its digest, and is an error page."""
    layout.tag(layout.blob("<html>502 Bad Gateway</html>", MANIFEST), "b:1")


def index_as_a_manifest(layout: LayoutWriter, image: Descriptor) -> None:
    """Its entry says that it is a manifest."""
    layout.tag({**layout.index([image]), "mediaType": MANIFEST}, "b:1")


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (symlinked_blob, "symlink"),
        (symlinked_blobs, "symlink"),
        (directory_for_a_blob, "directory"),
        (capitals, "rename"),
        (byte_order_mark, "byte order mark"),
        (page_of_a_proxy, "b:1"),
        (index_as_a_manifest, "b:1"),
    ],
)
def test_it_is_refused_and_stays_as_it_is(
    spoil: Callable[[LayoutWriter, Descriptor], None], word: str, layout: LayoutWriter
) -> None:
    image = layout.image("a")
    layout.tag(image, "a:1")
    layout.blob("orphan")
    spoil(layout, image)
    before = snapshot(layout.path)
    refused(ocigc("prune", "--force", "--grace", "0s", layout.path), 3, word)
    assert snapshot(layout.path) == before


def test_what_may_be_a_copy_of_the_index_is_no_leftover(layout: LayoutWriter) -> None:
    """hauler writes `index-<digits>.json` first; people who make copies by date do, too."""
    layout.tag(layout.image("a"), "a:1")
    for name in ("index-20240101.json", "index-3141592653.json", "index.json.bak"):
        (layout.path / name).write_text("{}")
        os.utime(layout.path / name, (1, 1))
    before = snapshot(layout.path)
    found = ocigc("prune", "--force", "--format", "json", layout.path)
    assert (found.code, found.json["Leftovers"]) == (0, [])
    assert snapshot(layout.path) == before

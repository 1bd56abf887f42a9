"""The graph: what is read, how, what refers to what, and who holds what."""

from __future__ import annotations

import base64
import json
import os
from array import array
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ocigc._native import ffi, lib
from ocigc.digest import Digest
from ocigc.errors import CorruptError, MalformedError, Refused
from ocigc.gc.graph import ABSENT as NO_SUBJECT
from ocigc.gc.graph import NO_NODE, Group, Groups, Walks
from ocigc.image import Descriptor as Target
from ocigc.image import Media
from ocigc.native import Missing, Role, Store
from tests.helpers.layouts import CONFIG, INDEX, LAYER, MANIFEST, Descriptor, LayoutWriter
from tests.helpers.stores import node, scanned

JSON_TYPE = "application/vnd.example+json"
ABSENT: Descriptor = {"mediaType": LAYER, "digest": "sha256:" + "0" * 64, "size": 1}
MEDIA = {
    MANIFEST: Media.MANIFEST,
    INDEX: Media.INDEX,
    CONFIG: Media.CONFIG,
    LAYER: Media.UNKNOWN,
    JSON_TYPE: Media.JSON,
}


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path)


def expand(store: Store, *targets: Descriptor, media: Media | None = None) -> None:
    nodes = array("I", (node(store, target) for target in targets))
    store.expand(nodes, bytes(MEDIA[target["mediaType"]] if media is None else media for target in targets))


def edges(store: Store, target: Descriptor) -> list[tuple[str | None, int]]:
    """What a blob refers to, and in which role."""
    count = lib.ocigc_graph_edges(store.handle, node(store, target), ffi.NULL, ffi.NULL, 0)
    targets, roles = ffi.new("uint32_t[]", count), ffi.new("int32_t[]", count)
    assert lib.ocigc_graph_edges(store.handle, node(store, target), targets, roles, count) == count
    return [(None if targets[n] == NO_NODE else store.digest(targets[n]), roles[n]) for n in range(count)]


def marked(store: Store, *roots: Descriptor, flat: bool = False) -> set[str]:
    """What one holder of the roots holds."""
    marks = store.mark([Group([node(store, root) for root in roots], flat)])
    return {store.digest(number) for number in marks.owned(0, 1)}


def of(*blobs: Descriptor) -> set[str]:
    return {blob["digest"] for blob in blobs}


def walk(store: Store, target: Descriptor, media: Media | None = None) -> list[tuple[str, Media]]:
    claimed = MEDIA[target["mediaType"]] if media is None else media
    visited = store.walk(Target(target["mediaType"], target["digest"], target["size"], claimed))
    return [(store.digest(number), found) for number, found in visited]


# What is read, and what is refused


def test_the_edges_of_a_manifest_stand_in_the_order_of_their_roles(layout: LayoutWriter) -> None:
    config, base, top, subject = layout.config(), layout.blob("base"), layout.blob("top"), layout.image("subject")
    document = {"subject": subject, "layers": [base, ABSENT, top], "config": config, "blobs": [base]}
    manifest = layout.json(document, MANIFEST)
    with scanned(layout) as store:
        expand(store, manifest)
        assert edges(store, manifest) == [
            (config["digest"], lib.OCIGC_ROLE_CONFIG),
            (base["digest"], lib.OCIGC_ROLE_LAYER),
            (None, lib.OCIGC_ROLE_LAYER),
            (top["digest"], lib.OCIGC_ROLE_LAYER),
            (base["digest"], lib.OCIGC_ROLE_BLOB),
            (subject["digest"], lib.OCIGC_ROLE_SUBJECT),
        ]
        assert store.subject(node(store, manifest)) == node(store, subject)
        assert marked(store, manifest) == of(manifest, config, base, top)


def test_a_whole_image_is_marked(layout: LayoutWriter) -> None:
    base = layout.blob("base")
    amd64 = layout.manifest(layout.config("amd64"), [base, layout.blob("amd64")])
    arm64 = layout.manifest(layout.config("arm64"), [base, layout.blob("arm64")])
    index = layout.index([amd64, arm64, ABSENT])
    orphan = layout.blob("orphan")
    with scanned(layout) as store:
        expand(store, index)
        assert marked(store, index) == layout.present() - of(orphan)
        assert list(store.mark([]).unreachable()) == list(range(len(store)))


def test_the_first_holder_keeps_what_two_reach(layout: LayoutWriter) -> None:
    first, second, both = layout.blob("first"), layout.blob("second"), layout.blob("both")
    images = [layout.manifest(layout.config(str(layer)), [layer, both]) for layer in (first, second)]
    with scanned(layout) as store:
        expand(store, *images)
        marks = store.mark([Group([node(store, image)]) for image in images])
        assert [marks.owner(node(store, blob)) for blob in (first, second, both)] == [0, 1, 0]
        assert set(marks.owned(0, 2)) == set(range(len(store)))


@pytest.mark.parametrize("document", ['{"config": 7}', "[]", "", "{", '{"config": null, "config": null}'])
def test_a_malformed_manifest_stops_and_is_named(layout: LayoutWriter, document: str) -> None:
    manifest = layout.blob(document, MANIFEST)
    index = layout.index([manifest])
    with scanned(layout) as store:
        for _ in range(2):  # asking again does not make it right
            with pytest.raises(MalformedError, match=f"manifest {manifest['digest']}: "):
                expand(store, index)


def test_a_manifest_that_is_claimed_to_be_an_index_stops(layout: LayoutWriter) -> None:
    image = layout.image("image")
    index = layout.index([image | {"mediaType": INDEX}])
    with scanned(layout) as store, pytest.raises(MalformedError, match=f"index {image['digest']}: "):
        expand(store, index)


def test_claims_on_one_blob_add_up(layout: LayoutWriter) -> None:
    """One that calls it JSON must not keep another from reading it as the manifest that it is."""
    image = layout.image("image")
    index = layout.index([image | {"mediaType": JSON_TYPE}, image | {"mediaType": LAYER}, image])
    with scanned(layout) as store:
        expand(store, index)
        roles = [role for _, role in edges(store, image)]
        assert roles == [lib.OCIGC_ROLE_CONFIG, lib.OCIGC_ROLE_LAYER, lib.OCIGC_ROLE_FOUND, lib.OCIGC_ROLE_FOUND]


def test_a_wrong_media_type_stops_after_a_right_one(layout: LayoutWriter) -> None:
    image = layout.image("image")
    with scanned(layout) as store:
        expand(store, image, media=Media.MANIFEST)
        assert len(marked(store, image)) == 3
        with pytest.raises(MalformedError):
            expand(store, image, media=Media.INDEX)


def test_a_corrupt_manifest_stops(layout: LayoutWriter) -> None:
    image = layout.image("image")
    layout.blob_path(image).write_text(layout.blob_path(image).read_text() + " ")
    with scanned(layout) as store, pytest.raises(CorruptError, match=image["digest"]):
        expand(store, image)


def test_the_first_of_several_bad_manifests_is_named(layout: LayoutWriter) -> None:
    bad = [layout.blob(f"bad {number}", MANIFEST) for number in range(200)]
    index = layout.index(bad)
    with scanned(layout) as store, pytest.raises(MalformedError, match=min(of(*bad))):
        expand(store, index)


def test_a_manifest_of_one_gib_is_refused_by_its_size(layout: LayoutWriter) -> None:
    path = layout.path / "blobs" / "sha256" / ("0" * 64)
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with scanned(layout) as store, pytest.raises(MalformedError, match=r"manifest .*: over 16 MiB"):
        expand(store, ABSENT | {"mediaType": MANIFEST})


def test_a_manifest_that_cannot_be_opened_stops(layout: LayoutWriter) -> None:
    image = layout.image("image")
    with scanned(layout) as store:
        layout.blob_path(image).unlink()
        with pytest.raises(Refused, match=image["digest"]):
            expand(store, image)


def test_an_absent_image_has_no_edges(layout: LayoutWriter) -> None:
    image = layout.image("image")
    with scanned(layout) as store:
        assert edges(store, image) == []
        assert store.subject(node(store, image)) is None
        assert marked(store, image) == of(image)


def test_layers_and_configs_are_never_opened(layout: LayoutWriter) -> None:
    image = layout.manifest(layout.config(), [layout.blob("layer")])
    with scanned(layout) as store:
        for digest in layout.present() - of(image):
            layout.blob_path({"digest": digest}).unlink()
        expand(store, image)
        assert len(marked(store, image)) == 3


def test_an_unregistered_algorithm_is_read_unverified(layout: LayoutWriter) -> None:
    config = layout.config()
    (layout.path / "blobs" / "sha3").mkdir()
    document = json.dumps({"config": config, "layers": []})
    (layout.path / "blobs" / "sha3" / "manifest").write_text(document)
    manifest = {"mediaType": MANIFEST, "digest": "sha3:manifest", "size": len(document)}
    with scanned(layout) as store:
        expand(store, manifest)
        assert marked(store, manifest) == of(manifest, config)
        expand(store, manifest, media=Media.NONE)


def test_blake3_waits_for_a_voucher(layout: LayoutWriter) -> None:
    config, digest = layout.config(), "blake3:" + "1" * 64
    (layout.path / "blobs" / "blake3").mkdir()
    manifest = {"mediaType": MANIFEST, "digest": digest, "size": 1}
    layout.blob_path(manifest).write_text(json.dumps({"config": config, "layers": []}))
    other = layout.image("other")
    with scanned(layout) as store:
        for _ in range(2):
            with pytest.raises(Refused, match=digest):
                expand(store, manifest, other)
            assert store.unverified() == [node(store, digest)]
        assert len(edges(store, other)) == 2, "the rest goes on"
        store.set_verified(node(store, digest))
        expand(store, manifest)
        assert store.unverified() == []
        assert marked(store, manifest) == of(manifest, config)


def test_a_voucher_does_not_cover_what_comes_later(layout: LayoutWriter) -> None:
    (layout.path / "blobs" / "blake3").mkdir()
    manifest = {"mediaType": MANIFEST, "digest": "blake3:" + "1" * 64, "size": 1}
    layout.blob_path(manifest).write_text(json.dumps({"layers": []}))
    with scanned(layout) as store:
        store.set_verified(node(store, manifest))
        layout.blob_path(manifest).write_text(json.dumps({"layers": None}))
        with pytest.raises(Refused, match="changed while it was read"):
            expand(store, manifest)


def test_something_worse_than_a_missing_voucher_is_told_first(layout: LayoutWriter) -> None:
    (layout.path / "blobs" / "blake3").mkdir()
    waiting = {"mediaType": MANIFEST, "digest": "blake3:" + "1" * 64, "size": 1}
    layout.blob_path(waiting).write_text("{}")
    broken = layout.blob("broken", MANIFEST)
    with scanned(layout) as store, pytest.raises(MalformedError, match=broken["digest"]):
        expand(store, waiting, broken)


# Documents that are looked into leniently


def test_unknown_json_is_looked_into(layout: LayoutWriter) -> None:
    config, blob = layout.config(), layout.blob("blob")
    document = layout.json({"deep": [{"er": blob}], "fsLayers": [{"blobSum": config["digest"]}]}, JSON_TYPE)
    with scanned(layout) as store:
        expand(store, document)
        assert marked(store, document) == of(document, config, blob)


def test_unknown_json_that_is_none_is_a_leaf(layout: LayoutWriter) -> None:
    blob = layout.blob("blob")
    document = layout.blob(json.dumps({"deep": blob}) + "}", JSON_TYPE)
    with scanned(layout) as store:
        expand(store, document)
        assert marked(store, document) == of(document)


def test_contents_that_others_have_read_are_taken_if_they_are_right(layout: LayoutWriter) -> None:
    manifest, other = layout.image("one"), layout.image("two")
    layer = layout.blob("a layer")
    right = [layout.blob_path(each).read_bytes() for each in (manifest, other)]
    layout.blob_path(manifest).write_text("{}")
    with scanned(layout) as store:
        nodes = array("I", (node(store, manifest), node(store, other), node(store, layer)))
        contents = [right[0], right[0], b"anything"]
        with store.ahead(nodes, map(len, contents), b"".join(contents)):
            expand(store, manifest, other)
        assert marked(store, manifest, other) == layout.present() - of(layer)
        with pytest.raises(CorruptError):
            store.read(nodes[0], 1 << 20)
    with scanned(layout) as store:
        with store.ahead(nodes, map(len, contents), b"".join(contents)):
            pass
        with pytest.raises(CorruptError):
            expand(store, manifest)


@pytest.mark.parametrize(
    ("nodes", "sizes", "content"),
    [([0, 0], [1, 1], b"ab"), ([0], [1], b"ab"), ([0], [], b""), ([], [], b"a"), ([1 << 31], [1], b"a")],
)
def test_contents_must_be_those_of_nodes(
    layout: LayoutWriter, nodes: list[int], sizes: list[int], content: bytes
) -> None:
    layout.image("one")
    with scanned(layout) as store, pytest.raises(MalformedError), store.ahead(array("I", nodes), sizes, content):
        pytest.fail("taken")


def test_corrupt_json_of_an_unknown_type_stops(layout: LayoutWriter) -> None:
    document = layout.json({"deep": layout.blob("blob")}, JSON_TYPE)
    index = layout.index([document])
    layout.blob_path(document).write_text(json.dumps({"changed": document}))
    with scanned(layout) as store:
        for root in (document, index):
            with pytest.raises(CorruptError, match=document["digest"]):
                expand(store, root)


def test_corrupt_json_among_layers_still_keeps_what_it_names(layout: LayoutWriter) -> None:
    blob = layout.blob("blob")
    document = layout.json({"deep": blob}, JSON_TYPE)
    image = layout.manifest(layout.config(), [document])
    layout.blob_path(document).write_text(json.dumps({"changed": blob}))
    with scanned(layout) as store:
        expand(store, image)
        assert of(document, blob) < marked(store, image)


def test_unknown_json_that_cannot_be_read_stops(layout: LayoutWriter) -> None:
    document = layout.json({}, JSON_TYPE)
    with scanned(layout) as store:
        layout.blob_path(document).unlink()
        with pytest.raises(Refused, match=document["digest"]):
            expand(store, document)


# Blobs that are named by digest alone


def test_what_a_digest_alone_names_is_read_as_what_it_looks_like(layout: LayoutWriter) -> None:
    image, detached, plain = layout.image("image"), layout.blob("loose"), layout.blob("plain text")
    index = layout.index([image])
    other = layout.json({"see": detached}, LAYER)
    with scanned(layout) as store:
        expand(store, index, other, plain, media=Media.NONE)
        assert [role for _, role in edges(store, index)] == [lib.OCIGC_ROLE_MANIFEST]
        assert [role for _, role in edges(store, image)] == [lib.OCIGC_ROLE_CONFIG, lib.OCIGC_ROLE_LAYER]
        assert marked(store, other) == of(other, detached)
        assert marked(store, plain) == of(plain)


def test_what_a_digest_alone_names_and_looks_like_a_manifest_is_read_strictly(layout: LayoutWriter) -> None:
    manifest = layout.blob('{"config": {}, "layers": []}', MANIFEST)
    with scanned(layout) as store, pytest.raises(MalformedError, match=manifest["digest"]):
        expand(store, manifest, media=Media.NONE)


def test_an_image_config_named_by_digest_alone_is_no_manifest(layout: LayoutWriter) -> None:
    config = layout.config(labels={"a": "b"})
    with scanned(layout) as store:
        expand(store, config, media=Media.NONE)
        assert marked(store, config) == of(config)


@pytest.mark.parametrize("torn", [b"", bytes(5000), b'{"schemaVersion": 2, "con', b"  \n\t{"])
def test_a_torn_blob_that_a_digest_alone_names_stops(layout: LayoutWriter, torn: bytes) -> None:
    """What it was to refer to is unknown."""
    image = layout.image("image")
    layout.blob_path(image).write_bytes(torn)
    with scanned(layout) as store, pytest.raises(CorruptError, match=image["digest"]):
        expand(store, image, media=Media.NONE)


@pytest.mark.parametrize("content", [b"", bytes(5000), b'{"schemaVersion": 2, "con', b"\x1f\x8b"])
def test_sound_content_that_is_no_json_is_a_leaf(layout: LayoutWriter, content: bytes) -> None:
    blob = layout.blob(content)
    with scanned(layout) as store:
        expand(store, blob, media=Media.NONE)
        assert marked(store, blob) == of(blob)


@pytest.mark.parametrize("content", ["LAYER", "", "\0" * 5, "[]", "7"])
@pytest.mark.parametrize("media", [Media.NONE, Media.UNKNOWN, Media.CONFIG])
def test_a_root_that_begins_like_no_json_is_verified_before_it_is_a_leaf(
    layout: LayoutWriter, content: str, media: Media
) -> None:
    leaf, corrupt = layout.blob(content), layout.blob("layer")
    layout.blob_path(corrupt).write_text(content)
    with scanned(layout) as store:
        expand(store, leaf, media=media)
        assert marked(store, leaf) == of(leaf)
        with pytest.raises(CorruptError, match=corrupt["digest"]):
            expand(store, corrupt, media=media)


@pytest.mark.parametrize("at", [0, 1, 30, -1])
def test_a_flipped_byte_of_a_root_stops(layout: LayoutWriter, at: int) -> None:
    image = layout.image("image")
    content = bytearray(layout.blob_path(image).read_bytes())
    content[at] ^= 1
    layout.blob_path(image).write_bytes(content)
    with scanned(layout) as store, pytest.raises(CorruptError, match=image["digest"]):
        expand(store, image, media=Media.NONE)


def test_roots_over_16_mib_are_leaves_unless_their_type_says_json(layout: LayoutWriter) -> None:
    large = layout.blob(b"{}" + b" " * (16 << 20))
    with scanned(layout) as store:
        expand(store, large, media=Media.NONE)
        expand(store, large, media=Media.UNKNOWN)
        assert marked(store, large) == of(large)
        for media in (Media.JSON, Media.MANIFEST, Media.INDEX):
            with pytest.raises(MalformedError, match=f"{large['digest']}: over 16 MiB"):
                expand(store, large, media=media)


@pytest.mark.parametrize("media_type", ["application/octet-stream", "", CONFIG, LAYER, "text/plain; x=y"])
def test_the_content_tells_what_roots_and_manifests_of_an_index_are(layout: LayoutWriter, media_type: str) -> None:
    image = layout.image("image", ["a", "b"])
    whole = of(image, *layout_children(layout, image))
    inner = layout.index([image | {"mediaType": media_type}])
    outer = layout.index([inner | {"mediaType": media_type}])
    with scanned(layout) as store:
        expand(store, outer)
        assert marked(store, outer) == whole | of(inner, outer)
        assert [store.form(node(store, blob)) for blob in (outer, inner, image)] == [
            Media.INDEX,
            Media.INDEX,
            Media.MANIFEST,
        ]
        assert walk(store, outer) == [(outer["digest"], Media.INDEX), (inner["digest"], media(media_type))]


def media(media_type: str) -> Media:
    return MEDIA.get(media_type, Media.NONE if not media_type else Media.UNKNOWN)


def test_a_config_of_an_unknown_type_is_verified_and_layers_are_not(layout: LayoutWriter) -> None:
    config, layer = layout.blob("config", "application/x-config"), layout.blob("layer")
    image = layout.manifest(config, [layer])
    layout.blob_path(layer).write_text("LAYER")
    with scanned(layout) as store:
        expand(store, image)
        assert marked(store, image) == of(image, config, layer)
    layout.blob_path(config).write_text("CONFIG")
    with scanned(layout) as store, pytest.raises(CorruptError, match=config["digest"]):
        expand(store, image)


# Manifests that are embedded as the data of a descriptor


def embedded(layout: LayoutWriter, blob: Descriptor, content: bytes | None = None) -> Descriptor:
    """A descriptor that carries its blob, which goes."""
    path = layout.blob_path(blob)
    data = base64.b64encode(path.read_bytes() if content is None else content).decode()
    path.unlink()
    return blob | {"data": data}


def test_an_embedded_manifest_is_read_in_the_place_of_an_absent_one(layout: LayoutWriter) -> None:
    image = layout.image("image", ["a", "b"])
    children = layout_children(layout, image)
    index = layout.index([embedded(layout, image)])
    with scanned(layout) as store:
        store.record()
        expand(store, index)
        assert marked(store, index) == of(index, *children)
        assert [role for _, role in edges(store, index)] == [lib.OCIGC_ROLE_MANIFEST] + [lib.OCIGC_ROLE_EMBEDDED] * 3
        assert (store.missing(), store.faults()) == ([], [])


@pytest.mark.parametrize("media_type", [MANIFEST, INDEX, "application/octet-stream", JSON_TYPE])
def test_embedded_documents_nest(layout: LayoutWriter, media_type: str) -> None:
    image = layout.image("image")
    children = layout_children(layout, image)
    inner = layout.index([embedded(layout, image)]) | {"mediaType": INDEX if media_type == MANIFEST else media_type}
    index = layout.index([embedded(layout, inner)])
    with scanned(layout) as store:
        expand(store, index)
        assert marked(store, index) == of(index, *children)


def test_what_an_embedded_manifest_lacks_is_missing_from_the_one_that_embeds_it(layout: LayoutWriter) -> None:
    image = layout.manifest(layout.config(), [ABSENT])
    index = layout.index([embedded(layout, image)])
    with scanned(layout) as store:
        store.record()
        expand(store, index)
        assert store.missing_descriptors() == [
            Missing(Digest(ABSENT["digest"]), node(store, index), Role.LAYER, Media.UNKNOWN, False)
        ]


def test_embedded_data_of_a_present_blob_does_not_count(layout: LayoutWriter) -> None:
    image = layout.image("image")
    index = layout.index([image | {"data": "rubbish"}])
    with scanned(layout) as store:
        expand(store, index)
        assert marked(store, index) == layout.present()


@pytest.mark.parametrize("data", ["rubbish", "", "e30=", 7, "YQ=", "YQ==="])
def test_corrupt_data_of_an_absent_manifest_stops(layout: LayoutWriter, data: Any) -> None:
    image = layout.image("image")
    layout.blob_path(image).unlink()
    index = layout.index([image | {"data": data}])
    with scanned(layout) as store, pytest.raises(CorruptError, match=f"{index['digest']}.*{image['digest']}"):
        expand(store, index)


def test_corrupt_data_of_an_absent_config_is_no_reason_to_stop(layout: LayoutWriter) -> None:
    config = layout.json({}, JSON_TYPE)
    image = layout.manifest(embedded(layout, config, b"[]"))
    with scanned(layout) as store:
        store.record()
        expand(store, image)
        assert (store.faults(), store.missing()) == ([], [config["digest"]])


def test_data_of_layers_is_not_read(layout: LayoutWriter) -> None:
    image = layout.manifest(layout.config(), [ABSENT | {"data": "rubbish"}, ABSENT | {"data": None}])
    with scanned(layout) as store:
        expand(store, image)
        assert len(marked(store, image)) == 2


def test_data_nested_without_end_is_refused(layout: LayoutWriter) -> None:
    last = layout.image("image")
    for _ in range(12):
        last = layout.index([embedded(layout, last)])
    with scanned(layout) as store, pytest.raises(CorruptError, match=last["digest"]):
        expand(store, last)


# Form: cycles, depth, size


def test_cycles_end(layout: LayoutWriter) -> None:
    # Under an unregistered algorithm, for a cycle of true digests cannot be made.
    directory = layout.path / "blobs" / "loop"
    directory.mkdir()
    names = ["a", "b", "c"]
    entries = [{"mediaType": INDEX, "digest": f"loop:{name}", "size": 1} for name in names]
    for name, others in zip(names, [entries[1:2], entries[2:], entries], strict=True):
        (directory / name).write_text(json.dumps({"manifests": others}))
    with scanned(layout) as store:
        expand(store, entries[0])
        assert marked(store, entries[1]) == of(*entries)
        assert [digest for digest, _ in walk(store, entries[0])] == ["loop:a", "loop:b", "loop:c"]


def test_a_chain_of_ten_thousand_indexes(layout: LayoutWriter) -> None:
    image = last = layout.image("last")
    for _ in range(10_000):
        last = layout.index([last])
    with scanned(layout) as store:
        expand(store, last)
        assert len(marked(store, last)) == len(store)
        assert walk(store, last)[-3][0] == image["digest"]


def test_a_chain_of_a_thousand_referrers(layout: LayoutWriter) -> None:
    first = last = layout.image("first")
    config = layout.config()
    for _ in range(1000):
        last = layout.manifest(config, subject=last)
    with scanned(layout) as store:
        expand(store, first)
        store.find_referrers()
        assert len(marked(store, first)) == len(store)


def test_an_index_of_many_entries_on_many_threads(layout: LayoutWriter) -> None:
    images = [layout.image(f"image {number}", [f"layer {number}", "base"]) for number in range(2000)]
    index = layout.index(images)
    with scanned(layout) as store:
        expand(store, index)
        assert len(marked(store, index)) == len(store)
        visited = [digest for digest, media in walk(store, index) if media == Media.MANIFEST]
        assert visited == [image["digest"] for image in images]


def test_results_do_not_depend_on_the_number_of_threads(layout: LayoutWriter) -> None:
    images = [layout.image(f"image {number}") for number in range(300)]
    images += [layout.manifest(layout.config(), subject=image) for image in images]
    index = layout.index([*images, *(image | {"mediaType": JSON_TYPE} for image in images)])
    seen = []
    for threads in (1, 2, 7):
        with scanned(layout) as store:
            error = ffi.new("struct ocigc_error *")
            roots, media = ffi.new("uint32_t[]", [node(store, index)]), ffi.new("uint8_t[]", [lib.OCIGC_MEDIA_INDEX])
            assert lib.ocigc_graph_expand(store.handle, roots, media, 1, threads, ffi.NULL, error) == lib.OCIGC_OK
            seen.append([edges(store, {"digest": store.digest(number)}) for number in range(len(store))])
    assert seen[0] == seen[1] == seen[2]


# The walk of moby


def test_the_walk_is_in_preorder_and_visits_each_blob_once(layout: LayoutWriter) -> None:
    base, config = layout.blob("base"), layout.config()
    manifests = [layout.manifest(config, [layout.blob(f"layer {number}"), base]) for number in range(2)]
    index = layout.index([manifests[0], ABSENT, manifests[1], manifests[0]])
    with scanned(layout) as store:
        expand(store, index)
        assert walk(store, index) == [
            (index["digest"], Media.INDEX),
            (manifests[0]["digest"], Media.MANIFEST),
            (config["digest"], Media.CONFIG),
            (layout.blob("layer 0")["digest"], Media.UNKNOWN),
            (base["digest"], Media.UNKNOWN),
            (manifests[1]["digest"], Media.MANIFEST),
            (layout.blob("layer 1")["digest"], Media.UNKNOWN),
        ]


def test_the_walk_follows_what_the_descriptor_says(layout: LayoutWriter) -> None:
    image = layout.image("image")
    signature = layout.manifest(layout.config("signature"), subject=image)
    with scanned(layout) as store:
        expand(store, image, signature)
        assert walk(store, image, Media.UNKNOWN) == [(image["digest"], Media.UNKNOWN)]
        assert walk(store, image, Media.INDEX) == [(image["digest"], Media.INDEX)]
        assert len(walk(store, image)) == 3
        assert len(walk(store, signature)) == 2, "the subject is no child"


def test_many_walks_at_once(layout: LayoutWriter) -> None:
    base, config = layout.blob("base"), layout.config()
    images = [layout.manifest(config, [layout.blob(f"layer {number}"), base]) for number in range(2)]
    index = layout.index(images)
    with scanned(layout) as store:
        expand(store, index)
        nodes = array("I", [node(store, images[0]), NO_NODE, node(store, index), node(store, images[1])])
        walks = Walks(nodes, bytes([Media.MANIFEST, Media.MANIFEST, Media.INDEX, Media.MANIFEST]))
        for media in Media:
            found = store.walked_as(walks, media)
            expected = {node(store, {"digest": digest}) for digest, kind in walk(store, index) if kind == media}
            assert {number for number, flag in enumerate(found) if flag} == expected
        marks = store.mark([])
        marks.add_each(Groups(array("I", [nodes[3], nodes[0], nodes[2]]), array("I", [1, 1, 2, 3])))
        leaving = bytearray(b"\1" * len(store))
        leaving[node(store, base)] = 0
        owned = marks.owned_on_walks(walks, [2, 1, 3, 0], leaving)
        digests = [[], [], [index["digest"]], [images[1]["digest"], config["digest"], layout.blob("layer 1")["digest"]]]
        digests[0] = [images[0]["digest"], layout.blob("layer 0")["digest"]]
        assert [[store.digest(each) for each in part] for part in cut(owned.nodes, owned.ends)] == digests
        medias = [[Media.MANIFEST, Media.UNKNOWN], [], [Media.INDEX], [Media.MANIFEST, Media.CONFIG, Media.UNKNOWN]]
        assert [list(part) for part in cut(owned.medias, owned.ends)] == medias
        assert list(marks.owned_on_walks(Walks(array("I"), b""), [], leaving).ends) == []


def cut(items: Sequence[int], ends: Iterable[int]) -> list[Sequence[int]]:
    return [items[start:end] for start, end in pairwise([0, *ends])]


# Referrers


def test_what_is_referred_to(layout: LayoutWriter) -> None:
    image = layout.image("image")
    signature = layout.manifest(layout.config("signature"), subject=image)
    named = layout.image("named")
    with scanned(layout) as store:
        expand(store, image, signature, named)
        nodes = array("I", (NO_NODE, *(node(store, each) for each in (image, signature, named))))
        assert list(store.referred(nodes)) == [node(store, signature)]
        store.add_referrer(node(store, image), node(store, named))
        assert list(store.referred(nodes)) == [node(store, signature), node(store, named)]
        everything = array("I", range(len(store)))
        assert {store.digest(each) for each in store.referred(everything)} == layout.present() - of(image)


def test_whoever_holds_a_subject_holds_its_referrers(layout: LayoutWriter) -> None:
    image = layout.image("image")
    signature = layout.manifest(layout.config("signature"), [layout.blob("signature")], subject=image)
    about_it = layout.manifest(layout.config("about the signature"), subject=signature)
    stray = layout.manifest(layout.config("stray"), subject=ABSENT)
    with scanned(layout) as store:
        expand(store, image)
        store.find_referrers()
        assert marked(store, image) == layout.present() - of(stray, layout.config("stray"))
        assert marked(store, signature) == marked(store, image) - {digest for digest, _ in walk(store, image)}
        assert node(store, about_it) in store.mark([Group([node(store, image)])]).owned(0, 1)


def test_what_refers_to_something_unreached_is_not_read(layout: LayoutWriter) -> None:
    orphan = layout.image("orphan")
    broken = layout.json({"mediaType": MANIFEST, "config": {}, "layers": [], "subject": orphan}, MANIFEST)
    with scanned(layout) as store:
        store.find_referrers()
        assert edges(store, broken) == []
        assert marked(store, orphan) == of(orphan, broken)


def test_a_broken_referrer_of_something_reached_stops(layout: LayoutWriter) -> None:
    image = layout.image("image")
    broken = layout.json({"mediaType": MANIFEST, "config": {}, "layers": [], "subject": image}, MANIFEST)
    with scanned(layout) as store:
        expand(store, image)
        with pytest.raises(MalformedError, match=broken["digest"]):
            store.find_referrers()


def test_an_artifact_manifest_is_a_referrer_too(layout: LayoutWriter) -> None:
    image, payload = layout.image("image"), layout.blob("payload")
    artifact_type = "application/vnd.oci.artifact.manifest.v1+json"
    artifact = layout.json({"mediaType": artifact_type, "blobs": [payload], "subject": image}, artifact_type)
    with scanned(layout) as store:
        expand(store, image)
        store.find_referrers()
        assert of(artifact, payload) < marked(store, image)


@pytest.mark.parametrize("content", ["{", '{"subject": 7}', '{"subject": {"digest": "none"}}', "[]", "\0", ""])
def test_what_is_no_referrer_stays_a_leaf(layout: LayoutWriter, content: str) -> None:
    image, leaf = layout.image("image"), layout.blob(content)
    with scanned(layout) as store:
        expand(store, image)
        store.find_referrers()
        assert leaf["digest"] not in marked(store, image)


def test_a_referrer_that_cannot_be_opened_stops(layout: LayoutWriter) -> None:
    blob = layout.blob("blob")
    with scanned(layout) as store:
        layout.blob_path(blob).unlink()
        layout.blob_path(blob).symlink_to("/etc/passwd")
        with pytest.raises(Refused, match="not a regular file"):
            store.find_referrers()


def test_a_fallback_tag_shares_the_fate_of_its_subject(layout: LayoutWriter) -> None:
    image, tag = layout.image("image"), layout.image("fallback", ["signatures"])
    with scanned(layout) as store:
        expand(store, image, tag)
        store.add_referrer(node(store, image), node(store, tag))
        assert marked(store, image) == layout.present()
        assert image["digest"] not in marked(store, tag)


def test_an_absent_referrer_has_no_edge_to_remove(layout: LayoutWriter) -> None:
    image = layout.image("image")
    with scanned(layout) as store:
        expand(store, image)
        store.remove_referrer(node(store, image), NO_NODE)
        assert marked(store, image) >= of(image)


# Flat marks


def test_a_flat_root_reaches_only_its_referrers_but_all_of_these(layout: LayoutWriter) -> None:
    image = layout.image("image")
    config = layout.config("signature")
    signature = layout.manifest(config, subject=image)
    with scanned(layout) as store:
        expand(store, image, signature)
        assert marked(store, image, flat=True) == of(image, signature, config)


def test_a_referrer_that_lists_its_flat_subject_opens_it(layout: LayoutWriter) -> None:
    config = layout.config("image")
    image = layout.manifest(config)
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [image], "subject": image}
    index = layout.json(document, INDEX)
    with scanned(layout) as store:
        expand(store, image, index)
        assert marked(store, image, flat=True) == of(image, index, config)


def test_what_is_marked_flatly_is_open_to_others(layout: LayoutWriter) -> None:
    image = layout.image("image")
    config = layout.config("signature")
    signature = layout.manifest(config, subject=image)
    with scanned(layout) as store:
        expand(store, image, signature)
        roots = [node(store, image)]
        marks = store.mark([Group(roots, flat=True), Group(roots)])
        assert {store.digest(number) for number in marks.owned(0, 1)} == of(image, signature, config)
        assert list(marks.unreachable()) == []
        marks = store.mark([Group(roots), Group(roots, flat=True)])
        assert list(marks.owned(1, 2)) == []


# Labels


def test_labels_are_roots_and_edges(layout: LayoutWriter) -> None:
    root, image = layout.blob("root"), layout.image("image")
    slash, dot, exact, other = (layout.blob(name) for name in ("slash", "dot", "exact", "other"))
    layout.labels(root, {"containerd.io/gc.root": ""})
    layout.labels(
        slash,
        {
            "containerd.io/gc.ref.content/0": image["digest"],
            "containerd.io/gc.ref.content.l.1": dot["digest"],
            "containerd.io/gc.ref.content": exact["digest"],
            "containerd.io/gc.ref.contents": other["digest"],
            "containerd.io/gc.ref.content.none": "no digest",
            "containerd.io/gc.ref.content.absent": ABSENT["digest"],
            "x" * 5000: other["digest"],
        },
    )
    with scanned(layout) as store:
        store.read_labels()
        assert [store.digest(number) for number in store.label_roots()] == [root["digest"]]
        expand(store, slash)
        assert marked(store, slash) == of(slash, dot, exact, image, *layout_children(layout, image))


def layout_children(layout: LayoutWriter, image: Descriptor) -> Iterable[Descriptor]:
    document: dict[str, Any] = json.loads(layout.blob_path(image).read_text())
    return [document["config"], *document["layers"]]


def test_labels_of_a_manifest_add_to_its_own_edges(layout: LayoutWriter) -> None:
    image, more = layout.image("image"), layout.blob("more")
    layout.labels(image, {"containerd.io/gc.ref.content.more": more["digest"]})
    with scanned(layout) as store:
        store.read_labels()
        expand(store, image)
        assert marked(store, image) == layout.present()
        assert edges(store, image)[0] == (more["digest"], lib.OCIGC_ROLE_LABEL)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "too early"),
        ("[]", ""),
        ('{"a": 1}', "not a string"),
        ('{"a": null}', "not a string"),
        ('{"a": "b", "a": "b"}', "twice|duplicate"),
        ('{"a": "b"} x', "after"),
        (' {"a": "' + "x" * (1 << 20) + '"}', "over 1 MiB"),
    ],
)
def test_a_malformed_sidecar_stops_and_is_named(layout: LayoutWriter, content: str, what: str) -> None:
    blob = layout.blob("blob")
    path = layout.labels(blob, {})
    path.write_text(content)
    with scanned(layout) as store, pytest.raises(MalformedError, match=f"labels/sha256/{path.name}: .*({what})"):
        store.read_labels()


def test_sidecars_of_absent_blobs_and_other_files_are_ignored(layout: LayoutWriter) -> None:
    layout.labels(ABSENT, {}).write_text("no JSON")
    (layout.path / "labels" / "sha256" / "README").write_text("no JSON")
    (layout.path / "labels" / "sha256" / f"{'1' * 64}.tmp").write_text("no JSON")
    (layout.path / "labels" / "README").write_text("no JSON")
    layout.blob("blob")
    with scanned(layout) as store:
        store.read_labels()
        assert list(store.label_roots()) == []


def test_escaped_label_keys_are_what_they_stand_for(layout: LayoutWriter) -> None:
    blob = layout.blob("blob")
    layout.labels(blob, {}).write_text('{"containerd.io\\/gc.r\\u006fot": ""}')
    with scanned(layout) as store:
        store.read_labels()
        assert list(store.label_roots()) == [node(store, blob)]


def test_a_sidecar_that_is_no_plain_file_is_refused(layout: LayoutWriter) -> None:
    blob = layout.blob("blob")
    path = layout.labels(blob, {})
    for make in (partial(path.symlink_to, "/dev/null"), partial(os.mkfifo, path), path.mkdir):
        path.unlink()
        make()
        with scanned(layout) as store, pytest.raises(Refused, match=f"labels/sha256/{path.name} is "):
            store.read_labels()


@pytest.mark.parametrize("name", ["labels", "labels/sha256"])
def test_symlinked_labels_are_refused(layout: LayoutWriter, name: str, tmp_path: Path) -> None:
    layout.labels(layout.blob("blob"), {})
    real = tmp_path / "elsewhere"
    (layout.path / name).rename(real)
    (layout.path / name).symlink_to(real)
    with scanned(layout) as store, pytest.raises(Refused, match=f"{name} is a symlink"):
        store.read_labels()


# Back references, and labels that are not understood


def test_a_back_reference_keeps_its_blob_as_long_as_the_target_stays(layout: LayoutWriter) -> None:
    image, other = layout.image("image"), layout.image("other", ["another layer"])
    extra, deep, plain = layout.image("extra", ["deep"]), layout.blob("deep"), layout.blob("plain")
    for blob, key in ((extra, "containerd.io/gc.bref.content.x"), (plain, "containerd.io/gc.bref.content")):
        layout.labels(blob, {key: image["digest"]})
    with scanned(layout) as store:
        store.read_labels()
        expand(store, image, other)
        store.find_referrers()
        assert of(extra, deep, plain) < marked(store, image)
        assert not of(extra, deep, plain) & marked(store, other)
        assert list(store.label_roots()) == []
        assert store.referrers(node(store, image)) == []
        _, roles = store.paths_to(node(store, deep))
        assert roles[node(store, image)] == Role.BACK
        store.remove_referrer(node(store, image), node(store, plain))
        assert plain["digest"] in marked(store, image)


def test_a_back_reference_to_what_is_absent_keeps_nothing(layout: LayoutWriter) -> None:
    blob = layout.blob("blob")
    layout.labels(blob, {"containerd.io/gc.bref.content.x": ABSENT["digest"]})
    with scanned(layout) as store:
        store.read_labels()
        store.find_referrers()
        assert list(store.label_roots()) == []


@pytest.mark.parametrize(
    "key",
    [
        "future",
        "future.x",
        "bref.container",
        "bref.container.x",
        "bref.snapshot.overlayfs",
        "bref.other",
        "bref",
        "",
        ".",
    ],
)
def test_a_gc_label_that_is_not_understood_keeps_its_blob(layout: LayoutWriter, key: str) -> None:
    blob = layout.blob("blob")
    layout.labels(blob, {f"containerd.io/gc.{key}": ABSENT["digest"]})
    with scanned(layout) as store:
        store.read_labels()
        assert list(store.label_roots()) == [node(store, blob)]
        assert store.unknown_labels() == [(node(store, blob), f"containerd.io/gc.{key}")]


def test_a_back_reference_to_no_digest_keeps_its_blob(layout: LayoutWriter) -> None:
    blob = layout.blob("blob")
    layout.labels(blob, {"containerd.io/gc.bref.content.x": "sha256:short"})
    with scanned(layout) as store:
        store.read_labels()
        assert store.unknown_labels() == [(node(store, blob), "containerd.io/gc.bref.content.x")]


@pytest.mark.parametrize(
    "key",
    ["gc.expire", "gc.flat", "gc.ref.snapshot.overlayfs", "gc.ref.other", "gc.ref", "gcroot", "distribution.source"],
)
def test_labels_of_other_things_do_not_keep(layout: LayoutWriter, key: str) -> None:
    layout.labels(layout.blob("blob"), {f"containerd.io/{key}": "2000-01-01T00:00:00Z"})
    with scanned(layout) as store:
        store.read_labels()
        assert list(store.label_roots()) == []


def test_labels_that_name_images_are_listed(layout: LayoutWriter) -> None:
    one, other = layout.blob("one"), layout.blob("other")
    layout.labels(one, {"containerd.io/gc.ref.image": "b", "containerd.io/gc.ref.image.x": "a"})
    layout.labels(other, {"containerd.io/gc.bref.image/y": "c", "containerd.io/gc.root": ""})
    with scanned(layout) as store:
        store.read_labels()
        assert store.image_labels() == [(node(store, one), "a"), (node(store, one), "b")]
        assert store.image_back_labels() == [(node(store, other), "c")]
        assert list(store.label_roots()) == [node(store, other)]


# What verify records


def test_missing_blobs_are_told_by_who_names_them_and_how(layout: LayoutWriter) -> None:
    foreign = ABSENT | {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}
    one, other = (layout.manifest(ABSENT | {"mediaType": CONFIG}, [ABSENT, foreign], title=title) for title in "ab")
    index = layout.index([one, other, ABSENT | {"mediaType": MANIFEST}])
    with scanned(layout) as store:
        store.record()
        expand(store, index)
        found = {(m.node, m.role, m.media, m.foreign) for m in store.missing_descriptors()}
        each = {
            (Role.CONFIG, Media.CONFIG, False),
            (Role.LAYER, Media.UNKNOWN, False),
            (Role.LAYER, Media.UNKNOWN, True),
        }
        assert found == {(node(store, image), *kind) for image in (one, other) for kind in each} | {
            (node(store, index), Role.MANIFEST, Media.MANIFEST, False)
        }
        assert store.missing() == [ABSENT["digest"]]


def test_faults_alone_can_be_recorded(layout: LayoutWriter) -> None:
    image, corrupt = layout.manifest(layout.config(), [ABSENT]), layout.image("corrupt")
    layout.blob_path(corrupt).write_text("x")
    index = layout.index([image, corrupt])
    with scanned(layout) as store:
        store.record(descriptors=False)
        expand(store, index)
        assert [number for number, _ in store.faults()] == [node(store, corrupt)]
        assert (store.missing(), store.wrong_sizes()) == ([], [])
        assert edges(store, corrupt) == []


def test_faults_missing_blobs_and_wrong_sizes_are_recorded(layout: LayoutWriter) -> None:
    layer = layout.blob("layer")
    image = layout.manifest(layout.config(), [layer | {"size": 7}, layer | {"size": 8}, ABSENT, ABSENT])
    corrupt, malformed = layout.image("corrupt"), layout.blob("malformed", MANIFEST)
    layout.blob_path(corrupt).write_text("x")
    index = layout.index([corrupt, malformed, image])
    with scanned(layout) as store:
        store.record()
        expand(store, index)
        assert store.missing() == [ABSENT["digest"]]
        assert store.wrong_sizes() == sorted(node(store, blob) for blob in (layer, corrupt))
        faults = dict(store.faults())
        assert list(faults) == sorted(node(store, blob) for blob in (corrupt, malformed))
        assert isinstance(faults[node(store, corrupt)], CorruptError)
        assert isinstance(faults[node(store, malformed)], MalformedError)
        expand(store, index)
        assert len(store.faults()) == 2


def test_a_graph_that_is_cleared_can_be_read_anew(layout: LayoutWriter) -> None:
    image = layout.image("image")
    with scanned(layout) as store:
        expand(store, image)
        before = marked(store, image)
        store.clear_graph()
        assert marked(store, image) == {image["digest"]}
        expand(store, image)
        assert marked(store, image) == before
        assert len(before) > 1


def test_reach_forward_leaves_referrers_out(layout: LayoutWriter) -> None:
    image = layout.image("image")
    signature = layout.manifest(layout.config("signature"), subject=image)
    with scanned(layout) as store:
        expand(store, image, signature)
        root = [node(store, image)]
        assert node(store, signature) in store.mark([Group(root)]).owned(0, 1)
        owned = store.mark([Group(root, forward=True)]).owned(0, 1)
        assert {store.digest(each) for each in owned} == marked(store, image) - marked(store, signature)
        marks = store.mark([Group(root, forward=True), Group([node(store, signature)], forward=True)])
        assert (marks.owner(root[0]), marks.owner(node(store, signature))) == (0, 1)


def test_subjects_are_told_also_where_they_are_absent(layout: LayoutWriter) -> None:
    image, gone = layout.image("image"), layout.image("gone", ["gone"])
    signatures = [layout.manifest(layout.config("signature"), subject=subject) for subject in (image, gone)]
    layout.blob_path(gone).unlink()
    with scanned(layout) as store:
        expand(store, image, *signatures)
        asked = [node(store, image), NO_NODE, *(node(store, each) for each in signatures)]
        assert list(store.subjects(asked)) == [(2, node(store, image)), (3, NO_SUBJECT)]
        assert list(store.subjects([])) == []


# Cancelling


def test_a_cancelled_expansion_says_so_and_can_be_taken_up_again(layout: LayoutWriter) -> None:
    index = layout.index([layout.image(f"image {number}") for number in range(100)])
    with scanned(layout) as store:
        error, progress = ffi.new("struct ocigc_error *"), ffi.new("struct ocigc_progress *", {"cancel": 1})
        roots, media = ffi.new("uint32_t[]", [node(store, index)]), ffi.new("uint8_t[]", [lib.OCIGC_MEDIA_INDEX])
        arguments = store.handle, roots, media, 1, 0, progress, error
        assert lib.ocigc_graph_expand(*arguments) == lib.OCIGC_CANCELLED
        assert lib.ocigc_graph_find_referrers(store.handle, 0, 0, progress, error) == lib.OCIGC_CANCELLED
        progress.cancel = 0
        assert lib.ocigc_graph_expand(*arguments) == lib.OCIGC_OK
        assert len(marked(store, index)) == len(store)

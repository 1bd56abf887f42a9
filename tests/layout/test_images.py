"""The images of an index, against the plain reading of its JSON."""

from __future__ import annotations

import json
from array import array
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ocigc.layout.index_images
from ocigc.gc.graph import Graph
from ocigc.gc.images import NameKind
from ocigc.image import NAME_ANNOTATIONS, ImageRecord, dangling_name
from ocigc.layout.index_images import IndexImages
from ocigc.native import NO_NODE, Entries
from tests.helpers.images import RecordImages

DIGESTS = ["sha256:" + digit * 64 for digit in "abc"] + ["sha512:" + "d" * 128, "blake3:" + "a" * 64, "other+x:Y=_"]
REFERENCE = "containerd.io/gc.ref.content"
MEDIA_TYPES = [f"application/vnd.oci.image.{kind}.v1+json" for kind in ("manifest", "index")] + ["text/plain", ""]
NAMES = [
    "",
    "v1",
    "registry.example/app:v1",
    "é:\U0001f600",
    "app@" + DIGESTS[0],
    dangling_name(DIGESTS[0]),
    "app:" + DIGESTS[1].replace(":", "-") + ".sig",
    "registry.example/app:v1,registry.example/app:v2",
    "v1, v2 ,,v1",
    "not a name,v1",
    ",",
]


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    annotations = draw(
        st.dictionaries(
            st.sampled_from([*NAME_ANNOTATIONS, "org.opencontainers.image.created"]),
            st.sampled_from(NAMES),
        )
    )
    keys = st.sampled_from([REFERENCE, REFERENCE + ".x" * 40, REFERENCE + "/é", REFERENCE + "s", "other"])
    annotations |= draw(st.dictionaries(keys, st.sampled_from([*DIGESTS, "no digest"]), max_size=2))
    entry = {"digest": draw(st.sampled_from(DIGESTS)), "size": draw(st.integers(0, 2**63 - 1))}
    media_type = draw(st.sampled_from(MEDIA_TYPES))
    return entry | ({"mediaType": media_type} if media_type else {}) | {"annotations": annotations}


indexes = st.lists(entries(), max_size=8)
spellings = st.sampled_from([{}, {"indent": 2}, {"ensure_ascii": False}])


def written(manifests: list[dict[str, Any]], spelling: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": manifests}, **spelling).encode()


def name_of(entry: dict[str, Any]) -> str | None:
    annotations = entry["annotations"]
    names = (annotations.get(key) for key in NAME_ANNOTATIONS)
    return next((name for name in names if name), None)


def references_of(entry: dict[str, Any]) -> tuple[str, ...]:
    keys = (REFERENCE, REFERENCE + ".x" * 40, REFERENCE + "/é")
    return tuple(value for key, value in entry["annotations"].items() if key in keys)


@given(indexes, spellings)
def test_every_entry_is_what_it_says(manifests: list[dict[str, Any]], spelling: dict[str, Any]) -> None:
    content = written(manifests, spelling)
    found = Entries(content)
    assert len(found) == len(manifests)
    for entry, expected in zip(found, manifests, strict=True):
        assert json.loads(content[entry.start : entry.end]) == expected
        assert entry.descriptor.digest == expected["digest"]
        assert entry.descriptor.size == expected["size"]
        assert entry.descriptor.media_type == expected.get("mediaType", "")
        assert entry.name == name_of(expected)
        assert entry.created == (expected["annotations"].get("org.opencontainers.image.created") or None)
        assert entry.references == references_of(expected)
    assert list(found.sizes()) == [entry.descriptor.size for entry in found]
    assert list(found.medias()) == [entry.descriptor.media for entry in found]
    assert list(found.names()) == [entry.name for entry in found]
    assert [found.name(position)[0] for position in range(len(found))] == list(found.names())
    targets = [found.name(position)[1] for position in range(len(found))]
    digests = [entry["digest"] for entry in manifests]
    assert [targets.index(target) for target in targets] == [digests.index(digest) for digest in digests]


def records(manifests: list[dict[str, Any]], repository: str | None) -> list[ImageRecord]:
    """One image a name and target, in the order of the first entries."""
    found: dict[tuple[str, ...], ImageRecord] = {}
    for position, entry in enumerate(Entries(written(manifests, {}))):
        listed = {
            "registry.example/app:v1,registry.example/app:v2": ["registry.example/app:v1", "registry.example/app:v2"],
            "v1, v2 ,,v1": ["v1", "v2"],
        }
        names = listed.get(entry.name or "", [entry.name] if entry.name else [])
        bare = repository is None and names[0:1] == ["v1"]
        if repository is not None:
            names = [f"{repository}:{name}" if name in ("v1", "v2") else name for name in names]
        key = (*names, entry.descriptor.digest)
        name, *aliases = names or [dangling_name(entry.descriptor.digest)]
        nameless = not names
        first = found.get(key, ImageRecord(name, entry.descriptor, (), (), None, bare, tuple(aliases), nameless))
        references, entries = first.references + entry.references, (*first.entries, position)
        found[key] = replace(first, references=references, entries=entries)
    return list(found.values())


class Nodes:
    """Of a graph, what the images ask: every second digest is here."""

    def find(self, digest: str) -> int | None:
        number = DIGESTS.index(digest) if digest in DIGESTS else 1
        return None if number % 2 else number


@given(indexes, spellings, st.sampled_from([None, "registry.example/app"]))
def test_the_images_are_those_of_the_records(
    manifests: list[dict[str, Any]], spelling: dict[str, Any], repository: str | None
) -> None:
    graph: Graph = Nodes()  # type: ignore[assignment]
    entries = Entries(written(manifests, spelling))
    nodes = (graph.find(entry.descriptor.digest) for entry in entries)
    images = IndexImages.of(entries, repository).located(array("I", (NO_NODE if n is None else n for n in nodes)))
    plain = RecordImages(records(manifests, repository))
    assert len(images) == len(plain)
    assert list(images) == list(plain)
    assert sorted(images.roots(graph)) == sorted(plain.roots(graph))
    assert list(images.in_order()) == list(plain.in_order())
    assert list(images.targets(graph)) == list(plain.targets(graph))
    assert images.groups(graph) == plain.groups(graph)
    assert list(images.repositories(repository)) == list(plain.repositories(repository))
    assert sorted(images.entries) == sorted(plain.entries) == list(range(len(entries)))
    assert [images[position] for position in images.positions] == list(images)
    dated = images.dated(lambda position: None if position % 2 else position - 1)
    assert list(dated) == list(plain.dated(lambda position: None if position % 2 else position - 1))
    for kinds in ([NameKind.NAMED], [NameKind.NAMELESS, NameKind.DANGLING, NameKind.FALLBACK], list(NameKind)):
        some = images.of_kind(*kinds)
        assert list(some) == list(plain.of_kind(*kinds))
        assert sorted(some.roots(graph)) == sorted(plain.of_kind(*kinds).roots(graph))
        assert not list(some.of_kind(*set(NameKind) - set(kinds)))


@given(indexes)
def test_images_whose_keys_have_one_number(manifests: list[dict[str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ocigc.layout.index_images, "hash", lambda _: 0, raising=False)
        images = IndexImages.of(Entries(written(manifests, {})), None)
    assert list(images) == list(RecordImages(records(manifests, None)))

"""Edges that no manifest states: between referrers and their subjects, and from labels that name images.

`cosign save` and hauler keep signatures, attestations and bills of materials as entries of index.json. The `kind`
annotation of such an entry says what it is, and its payload names the digest of its subject.

Sources: cosign `pkg/oci/layout/write.go` (`kind`) and "Simple Signing"; in-toto "Statement"; hauler
`pkg/content/oci.go`, whose version 2 calls the kinds `dev.hauler/…`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.gc.images import Images, NameKind
from ocigc.gc.referrers import Relations, Subjects, find_subjects, relate
from ocigc.image import Media
from ocigc.layout.index_images import IndexImages
from ocigc.layout.manifests import Documents
from ocigc.native import NO_NODE, Entries, Role, Store, parse_children
from ocigc.values import replace

_PREFIXES = ("dev.cosignproject.cosign/", "dev.hauler/")
_IMAGES = ("image", "imageIndex")
_ABOUT = ("sigs", "atts", "sboms")
_MANIFEST_LIMIT = 16 << 20  # bytes
_PAYLOAD_LIMIT = 4 << 20
_DEPTH = 8  # of nesting in a payload


def add_referrers(images: IndexImages, entries: Entries, store: Store) -> Subjects:
    """Makes referrers stay with their subjects, in whatever way they state them. Gives those subjects."""
    subjects = find_subjects(images, store, stated_subjects(images, entries, store))
    present = subjects.present
    for position, target in zip(present, images.picked(present).targets(store), strict=True):
        if target != NO_NODE:
            _each(store.add_referrer, present[position], target)
    return subjects


def related(
    images: IndexImages, entries: Entries, subjects: Subjects, others: Sequence[int], store: Store
) -> Relations:
    """The relations of all entries. Edges to entries that turn out not to be referrers are removed. `others` are the
    roots that are not images: of leases and labels.
    """
    relations = relate(images, subjects, others, store, _absent_parts(images, store))
    alone = [each for each in subjects.present if each not in relations.subjects and each not in relations.parts]
    for position, target in zip(alone, images.picked(alone).targets(store), strict=True):
        stated = None if target == NO_NODE else store.subject(target)
        _each(store.remove_referrer, (node for node in subjects.present[position] if node != stated), target)
    return replace(relations, labelled=_labelled(images, entries, store))


def _absent_parts(images: IndexImages, store: Store) -> Mapping[int, Sequence[int]]:
    """By position, the images without a name whose target is absent, and the manifests and indexes that refer to it."""
    nameless = images.of_kind(NameKind.NAMELESS)
    places = zip(nameless.positions, nameless.targets(store), strict=True)
    absent = {images[position].target.digest: position for position, node in places if node == NO_NODE}
    if not absent:
        return {}
    documents = Documents(store)
    found: dict[int, list[int]] = {}
    for node in store.incomplete():
        for child in documents.children(node):
            if (position := absent.get(child.descriptor.digest)) is not None and child.role != Role.SUBJECT:
                found.setdefault(position, []).append(node)
    return found


def detach(images: Images, relations: Relations, detached: Iterable[int], store: Store) -> None:
    """Lets referrers (by position) go without their subject: it no longer keeps their content."""
    subjects = {**relations.subjects, **relations.part_subjects}
    referrers = [position for position in detached if position in subjects]
    for position, target in zip(referrers, images.picked(referrers).targets(store), strict=True):
        _each(store.remove_referrer, subjects[position], target)


def _each(change: Callable[[int, int], None], subjects: Iterable[int], referrer: int) -> None:
    for subject in subjects:
        change(subject, referrer)


def _labelled(images: IndexImages, entries: Entries, store: Store) -> Mapping[int, Sequence[int]]:
    """By position, the images whose name a `gc.ref.image` label refers to, and the nodes that have such a label: the
    blob, or the target of the entry.
    """
    nodes: dict[str, list[int]] = {}
    for node, name in store.image_labels():
        nodes.setdefault(name, []).append(node)
    stated = entries.image_references()
    for names, target in zip(stated.values(), images.picked(stated).targets(store), strict=True):
        for name in names if target != NO_NODE else ():
            nodes.setdefault(name, []).append(target)
    if not nodes:
        return {}
    found = ((image.position, [node for name in image.names for node in nodes.get(name, ())]) for image in images)
    return {position: keepers for position, keepers in found if keepers}


def with_back_labels(images: IndexImages, store: Store) -> IndexImages:
    """The images, with the blobs that stay with an image of some name by their `gc.bref.image` label."""
    labelled: dict[str, list[str]] = {}
    for node, name in store.image_back_labels():
        labelled.setdefault(name, []).append(store.digest(node))
    if not labelled:
        return images
    found = {image.position: [*chain.from_iterable(labelled.get(name, ()) for name in image.names)] for image in images}
    return images.with_labelled({position: digests for position, digests in found.items() if digests})


def stated_subjects(images: IndexImages, entries: Entries, store: Store) -> dict[int, Collection[str]]:
    """By position of the image, the digests of subjects that entries state outside of their manifests.

    An entry that names no subject refers to the images of the same name, or else to all images that were saved with it.
    """
    subjects, annotations = entries.subjects(), entries.kinds()
    if not subjects and not annotations:
        return {}
    found: dict[int, Collection[str]] = {}
    kinds: dict[int, str] = {}
    for position in images.positions:
        entries_of_it = images.entries_of(position)
        if stated := [subjects[each] for each in entries_of_it if each in subjects]:
            found[position] = stated
        kinds[position] = max(_kind(annotations.get(each, "")) for each in entries_of_it)
    about = [position for position, kind in kinds.items() if kind in _ABOUT]
    for position, target in zip(about, images.picked(about).targets(store), strict=True):
        named = set() if target == NO_NODE else set(_payload_digests(store, target, images[position].target.media))
        found[position] = {*found.get(position, ()), *(named or _saved_with(images, position, kinds))}
    return found


def _kind(annotation: str) -> str:
    """The kind without its prefix; empty for a kind of other tools."""
    prefix = next((each for each in _PREFIXES if annotation.startswith(each)), None)
    return "" if prefix is None else annotation.removeprefix(prefix)


def _saved_with(images: IndexImages, position: int, kinds: Mapping[int, str]) -> set[str]:
    others = [each for each in images.positions if kinds.get(each) in _IMAGES]
    names = images[position].names
    of_name = {images[each].target.digest for each in others if images[each].names == names}
    return set(of_name or {images[each].target.digest for each in others})


def _payload_digests(store: Store, node: int, media: Media) -> Iterator[str]:
    """The digests that the layers of a manifest name as their subjects."""
    try:
        children = list(parse_children(store.read(node, _MANIFEST_LIMIT), media))
    except Refused:
        return
    for role, descriptor, _ in children:
        layer = store.find(descriptor.digest) if role == Role.LAYER else None
        if layer is None or store.size(layer) > _PAYLOAD_LIMIT:
            continue
        try:
            yield from _named(json.loads(store.read(layer, _PAYLOAD_LIMIT)), _DEPTH)
        except (Refused, ValueError, RecursionError):
            continue


def _named(payload: object, depth: int) -> Iterator[str]:
    """The subjects of a payload: simple signing, an in-toto statement, or an envelope around one."""
    if not isinstance(payload, dict) or not depth:
        return
    critical = payload.get("critical")
    image = critical.get("image") if isinstance(critical, dict) else None
    if isinstance(image, dict):
        yield from _digests([image.get("docker-manifest-digest")])
    subjects = payload.get("subject")
    for subject in subjects if isinstance(subjects, list) else ():
        digest = subject.get("digest") if isinstance(subject, dict) else None
        if isinstance(digest, dict):
            yield from _digests([f"{algorithm}:{encoded}" for algorithm, encoded in digest.items()])
    wrapped = payload.get("payload")
    if isinstance(wrapped, str):
        from base64 import b64decode

        yield from _named(json.loads(b64decode(wrapped, validate=True)), depth - 1)


def _digests(texts: list[object]) -> Iterator[str]:
    return (text for text in texts if isinstance(text, str) and Digest.parse_registered(text) is not None)

"""Edges that no manifest has: between referrers and their subjects, and by labels that name images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from ocigc.gc.images import Images, NameKind
from ocigc.gc.referrers import Relations, Subjects, find_subjects, relate
from ocigc.layout.cosign import stated_subjects
from ocigc.layout.documents import Documents
from ocigc.layout.index_images import IndexImages
from ocigc.native import NO_NODE, Entries, Role, Store


def add_referrers(images: IndexImages, entries: Entries, store: Store) -> Subjects:
    """Lets referrers stay with their subjects, however they tell them; gives those."""
    subjects = find_subjects(images, store, stated_subjects(images, entries, store))
    present = subjects.present
    for position, target in zip(present, images.picked(present).targets(store), strict=True):
        if target != NO_NODE:
            _each(store.add_referrer, present[position], target)
    return subjects


def related(
    images: IndexImages, entries: Entries, subjects: Subjects, others: Sequence[int], store: Store
) -> Relations:
    """The relations of all entries. No edge is left to what turns out not to be a referrer. `others` are the roots
    besides images: of leases and labels.
    """
    relations = relate(images, subjects, others, store, _absent_parts(images, store))
    alone = [each for each in subjects.present if each not in relations.subjects and each not in relations.parts]
    for position, target in zip(alone, images.picked(alone).targets(store), strict=True):
        stated = None if target == NO_NODE else store.subject(target)
        _each(store.remove_referrer, (node for node in subjects.present[position] if node != stated), target)
    return replace(relations, labelled=_labelled(images, entries, store))


def _absent_parts(images: IndexImages, store: Store) -> Mapping[int, Sequence[int]]:
    """By position the images without a name that are absent, and the manifests and indexes that refer to them."""
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
    """Lets referrers, by position, go without their subject: that keeps their content no more."""
    referrers = [position for position in detached if position in relations.subjects]
    for position, target in zip(referrers, images.picked(referrers).targets(store), strict=True):
        _each(store.remove_referrer, relations.subjects[position], target)


def _each(change: Callable[[int, int], None], subjects: Iterable[int], referrer: int) -> None:
    for subject in subjects:
        change(subject, referrer)


def _labelled(images: IndexImages, entries: Entries, store: Store) -> Mapping[int, Sequence[int]]:
    """By position the images to whose name a `gc.ref.image` label refers, of a blob or of an entry, and the nodes that
    have it: its blob, or the entry's target.
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


def follow_back_labels(images: Images, store: Store) -> None:
    """Lets blobs with a `gc.bref.image` label stay with the target of the image of that name."""
    labelled: dict[str, list[int]] = {}
    for node, name in store.image_back_labels():
        labelled.setdefault(name, []).append(node)
    if not labelled:
        return
    for image, target in zip(images, images.targets(store), strict=True):
        if target != NO_NODE:
            for node in chain.from_iterable(labelled.get(name, ()) for name in image.names):
                store.add_referrer(target, node)

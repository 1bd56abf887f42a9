"""A snapshot of a layout: the images, the leases, and the graph of all that they reach, as read at one moment."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from functools import partial
from itertools import chain
from typing import Protocol

from ocigc.digest import Digest
from ocigc.errors import CorruptError, MalformedError
from ocigc.gc.decide import Inputs
from ocigc.gc.graph import Group
from ocigc.gc.images import Images
from ocigc.gc.mark import root_groups
from ocigc.gc.referrers import Relations, Subjects
from ocigc.hard_links import RemovedLinks
from ocigc.image import Media
from ocigc.labels import Lease
from ocigc.layout import docker_list, leases, relations
from ocigc.layout.index import Index, parse
from ocigc.layout.index_images import IndexImages
from ocigc.layout.layout import INDEX, Layout
from ocigc.layout.listing import Listing, naming_path
from ocigc.native import NEVER, NO_NODE, Background, Detail, Entries, Store, Unverifiable
from ocigc.progress import Watcher
from ocigc.values import frozen


class OtherLayouts(Protocol):
    """What other layouts need from a layout."""

    @property
    def unknown(self) -> str:
        """Why some of their needs are unknown; empty where all are known."""

    def needed(self) -> frozenset[Digest]:
        """The digests of all that they need and lack, at this moment."""

    def kept(self, store: Store) -> array[int]:
        """The nodes of the blobs that they have too, for a layout that has no image of its own."""

    def changed(self) -> bool:
        """Whether any of them has changed since `needed` was last asked."""

    def belonging(self, wanted: Collection[Digest], entries: Collection[Digest]) -> Mapping[Digest, frozenset[Digest]]:
        """By target that this layout lacks, the targets of those of its `entries` that reach it, or to which it refers
        as its subject. Manifests in other layouts tell.
        """


@frozen
class Snapshot:
    """A layout as it was at one moment. Bare tags belong to `repository` (normalised). `targets` are the nodes of the
    targets of all entries of index.json, NO_NODE where absent. The `parts` are not among the `images`. Other layouts
    need the nodes `needed`. `written` is the instant of the last change of index.json.
    """

    layout: Layout
    repository: str | None
    index: Index
    targets: Sequence[int]
    images: Images
    parts: Images
    relations: Relations
    leases: Sequence[Lease]
    store: Store
    needed: Sequence[int] = ()
    written: int = 0

    @property
    def inputs(self) -> Inputs:
        """What the rules see of it."""
        return Inputs(self.images, self.parts, self.relations, self.leases, self._own_roots, self.store, self.written)

    @property
    def _own_roots(self) -> array[int]:
        """What stays whatever the entries and leases are. To the rules, what another layout needs is like a label."""
        return self.store.own_roots() + array("I", self.needed)

    @property
    def entries(self) -> Images:
        """The images and the parts."""
        return self.images.picked(chain(self.images.positions, self.parts.positions)) if self.parts else self.images

    def roots(self, now: int) -> list[Group]:
        """All roots at the instant `now`: the entries of index.json, leases, labels and what other layouts need."""
        active = [lease for lease in self.leases if lease.active(now)]
        return root_groups(self.entries.roots(self.store), active, self._own_roots, self.store)

    @property
    def absent(self) -> set[Digest]:
        """The digests that entries of index.json name and that are absent."""
        entries = self.index.entries
        return {entries[n].descriptor.digest for n, node in enumerate(self.targets) if node == NO_NODE}


class Tolerated(Enum):
    """What does not make a load fail; the store records it instead."""

    NOTHING = auto()
    DAMAGE = auto()
    """Bad manifests, as its faults."""
    ALL = auto()
    """Bad descriptors, too."""


@frozen
class LoadTerms:
    """How to read a layout. Orphaned manifests newer than `in_grace_after` are read too. With `accept_data`, an entry
    with bad embedded data is not refused: the caller looks at `corrupt_data`. `measure` says that the status of every
    blob will be asked for, `identify` also which file it is, for a ledger. `taken` are the hard links that this run has
    removed from other layouts; they make no blob in this one newer. `elsewhere` says what other layouts need; that is a
    root here.
    """

    tolerated: Tolerated = Tolerated.NOTHING
    in_grace_after: int = NEVER
    accept_data: bool = False
    measure: bool = False
    identify: bool = False
    taken: RemovedLinks | None = None
    elsewhere: OtherLayouts | None = None


STRICTLY = LoadTerms()
TOLERATING_ALL = LoadTerms(Tolerated.ALL)


def load(layout: Layout, repository: str | None, now: int, watch: Watcher, terms: LoadTerms = STRICTLY) -> Snapshot:
    """Reads a layout. Raises Refused where it is unknown what an image or lease refers to, unless that is recorded.

    Bare tags belong to `repository` (normalised). Leases that ended before the instant `now` keep nothing.
    """
    # In the order of a Listing.
    with naming_path(layout):
        found = leases.load(layout.dir)
    detail = Detail.IDENTITY if terms.identify or terms.tolerated is Tolerated.ALL else Detail.NAMES
    scan = partial(_scan, layout, repository, detail, terms.taken, watch, found)
    try:
        scanned = scan(layout.index_content())
    except MalformedError:  # or somebody is about to write it
        scanned = scan(layout.read_index())
    return _read(layout, repository, now, watch, terms, scanned)


def load_listed(layout: Layout, listing: Listing, now: int, watch: Watcher) -> Snapshot:
    """Reads the rest of a layout that is listed, with `TOLERATING_ALL`. Raises as `load`, and MalformedError also where
    index.json was just being written. Then it closes the store."""
    try:
        index = parse(listing.index)
        images = IndexImages.of(index.entries, None)
    except BaseException:
        listing.store.close()
        raise
    return _read(layout, None, now, watch, TOLERATING_ALL, _Scanned(listing.leases, index, images, listing.store))


@frozen
class _Scanned:
    """A `Listing` whose index.json is parsed."""

    leases: Sequence[Lease]
    index: Index
    images: IndexImages
    store: Store


def _read(
    layout: Layout, repository: str | None, now: int, watch: Watcher, terms: LoadTerms, scanned: _Scanned
) -> Snapshot:
    """Reads all that the index and the leases reach. Closes the store where that fails."""
    index, images, store = scanned.index, scanned.images, scanned.store
    tolerated, elsewhere = terms.tolerated, terms.elsewhere
    written = _written(layout)
    try:
        if tolerated is not Tolerated.NOTHING:
            store.record(descriptors=tolerated is Tolerated.ALL)
        if terms.measure:
            store.keep_statuses()
        with naming_path(layout):
            try:
                store.read_labels(watch("Reading labels"))
            except MalformedError as error:
                raise MalformedError(f"{error}; nobody knows what it keeps: repair or remove it") from None
        targets = index.entries.targets(store)
        if tolerated is not Tolerated.ALL and not terms.accept_data:
            with naming_path(layout):
                for _, reason in corrupt_data(index.entries, targets):
                    raise CorruptError(reason)
        images = relations.with_back_labels(images.located(targets), store)
        needed = array("I") if elsewhere is None else present(elsewhere.needed(), store)
        # A file of 0 bytes that another layout needs stays, but it refers to nothing.
        told = array("I", (node for node in needed if store.size(node)))
        others = _other_roots(scanned.leases, store, now) + told
        subjects = _read_manifests(layout, index.entries, images, targets, others, store, watch)
        images = images.read_as(_forms(index.entries, targets, store))
        _verifying(layout, store, lambda: store.find_referrers(terms.in_grace_after, watch("Looking for referrers")))
        with naming_path(layout):
            docker_list.keep_listed(layout.dir, images.roots(store), store, tolerant=tolerated is Tolerated.ALL)
        found = relations.related(images, index.entries, subjects, _other_roots(scanned.leases, store, now), store)
        if elsewhere is not None and not index.entries:
            needed += elsewhere.kept(store)
    except BaseException:
        store.close()
        raise
    parts = frozenset(found.parts)
    alone = images.picked(each for each in images.positions if each not in parts) if parts else images
    return Snapshot(
        layout, repository, index, targets, alone, images.picked(parts), found, scanned.leases, store, needed, written
    )


def _written(layout: Layout) -> int:
    try:
        status = layout.dir.stat(INDEX)
    except OSError:  # it was removed a moment ago
        return NEVER
    return max(status.st_mtime_ns, status.st_ctime_ns)


def _read_manifests(
    layout: Layout,
    entries: Entries,
    images: IndexImages,
    targets: array[int],
    others: array[int],
    store: Store,
    watch: Watcher,
) -> Subjects:
    """Reads the manifests that the entries and the roots `others` reach. Gives the subjects of referrers."""
    references, medias = entries.reference_roots(store)
    further = images.labelled(store) + others
    roots = targets + references + further
    types = entries.medias() + medias + bytes([Media.NONE]) * len(further)
    layout.read_ahead(store, roots, types, watch)
    _verifying(layout, store, lambda: store.expand(roots, types, watch("Reading manifests")))
    return relations.add_referrers(images, entries, store)


def _forms(entries: Entries, targets: array[int], store: Store) -> dict[int, Media]:
    """How targets were read whose media type does not tell it: `oras tag` writes such types."""
    medias, unknown = entries.medias(), {Media.UNKNOWN, Media.NONE}
    if not unknown.intersection(medias):
        return {}
    places = ((position, targets[position]) for position, media in enumerate(medias) if media in unknown)
    found = ((position, store.form(node)) for position, node in places if node != NO_NODE)
    return {position: form for position, form in found if form != Media.UNKNOWN}


def _scan(
    layout: Layout,
    repository: str | None,
    detail: Detail,
    taken: RemovedLinks | None,
    watch: Watcher,
    found: Sequence[Lease],
    content: bytes | Index,
) -> _Scanned:
    """Parses index.json from the given bytes, and lists the blobs; the leases have been `found` before."""

    def read() -> tuple[Index, IndexImages]:
        index = parse(content) if isinstance(content, bytes) else content
        return index, IndexImages.of(index.entries, repository)

    with Background(read) as reading:  # listing names keeps only one core busy
        store = layout.scan(watch("Scanning blobs"), detail, taken)
    try:
        return _Scanned(found, *reading.result(), store)
    except BaseException:
        store.close()
        raise


def corrupt_data(entries: Entries, targets: Sequence[int]) -> Iterator[tuple[int, str]]:
    """The entries, by position, for which it is unknown what they refer to, and why. If a target is absent, only the
    data that its entry embeds can tell.
    """
    for position in entries.corrupt_data():
        if targets[position] == NO_NODE:
            digest = entries[position].descriptor.digest
            yield position, f"index.json: manifests[{position}]: the data of {digest} does not have this digest"


def _other_roots(leases: Sequence[Lease], store: Store, now: int) -> array[int]:
    """The roots that are not images, at the instant `now`: of leases, and by labels."""
    resources = (digest for lease in leases if lease.active(now) for digest in lease.resources)
    return _found(resources, store) + store.own_roots()


def present(digests: Collection[Digest], store: Store) -> array[int]:
    """The nodes of those digests that are in a store."""
    if len(digests) > len(store):
        found = enumerate(store.digests(range(len(store))))
        return array("I", (node for node, digest in found if digest in digests))
    return array("I", (node for node in map(store.find, digests) if node is not None))


def _found(digests: Iterable[str], store: Store) -> array[int]:
    return array("I", (node for node in map(store.find, digests) if node is not None))


def _verifying(layout: Layout, store: Store, step: Callable[[], None]) -> None:
    """Repeats a step of reading manifests until those that the native core cannot verify are verified."""
    with naming_path(layout):
        while True:
            try:
                return step()
            except Unverifiable:
                from ocigc.layout import blob_check

                blob_check.verify_uncomputed(layout.dir, store)

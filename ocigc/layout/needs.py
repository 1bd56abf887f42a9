"""Blobs that several layouts share. What one layout needs and lacks, another must keep.

Three kinds of stores are like this: a common blob directory (skopeo's `--dest-shared-blob-dir`); zot's `_blobstore`,
which has a link to every blob and names nothing; and zot on an object store, where a file of 0 bytes stands for a blob
in another repository.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain

from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused
from ocigc.image import Media
from ocigc.labels import Lease, is_content_reference, is_root
from ocigc.layout import docker_list, label_files, leases
from ocigc.layout.dirfd import Dir
from ocigc.layout.index import Index
from ocigc.layout.layout import INDEX, INDEX_LIMIT, Layout
from ocigc.layout.snapshot import Snapshot
from ocigc.native import NO_NODE, Role, Store, parse_children

_LIMIT = 16 << 20  # bytes
_BEGINNING = -(1 << 62)  # an instant before all files
_DIGESTS = re.compile(rb"sha256:[0-9a-f]{64}(?![0-9a-f])|sha512:[0-9a-f]{128}(?![0-9a-f])")
# The digests of empty content.
_EMPTY = frozenset(
    (
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
        "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
        "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    )
)


def is_hollow(store: Store, node: int) -> bool:
    """Whether a file of 0 bytes stands for a blob that is not empty."""
    return store.size(node) == 0 and store.digest(node) not in _EMPTY


def hollow(store: Store) -> list[int]:
    """All such nodes."""
    return [node for node in store.empty() if is_hollow(store, node)]


def needs(
    snapshot: Snapshot, now: int, entries: Collection[int] = (), blobs: Collection[int] = ()
) -> frozenset[Digest]:
    """The digests of all that a layout needs at the instant `now`, and lacks or has only as a hollow file (of 0 bytes).
    The entries at some positions, and some blobs (nodes), can be left out.
    """
    store, index = snapshot.store, snapshot.index
    store.stat()
    going = frozenset(blobs)
    found: set[Digest] = set()
    for position, node in enumerate(snapshot.targets):
        if node == NO_NODE and position not in entries:
            found.add(index.entries[position].descriptor.digest)
    found.update(_absent(named(index, snapshot.leases, now, entries), store))
    faults = [node for node, _ in store.faults() if node not in going]
    found.update(store.digests(faults))
    for node in chain(store.incomplete(), faults):
        if node not in going:
            found.update(_absent(_children(store, node), store))
            found.update(_absent(_labelled(snapshot.layout, store.digest(node)), store))
    found.update(_absent(_rooted(snapshot.layout, store), store))
    found.update(_absent(_listed(snapshot.layout, frozenset(store.digests(going))), store))
    found.update(store.digests(node for node in hollow(store) if node not in going))
    return frozenset(found)


def damage(snapshot: Snapshot) -> str:
    """The first damaged manifest, as it is unknown what that needs; empty if there is none. A hollow file is not
    damaged: it stands for a blob in another layout.
    """
    store = snapshot.store
    return next((str(error) for node, error in store.faults() if not is_hollow(store, node)), "")


def needs_of_index(layout: Layout, now: int) -> frozenset[Digest]:
    """The needs of a layout whose blobs cannot be read: all that its entries and leases name. Raises Refused."""
    index = layout.read_index()
    targets = (entry.descriptor.digest for entry in index.entries)
    referred = named(index, leases.load(layout.dir), now)
    labelled = (each for digest in _label_files(layout) for each in _labelled(layout, digest))
    return frozenset(chain(targets, referred, labelled, _rooted(layout), _listed(layout)))


def mentioned(directory: Dir) -> frozenset[Digest]:
    """All digests in an index.json that cannot be parsed, as it may have been cut off."""
    try:
        return frozenset(Digest(found.decode()) for found in _DIGESTS.findall(directory.read(INDEX, INDEX_LIMIT)))
    except (OSError, Refused):
        return frozenset()


def needs_of_blobs(directory: Dir) -> frozenset[Digest]:
    """The digests that the blobs of a layout refer to and that it lacks, and its hollow files. More is not known if
    nothing else of the layout can be read. Raises Refused and OSError.
    """
    with Store.scan(directory.fd) as store:
        store.record()
        store.stat()
        store.find_referrers(_BEGINNING)
        doubtful = chain(store.incomplete(), (node for node, _ in store.faults()))
        children = chain.from_iterable(_children(store, node) for node in doubtful)
        return frozenset(chain(_absent(children, store), store.digests(hollow(store))))


def named(index: Index, all_leases: Sequence[Lease], now: int, without: Collection[int] = ()) -> Iterator[Digest]:
    """What labels of entries, and the leases active at the instant `now`, refer to. The entries at the positions
    `without` do not count.
    """
    for position, references in index.entries.references().items():
        if position not in without:
            yield from (Digest(each) for each in references if Digest.recognises(each))
    for lease in all_leases:
        if lease.active(now):
            yield from map(Digest, lease.resources)


def _label_files(layout: Layout) -> Iterator[Digest]:
    """The digests of the blobs that have labels, present or not."""
    for algorithm in layout.dir.names_below(label_files.DIRECTORY):
        with suppress(NotADirectoryError):
            for name in layout.dir.names_below(label_files.DIRECTORY, algorithm):
                digest = Digest.parse_registered(f"{algorithm}:{name.removesuffix(label_files.SUFFIX)}")
                if digest is not None and name.endswith(label_files.SUFFIX):
                    yield digest


def _labelled(layout: Layout, digest: Digest) -> Iterator[Digest]:
    """What the labels of a blob refer to. Raises Refused."""
    for key, value in label_files.read(layout.dir, digest).items():
        if is_content_reference(key) and Digest.recognises(value):
            yield Digest(value)


def _rooted(layout: Layout, store: Store | None = None) -> Iterator[Digest]:
    """Digests that labels make roots and the store lacks; without a store, all that they make roots. Raises Refused."""
    for digest in _label_files(layout):
        if (store is None or store.find(digest) is None) and any(map(is_root, label_files.read(layout.dir, digest))):
            yield digest


def _listed(layout: Layout, going: Collection[Digest] = ()) -> Iterator[Digest]:
    """What the list of `docker save` names, without entries whose config goes. Raises Refused."""
    for entry in docker_list.read(layout.dir):
        if entry.config not in going:
            yield from (*(() if entry.config is None else (entry.config,)), *entry.layers)


def _absent(digests: Iterable[Digest], store: Store) -> Iterator[Digest]:
    return (digest for digest in digests if store.find(digest) is None)


def _children(store: Store, node: int) -> Iterator[Digest]:
    """What a document refers to, without its subject, which a referrer does not need."""
    try:
        content = store.read(node, _LIMIT, verify=False)
    except Refused:
        return
    for media in (Media.MANIFEST, Media.INDEX, Media.JSON):
        try:
            found = list(parse_children(content, media))
        except MalformedError:
            continue
        yield from (child.digest for role, child, _ in found if role != Role.SUBJECT)
        return

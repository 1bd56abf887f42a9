"""Other layouts that may share blobs with the one that is pruned, and what they need of it.

A prune of a tree counts what the layouts will need once it is done. `TreeNeeds`, for commands that only read, counts
what they need now. So these commands never promise more than a prune frees; they promise less for blobs that several
layouts lose in the same run.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

from ocigc.digest import Digest
from ocigc.errors import OcigcError, Refused, UsageError, printable
from ocigc.gc.mark import root_groups
from ocigc.layout.belonging import Belonging, ReadContent, belonging
from ocigc.layout.blob_check import hasher
from ocigc.layout.dirfd import Dir
from ocigc.layout.discover import Found, Tree
from ocigc.layout.label_files import DIRECTORY as LABELS
from ocigc.layout.layout import INDEX, Layout
from ocigc.layout.leases import DIRECTORY as LEASES
from ocigc.layout.manifests import LIMIT
from ocigc.layout.needs import damage, mentioned, needs, needs_of_blobs, needs_of_index
from ocigc.layout.snapshot import TOLERATING_ALL, LoadTerms, OtherLayouts, Tolerated, load
from ocigc.native import Store
from ocigc.progress import SILENT, Watcher

Stamp = tuple[tuple[int, ...], ...]
"""Changes when index.json or the leases of a layout change."""


@dataclass(slots=True)
class Peer:
    """A layout, by its name in messages, and how to open it, or only its directory.

    `needs` are the digests of all that it needs and lacks; None until they have been read. If some of these cannot be
    known, `unknown` says why; `damage` does so for what a damaged manifest needs. With `has_blobs`, it has blobs that
    are not damaged; otherwise it shares the blobs of others. If it is `blind`, its blobs cannot be read, and what its
    entries name is needed. Unless it is `expected`, it may be an empty directory, which needs nothing.
    """

    name: str
    open: Callable[[], Layout]
    open_directory: Callable[[], Dir]
    expected: bool = False
    needs: frozenset[Digest] | None = None
    unknown: str = ""
    damage: str = ""
    has_blobs: bool = True
    blind: bool = False
    stamp: Stamp = field(default=())

    @property
    def doubt(self) -> str:
        """Why some of its needs are unknown, beginning with its name; empty if all are known."""
        reason = self.unknown or self.damage
        return reason if not reason or reason.startswith(self.name) else f"{self.name}: {reason}"

    def read_needs(self, now: int, elsewhere: OtherLayouts | None = None) -> frozenset[Digest]:
        """Reads what it needs at the instant `now`: for itself, and for what others need of it (`elsewhere`)."""
        self.stamp = self.stamp_now()
        self.unknown = self.damage = ""
        self.blind = False
        try:
            with self.open() as layout:
                self.has_blobs = _has_blobs(layout.dir)
                try:
                    snapshot = load(layout, None, now, SILENT, LoadTerms(Tolerated.ALL, elsewhere=elsewhere))
                except Refused:  # for example, its blobs are elsewhere: a symlink is not followed
                    self.blind = True
                    self.needs = needs_of_index(layout, now)
                else:
                    with snapshot.store as store:
                        self.needs = needs(snapshot, now)
                        self.damage = damage(snapshot)
                        self.has_blobs = len(store) > len(store.faults())
        except (OcigcError, OSError) as error:
            self.unknown = str(error)
            self.needs = frozenset()
            with suppress(OSError), self.open_directory() as directory:
                if not (self.expected or any(map(directory.exists, (INDEX, LEASES, LABELS)))):
                    self.unknown = ""  # it is about to be written, or was removed: it names nothing
                self.needs = mentioned(directory)
                self.has_blobs = _has_blobs(directory, files=bool(self.needs))
                with suppress(Refused):
                    self.needs |= needs_of_blobs(directory)
        return self.needs

    def stamp_now(self) -> Stamp:
        """The present value of `stamp`."""
        stamps = []
        with suppress(OSError), self.open_directory() as directory:
            for name in (INDEX, LEASES):
                with suppress(OSError):
                    status = directory.stat(name)
                    stamps.append((status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size))
        return tuple(stamps)

    def blobs(self) -> Iterator[Digest]:
        """The digests of all blobs that it has. Raises Refused and OSError where they cannot be read."""
        with self.open() as layout, Store.scan(layout.fd) as store:
            yield from store.digests(range(len(store)))

    def content(self, digest: Digest) -> bytes | None:
        """The verified content of a blob; None if there is none."""
        algorithm, encoded = digest.parts
        if (found := hasher(algorithm)) is None:
            return None
        try:
            with self.open_directory() as directory, directory.below("blobs", algorithm) as blobs:
                content = blobs.read(encoded, LIMIT)
        except (OcigcError, OSError):
            return None
        found.update(content)
        return content if found.hexdigest() == encoded else None

    def kept_blobs(self, now: int) -> Iterator[Digest]:
        """The digests of the blobs that its leases and labels keep at the instant `now`. Raises Refused and OSError
        where they cannot be read.
        """
        with self.open() as layout:
            if not any(map(layout.dir.exists, (LEASES, LABELS))):
                return
            snapshot = load(layout, None, now, SILENT, TOLERATING_ALL)
            with snapshot.store as store:
                active = [lease for lease in snapshot.leases if lease.active(now)]
                marks = store.mark(root_groups((), active, store.own_roots(), store))
                yield from (store.digest(node) for node in range(len(store)) if marks.owner(node) is not None)


def _has_blobs(directory: Dir, *, files: bool = False) -> bool:
    """Whether there are directories below `blobs/`; with `files`, whether there is anything in these."""
    try:
        algorithms = directory.names_below("blobs")
        return any(directory.names_below("blobs", each) for each in algorithms) if files else bool(algorithms)
    except OSError:
        return False


class Wanted:
    """How many layouts need each digest."""

    def __init__(self) -> None:
        self._layouts: Counter[Digest] = Counter()
        self._counted: dict[str, frozenset[Digest]] = {}
        self._lock = Lock()

    def count(self, path: str, digests: frozenset[Digest]) -> None:
        """Counts these digests for the layout at that path, in place of those before."""
        with self._lock:
            before = self._counted.get(path, frozenset())
            self._layouts.update(digests - before)
            for digest in before - digests:
                self._layouts[digest] -= 1
                if not self._layouts[digest]:
                    del self._layouts[digest]
            self._counted[path] = digests

    def beside(self, path: str) -> frozenset[Digest]:
        """What any layout but that one needs."""
        with self._lock:
            own = self._counted.get(path, frozenset())
            return frozenset(self._layouts).difference(digest for digest in own if self._layouts[digest] == 1)


class SharedWith:
    """Implements `OtherLayouts` for layouts that the user has named."""

    def __init__(self, paths: Iterable[str], now: int) -> None:
        """Raises UsageError where one of the paths is not a directory."""
        self._now = now
        self._peers = [_at(path) for path in paths]

    @property
    def unknown(self) -> str:
        return next(filter(None, (each.doubt for each in self._peers)), "")

    def needed(self) -> frozenset[Digest]:
        return frozenset[Digest]().union(*(peer.read_needs(self._now) for peer in self._peers))

    def kept(self, store: Store) -> array[int]:
        return nodes_of_peers(self._peers, store)

    def changed(self) -> bool:
        return any(peer.stamp != peer.stamp_now() for peer in self._peers)

    def belonging(self, wanted: Collection[Digest], entries: Collection[Digest]) -> Belonging:
        return belonging(wanted, entries, content_reader(self._peers))


P = TypeVar("P", bound=Peer)


def nodes_of_peers(
    peers: Iterable[P], store: Store, of: Callable[[P], Iterable[Digest]] = lambda peer: peer.blobs()
) -> array[int]:
    """The nodes of a store whose blobs any of the peers has, as the function `of` says. A `blind` peer does not count:
    all its needs are known.
    """
    found = bytearray(len(store))
    for peer in peers:
        if peer.blind:
            continue
        try:
            for digest in of(peer):
                if (node := store.find(digest)) is not None:
                    found[node] = True
        except (OcigcError, OSError) as error:
            peer.unknown = peer.unknown or str(error)
    return array("I", (node for node, flag in enumerate(found) if flag))


def content_reader(peers: Iterable[Peer]) -> ReadContent:
    """Gives the content of blobs that any of the peers has."""
    everybody = list(peers)
    return lambda digest: next(filter(None, (peer.content(digest) for peer in everybody)), None)


def _at(path: str) -> Peer:
    with suppress(ValueError):
        # An empty directory may be one where nothing is mounted.
        peer = Peer(printable(path), lambda: Layout(path), lambda: Dir.at(path), expected=True)
        try:
            peer.open_directory().close()
        except OSError as error:
            shown = printable(path)
            raise UsageError(f"{shown}: {error.strerror}: expected the directory of an image layout") from None
        return peer
    raise UsageError(f"{printable(path)}: not a path")


@dataclass(frozen=True, slots=True)
class FixedNeeds:
    """Implements `OtherLayouts` for one layout of a tree, with what the others need at this moment. What others
    also have does not count, as a file with several names goes only with the last.
    """

    digests: frozenset[Digest]
    unknown: str = ""
    belongs: Belonging = field(default_factory=dict[Digest, frozenset[Digest]])

    def needed(self) -> frozenset[Digest]:
        return self.digests

    def kept(self, store: Store) -> array[int]:  # noqa: ARG002
        return array("I")

    def changed(self) -> bool:
        return False

    def belonging(self, wanted: Collection[Digest], entries: Collection[Digest]) -> Belonging:  # noqa: ARG002
        return self.belongs


class TreeNeeds:
    """What each layout of a tree needs and lacks at the instant `now`. A layout that cannot be read needs what its
    entries name.
    """

    def __init__(self, tree: Tree, now: int, known: Mapping[str, frozenset[Digest]] | None = None) -> None:
        """Layouts whose needs are `known` already, by name, are not read."""
        alone = len(tree.found) == 1
        self._wanted = Wanted()
        for found in () if alone else tree.found:
            needs = None if known is None else known.get(found.name)
            self._wanted.count(found.path, _peer(tree, found).read_needs(now) if needs is None else needs)

    def beside(self, found: Found) -> FixedNeeds:
        """What the other layouts need from one."""
        return FixedNeeds(self._wanted.beside(found.path))


@dataclass(frozen=True, slots=True)
class ReadNeeds:
    """Reads what a layout needs and lacks at an instant."""

    now: int

    def __call__(self, layout: Layout, found: Found, _: Watcher) -> frozenset[Digest]:
        peer = Peer(found.name, lambda: Layout(layout.path, layout.dir.below()), layout.dir.below)
        return peer.read_needs(self.now)


def _peer(tree: Tree, found: Found) -> Peer:
    return Peer(found.name, lambda: tree.open(found), lambda: tree.dir.below(*found.path.split("/")))

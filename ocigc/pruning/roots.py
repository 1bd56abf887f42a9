"""What other programs may change during a run to keep blobs. It is read before blobs are moved, and again after:

- index.json, the list of docker save (manifest.json), and the leases;
- label files: somebody may set a `gc.root` or `gc.ref` label while a person decides on the plan;
- new blobs: a manifest that somebody has pushed, and is about to name, keeps what it refers to.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain

from ocigc.digest import Digest
from ocigc.gc.graph import Group, flags
from ocigc.labels import Lease
from ocigc.layout import docker_list, label_files, leases, needs
from ocigc.layout.dirfd import Dir
from ocigc.layout.layout import Layout
from ocigc.layout.snapshot import LoadTerms, OtherLayouts, Snapshot, Tolerated, load
from ocigc.native import Store, sha256
from ocigc.progress import Watcher
from ocigc.pruning.index_exchange import index_digest
from ocigc.pruning.put_back import blobs_in, put_back
from ocigc.times import SECOND


@dataclass(frozen=True, slots=True)
class Roots:
    """index.json and manifest.json (their SHA-256), the leases, a number that changes with the label files and, by
    algorithm, the time when its directory of blobs changed. If that was so recently that a further change might not
    show, a unique number takes its place.
    """

    index: str | None
    docker_list: str | None
    leases: Sequence[Lease]
    labels: int
    directories: Sequence[tuple[str, int]]

    @classmethod
    def read(cls, layout: Layout, run: Dir | None = None) -> Roots:
        """The present roots. Label files that the run has taken out count as if they were in place. Raises Refused and
        OSError.
        """
        found = leases.load(layout.dir)
        labels = sum(map(_labels, [layout.dir] if run is None else [layout.dir, run]))
        directories, listed = tuple(_directories(layout.dir)), _list_digest(layout.dir)
        # What writers write last is read last, too.
        return cls(index_digest(layout.dir), listed, found, labels, directories)

    def with_index(self, index: str) -> Roots:
        """The same with another index.json."""
        return replace(self, index=index)

    def with_list_of(self, layout: Layout) -> Roots:
        """The same, with the list of docker save as it is now."""
        return replace(self, docker_list=_list_digest(layout.dir))

    def with_labels_changed(self, change: int) -> Roots:
        """The same, after our own changes have moved the number of the label files by this much."""
        return replace(self, labels=self.labels + change)

    def differs(self, other: Roots) -> bool:
        """Whether anything differs, apart from the directories of blobs."""
        return replace(self, directories=()) != replace(other, directories=())

    def differs_in_labels(self, layout: Layout, run: Dir) -> bool:
        """Whether label files have changed. Raises Refused and OSError."""
        return self.labels != Roots.read(layout, run).labels

    def has_moved_on(self, layout: Layout, run: Dir | None, store: Store) -> bool:
        """Whether anything has changed since these were read, or new blobs have come that `store` does not have. Raises
        Refused and OSError.
        """
        now = Roots.read(layout, run)
        if self.differs(now):
            return True
        if self.directories == now.directories:
            return False
        with Store.scan(layout.fd) as current:
            return bool(current.added(store))


def label_number(directory: Dir, digest: Digest) -> int:
    """What the label file of one blob adds to `Roots.labels`; 0 where it has none."""
    algorithm, encoded = digest.parts
    name = f"{encoded}{label_files.SUFFIX}"
    with suppress(FileNotFoundError), directory.below(label_files.DIRECTORY, algorithm) as parent:
        return _number(algorithm, name, parent.stat(name))
    return 0


def _list_digest(layout: Dir) -> str | None:
    try:
        return sha256(layout.read(docker_list.NAME, docker_list.LIMIT))
    except FileNotFoundError:
        return None


def _labels(directory: Dir) -> int:
    total = 0
    for algorithm in directory.names_below(label_files.DIRECTORY):
        with suppress(NotADirectoryError), directory.below(label_files.DIRECTORY, algorithm) as parent:
            with os.scandir(parent.fd) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        total += _number(algorithm, entry.name, entry.stat(follow_symlinks=False))
    return total


def _number(algorithm: str, name: str, status: os.stat_result) -> int:
    # Not the ctime: a rename changes it.
    return hash((algorithm, name, status.st_ino, status.st_size, status.st_mtime_ns))


def _directories(layout: Dir) -> Iterator[tuple[str, int]]:
    for algorithm in layout.names_below("blobs"):
        with suppress(NotADirectoryError), layout.below("blobs", algorithm) as directory:
            now, modified = time.time_ns(), os.fstat(directory.fd).st_mtime_ns
            yield algorithm, modified if abs(now - modified) > SECOND else now


def reload(
    layout: Layout, run: Dir, in_grace_after: int, now: int, watch: Watcher, elsewhere: OtherLayouts | None = None
) -> tuple[Snapshot, Roots]:
    """Reads the layout again, and puts back everything that it needs and the run has taken out. Gives the roots as they
    were before that. What manifests newer than the instant `in_grace_after` refer to is needed too, and what other
    layouts need (`elsewhere`). If there is a damaged manifest, everything comes back, as it is unknown what that refers
    to. Raises Refused and OSError.
    """
    terms = LoadTerms(Tolerated.DAMAGE, in_grace_after, elsewhere=elsewhere)
    while True:
        roots = Roots.read(layout, run)
        snapshot = load(layout, None, now, watch, replace(terms, tolerated=Tolerated.ALL))
        with snapshot.store as store:
            own = needs.named(snapshot.index, snapshot.leases, now)
            needed = chain(own, () if elsewhere is None else elsewhere.needed())
            missing = {digest for digest in needed if store.find(digest) is None}
            missing |= snapshot.absent | set(store.missing())
            if store.faults():
                missing |= {digest for digest, _ in blobs_in(run)}
        # A manifest that comes back may need more.
        if not put_back(layout, run, sorted(missing)).back:
            break
    return load(layout, None, now, watch, terms), roots


def put_back_labelled(layout: Layout, run: Dir) -> None:
    """Puts back all blobs that have label files, because somebody has changed some of these files; the next command
    that reads the layout decides what they mean. Raises Refused and OSError.
    """
    for directory in (layout.dir, run):
        for algorithm in directory.names_below(label_files.DIRECTORY):
            names = directory.names_below(label_files.DIRECTORY, algorithm)
            encoded = (name.removesuffix(label_files.SUFFIX) for name in names if name.endswith(label_files.SUFFIX))
            digests = (Digest.parse_registered(f"{algorithm}:{each}") for each in encoded)
            put_back(layout, run, [digest for digest in digests if digest is not None])


def still_to_delete(
    snapshot: Snapshot, digests: Iterable[Digest], started: int, in_grace_after: int, now: int
) -> tuple[array[int], list[Digest]]:
    """The blobs to delete (nodes) that are reached neither by a root now nor by a manifest newer than the instant
    `in_grace_after`, and that nobody has touched since the run `started`; none while there is a damaged manifest. Also
    the digests of those that are already gone.
    """
    store = snapshot.store
    nodes, gone = array("I"), []
    for digest in digests:
        node = store.find(digest)
        if node is None:
            gone.append(digest)
        else:
            nodes.append(node)
    if store.faults():
        return array("I"), gone
    marks = store.mark(snapshot.roots(now))
    to_delete = flags(nodes, len(store))
    orphans = marks.unreachable()
    touched = store.newer(orphans, started)
    in_grace = (node for node in store.newer(orphans, in_grace_after) if not to_delete[node])
    marks.add([Group(array("I", chain(touched, in_grace)))])
    return array("I", (node for node in nodes if marks.owner(node) is None)), gone

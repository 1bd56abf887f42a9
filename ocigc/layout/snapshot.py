"""Everything that a layout holds, snapshot: the images, the leases, and the graph of all that they reach."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from ocigc.digest import Digest
from ocigc.errors import CorruptError, MalformedError, Refused
from ocigc.gc.decide import Inputs
from ocigc.gc.graph import Group
from ocigc.gc.images import Images
from ocigc.gc.mark import root_groups
from ocigc.gc.referrers import Relations, Subjects, find_subjects, relate
from ocigc.gc.rule_sets import RuleSet
from ocigc.hard_links import HardLinks
from ocigc.image import CREATED_ANNOTATION, ImageRecord, Media
from ocigc.labels import Lease
from ocigc.layout import docker_list, leases, strict_json
from ocigc.layout.cosign import stated_subjects
from ocigc.layout.index import Index, parse
from ocigc.layout.index_images import IndexImages
from ocigc.layout.layout import Layout
from ocigc.native import NEVER, NO_NODE, Background, Config, Detail, Entries, Store, Unverifiable, parse_config
from ocigc.progress import Watcher
from ocigc.times import parse_rfc3339

if TYPE_CHECKING:
    from ocigc.layout.shared import Elsewhere

CONFIG_LIMIT = 16 << 20  # bytes
_NO_BUILD_BEFORE = parse_rfc3339("1990-01-01T00:00:00Z")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A layout as it was at one moment. `repository` (normalised) owns bare tags. `targets` are the nodes of what the
    entries of index.json name, NO_NODE where that is absent. The `parts` are not among the `images`. The nodes that are
    `needed` are so by other layouts."""

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

    @property
    def inputs(self) -> Inputs:
        """What of it the rules see."""
        return Inputs(self.images, self.parts, self.relations, self.leases, self._own_roots, self.store)

    @property
    def _own_roots(self) -> array[int]:
        """What stays whatever the entries and leases say: to the rules, another layout's need is like a label."""
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
        """The digests that entries of index.json name and that are not here."""
        entries = self.index.entries
        return {entries[n].descriptor.digest for n, node in enumerate(self.targets) if node == NO_NODE}


def load(
    layout: Layout,
    repository: str | None,
    now: int,
    watch: Watcher,
    *,
    in_grace_after: int = NEVER,
    record: bool = False,
    record_damage: bool = False,
    taken: HardLinks | None = None,
    elsewhere: Elsewhere | None = None,
) -> Snapshot:
    """Reads a layout. Raises Refused where what an image or lease refers to cannot be known.

    `repository` (normalised) owns bare tags; leases that ended before the instant `now` hold nothing. What orphaned
    manifests newer than `in_grace_after` refer to is read too. With `record`, bad manifests are recorded in the store
    instead; with `record_damage` likewise, in a second reading once one is found. `taken` are the hard links that this
    run has removed from other layouts: they make nothing here newer.
    What other layouts need, by what `elsewhere` tells, is a root here.
    """
    # Whoever lets go of a lease has named in index.json what it held, and whoever names it there has written it: so
    # leases are read first, and blobs last.
    with _naming(layout):
        held = leases.load(layout.dir)
    detail = Detail.IDENTITY if record else Detail.NAMES
    scanned = partial(_scanned, layout, repository, detail, taken, watch)
    try:
        index, images, store = scanned(layout.index_content())
    except MalformedError:  # or somebody was about to write it
        index, images, store = scanned(layout.read_index())
    try:
        with _naming(layout):
            store.read_labels(watch("Reading labels"))
        targets = index.entries.targets(store)
        images = images.located(targets)
        if record:
            store.record()
        else:
            with _naming(layout):
                _refuse_corrupt_data(index.entries, targets)
        _follow_back_labels(images, store)
        needed = array("I") if elsewhere is None else _found(elsewhere.needed(), store)
        # A file of 0 bytes is kept, but tells nothing.
        read = array("I", (node for node in needed if store.size(node)))
        claims = _claims(index.entries, targets, _held(held, store, now) + read, store)
        try:
            _vouching(layout, store, lambda: store.expand(*claims, watch("Reading manifests")))
        except Refused:
            if record or not record_damage:
                raise
            store.close()
            return load(
                layout,
                repository,
                now,
                watch,
                in_grace_after=in_grace_after,
                record=True,
                taken=taken,
                elsewhere=elsewhere,
            )
        stated = stated_subjects(images, index.entries, store)
        subjects = find_subjects(images, store, stated)
        for position, nodes in subjects.present.items():
            if targets[position] != NO_NODE:
                _each(store.add_referrer, nodes, targets[position])
        _vouching(layout, store, lambda: store.find_referrers(in_grace_after, watch("Looking for referrers")))
        with _naming(layout):
            docker_list.hold(layout.dir, images.roots(store), store, tolerant=record)
        relations = replace(
            _related(images, subjects, _held(held, store, now), store),
            labelled=_labelled(images, index.entries, targets, store),
        )
        if elsewhere is not None and not index.entries:
            needed += elsewhere.kept(store)
    except BaseException:
        store.close()
        raise
    parts = frozenset(relations.parts)
    alone = images.picked(each for each in images.positions if each not in parts) if parts else images
    return Snapshot(layout, repository, index, targets, alone, images.picked(parts), relations, held, store, needed)


def _related(images: IndexImages, subjects: Subjects, held: Sequence[int], store: Store) -> Relations:
    """The relations, and no edge left to what turns out not to be a referrer."""
    relations = relate(images, subjects, held, store)
    alone = [each for each in subjects.present if each not in relations.subjects and each not in relations.parts]
    for position, target in zip(alone, images.picked(alone).targets(store), strict=True):
        stated = None if target == NO_NODE else store.subject(target)
        _each(store.remove_referrer, (node for node in subjects.present[position] if node != stated), target)
    return relations


def _each(change: Callable[[int, int], None], subjects: Iterable[int], referrer: int) -> None:
    for subject in subjects:
        change(subject, referrer)


def _labelled(
    images: IndexImages, entries: Entries, targets: Sequence[int], store: Store
) -> Mapping[int, Sequence[int]]:
    """By position the images to whose name a `gc.ref.image` label refers, of a blob or of an entry, and the nodes that
    have it: its blob, or the entry's target.
    """
    nodes: dict[str, list[int]] = {}
    for node, name in store.image_labels():
        nodes.setdefault(name, []).append(node)
    for position, names in entries.image_references().items():
        for name in names if targets[position] != NO_NODE else ():
            nodes.setdefault(name, []).append(targets[position])
    if not nodes:
        return {}
    found = ((image.position, [node for name in image.names for node in nodes.get(name, ())]) for image in images)
    return {position: keepers for position, keepers in found if keepers}


def _follow_back_labels(images: Images, store: Store) -> None:
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


@contextmanager
def _naming(layout: Layout) -> Iterator[None]:
    """Names the layout in what is wrong with its content, and says what to do."""
    try:
        yield
    except CorruptError as error:
        remedy = "`ocigc verify --repair-from` mends it from another layout"
        raise CorruptError(f"{layout.path}: {error}; {remedy}") from None
    except MalformedError as error:
        raise MalformedError(f"{layout.path}: {error}") from None


def _scanned(
    layout: Layout,
    repository: str | None,
    detail: Detail,
    taken: HardLinks | None,
    watch: Watcher,
    found: bytes | Index,
) -> tuple[Index, IndexImages, Store]:
    """What index.json says, of which the bytes are at hand, and the blobs that are there since."""

    def read() -> tuple[Index, IndexImages]:
        index = parse(found) if isinstance(found, bytes) else found
        return index, IndexImages.of(index.entries, repository)

    with Background(read) as reading:  # to list names keeps but one core busy
        store = Store.scan(layout.fd, watch("Scanning blobs"), detail, taken)
    try:
        return *reading.result(), store
    except BaseException:
        store.close()
        raise


def detach(snapshot: Snapshot, detached: Iterable[int]) -> None:
    """Lets referrers, by position, go without their subject: that holds their content no more."""
    store, subjects = snapshot.store, snapshot.relations.subjects
    referrers = [position for position in detached if position in subjects]
    for position, target in zip(referrers, snapshot.images.picked(referrers).targets(store), strict=True):
        _each(store.remove_referrer, subjects[position], target)


def _claims(entries: Entries, targets: array[int], others: array[int], store: Store) -> tuple[array[int], bytes]:
    """What all else is reached from, and what that is held to be; of the `others` nobody says."""
    references, medias = entries.reference_roots(store)
    return targets + references + others, entries.medias() + medias + bytes([Media.NONE]) * len(others)


def _refuse_corrupt_data(entries: Entries, targets: array[int]) -> None:
    """Of an absent manifest, what its entry embeds is all that tells what it refers to."""
    for position in entries.corrupt_data():
        if targets[position] == NO_NODE:
            digest = entries[position].descriptor.digest
            raise CorruptError(f"index.json: manifests[{position}]: the data of {digest} is not what its digest says")


def _held(leases: Sequence[Lease], store: Store, now: int) -> array[int]:
    """The nodes that leases and labels hold at the instant `now`."""
    resources = (digest for lease in leases if lease.active(now) for digest in lease.resources)
    return _found(resources, store) + store.own_roots()


def _found(digests: Iterable[str], store: Store) -> array[int]:
    return array("I", (node for node in map(store.find, digests) if node is not None))


def _vouching(layout: Layout, store: Store, step: Callable[[], None]) -> None:
    """Takes a step of reading manifests, as often as it takes to verify those that the native core cannot."""
    with _naming(layout):
        while True:
            try:
                return step()
            except Unverifiable:
                from ocigc.layout import blob_check  # noqa: PLC0415

                blob_check.vouch(layout.dir, store)


def config(store: Store, node: int) -> Config | None:
    """An image config, verified; None where it cannot be read, verified or parsed."""
    try:
        return parse_config(store.read(node, CONFIG_LIMIT))
    except Refused:
        return None


def _configs(store: Store, image: ImageRecord) -> list[int]:
    return [node for node, media in store.walk(image.target) if media == Media.CONFIG]


def config_labels(store: Store, image: ImageRecord, *, skip_attestations: bool = False) -> list[dict[str, str] | None]:
    """`config.Labels` of each present config in an image's walk, or but of those of attestations; None for one that
    cannot be read.
    """
    nodes: Sequence[int | None] = _configs(store, image)
    if skip_attestations and (target := store.find(image.target.digest)) is not None:
        from ocigc.layout.attestations import configs_beside  # noqa: PLC0415

        nodes = configs_beside(store, target, image.target.media)
    configs = (None if node is None else config(store, node) for node in nodes)
    return [None if found is None else found.labels for found in configs]


def with_created(snapshot: Snapshot) -> Snapshot:
    """The same, with every image's time of creation."""
    return replace(snapshot, images=snapshot.images.dated(lambda image: created(snapshot, image)))


def _instant(text: str | None) -> int | None:
    try:
        return None if text is None else parse_rfc3339(text)
    except ValueError:
        return None


def _built(text: str | None) -> int | None:
    """The same of a manifest or a config: reproducible builds write the year 1, 1970 or 1980 for no time."""
    instant = _instant(text)
    return None if instant is None or instant < _NO_BUILD_BEFORE else instant


def created(snapshot: Snapshot, image: ImageRecord) -> int | None:
    """When an image was created, an instant: its annotation (of several entries the youngest), else its manifest's
    annotation, else its first config's, else its target's mtime. None if nobody knows."""
    annotated = [_instant(snapshot.index.entries[n].created) for n in image.entries]
    stated = [instant for instant in annotated if instant is not None]
    if stated:
        return max(stated)
    store = snapshot.store
    target = store.find(image.target.digest)
    if target is not None and (instant := _built(_annotated_creation(store, target))) is not None:
        return instant
    first = next(iter(_configs(store, image)), None)
    found = None if first is None else config(store, first)
    if found is not None and (instant := _built(found.created)) is not None:
        return instant
    algorithm, encoded = image.target.digest.parts
    try:
        with snapshot.layout.dir.below("blobs", algorithm) as parent:
            return parent.stat(encoded).st_mtime_ns
    except OSError:
        return None


def _annotated_creation(store: Store, node: int) -> str | None:
    """When a manifest's own annotation says that it was created; None where none is readable."""
    try:
        content = store.read(node, CONFIG_LIMIT)
        if CREATED_ANNOTATION.encode() not in content:
            return None
        document = strict_json.loads(content, store.digest(node))
    except Refused:
        return None
    annotations = document.get("annotations") if isinstance(document, dict) else None
    created = annotations.get(CREATED_ANNOTATION) if isinstance(annotations, dict) else None
    return created if isinstance(created, str) else None


def labels_of(snapshot: Snapshot, rules: RuleSet) -> Callable[[ImageRecord], list[dict[str, str] | None]]:
    """What the label filters of a rule set ask."""
    return partial(config_labels, snapshot.store, skip_attestations=rules.skips_attestations)

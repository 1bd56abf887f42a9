"""What image configs and manifests say about images: their labels, and when they were created.

Attestations of buildx are manifests in an index that describe a sibling. They are not images of a platform, so a rule
set may pass over their configs.

Source: moby `setupLabelFilter` at docker-v29.7.2; buildx "Attestation storage".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from ocigc.errors import MalformedError, Refused
from ocigc.gc.rule_sets import RuleSet
from ocigc.image import CREATED_ANNOTATION, ImageRecord, Media
from ocigc.layout.manifests import embedded_content
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Background, Config, Role, Store, media_of, parse_children, parse_config
from ocigc.progress import Watcher
from ocigc.strict_json import parse_json
from ocigc.times import parse_rfc3339
from ocigc.values import replace

CONFIG_LIMIT = 16 << 20  # bytes
_NO_BUILD_BEFORE = parse_rfc3339("1990-01-01T00:00:00Z")
ATTESTATION = "vnd.docker.reference.type"
"""The annotation of a descriptor that makes its manifest one."""
_INDEX_LIMIT = 16 << 20  # bytes of an index
_DOCUMENTS = (Media.MANIFEST, Media.INDEX)
_EMBEDDED_DEPTH = 8  # of manifests embedded in each other


def config(store: Store, node: int) -> Config | None:
    """An image config, verified; None where it cannot be read, verified or parsed."""
    try:
        return _parsed(store.read(node, CONFIG_LIMIT))
    except Refused:
        return None


def _configs(store: Store, image: ImageRecord) -> list[int]:
    return [node for node, media in store.walk(image.target) if media == Media.CONFIG]


def config_labels(store: Store, image: ImageRecord, *, skip_attestations: bool = False) -> list[dict[str, str] | None]:
    """The `config.Labels` of each present config in an image's walk; None for a config that cannot be read. With
    `skip_attestations`, configs of attestations are left out.
    """
    nodes: Sequence[int | None] = _configs(store, image)
    if skip_attestations and (target := store.find(image.target.digest)) is not None:
        nodes = configs_beside(store, target, image.target.media)
    configs = [None if node is None else config(store, node) for node in nodes] or list(_embedded(store, image))
    return [None if found is None else found.labels for found in configs]


def _embedded(store: Store, image: ImageRecord) -> Iterator[Config | None]:
    """The configs of an image that descriptors embed as `data`, or that only embedded manifests refer to; None for a
    config that cannot be read.
    """
    for node, media in store.walk(image.target):
        with suppress(Refused):
            if media in _DOCUMENTS and b'"data"' in (content := store.read(node, CONFIG_LIMIT)):
                yield from _embedded_in(store, content, media)


def _embedded_in(
    store: Store, content: bytes, media: Media, depth: int = _EMBEDDED_DEPTH, *, walked: bool = True
) -> Iterator[Config | None]:
    """The same for one document. Present blobs count only if no walk has led to the document."""
    for role, descriptor, raw in parse_children(content, media):
        if role == Role.SUBJECT or descriptor.media not in (Media.CONFIG, *_DOCUMENTS):
            continue
        if (node := store.find(descriptor.digest)) is not None:
            walk = [] if walked else store.walk_from(node, descriptor.media)
            yield from (config(store, each) for each, kind in walk if kind == Media.CONFIG)
        elif (data := embedded_content(json.loads(raw).get("data"), descriptor)) is None:
            continue
        elif descriptor.media == Media.CONFIG:
            yield _parsed(data)
        elif depth:
            yield from _embedded_in(store, data, descriptor.media, depth - 1, walked=False)


def _parsed(content: bytes) -> Config | None:
    try:
        return parse_config(content)
    except Refused:
        return None


def with_created(snapshot: Snapshot) -> Snapshot:
    """The same, with every image's time of creation."""
    stated = list(map(_instant, snapshot.index.entries.all_created()))
    entries_of = snapshot.images.entries_of

    def created(position: int) -> int | None:
        instants = [instant for each in entries_of(position) if (instant := stated[each]) is not None]
        return max(instants) if instants else _unstated(snapshot, position)

    return replace(snapshot, images=snapshot.images.dated(created))


def measured(snapshot: Snapshot, watch: Watcher) -> Snapshot:
    """The same, and reads the status of every blob at the same time, as the rest keeps only one core busy."""

    def prepare() -> Snapshot:
        dated = with_created(snapshot)
        dated.images.in_order()  # which are asked for next
        return dated

    with Background(prepare) as prepared:
        snapshot.store.stat(report=watch("Reading sizes"))
    return prepared.result()


def _instant(text: str | None) -> int | None:
    try:
        return None if text is None else parse_rfc3339(text)
    except ValueError:
        return None


def _built(text: str | None) -> int | None:
    """The same for a manifest or a config. A year before 1990 does not count: reproducible builds write 1, 1970
    or 1980.
    """
    instant = _instant(text)
    return None if instant is None or instant < _NO_BUILD_BEFORE else instant


def created(snapshot: Snapshot, image: ImageRecord) -> int | None:
    """When an image was created, an instant; None if it is unknown. The first of these that states it counts: the
    annotation of its entry (the latest if it has several entries), the annotation of its manifest, its first config
    (if none is present, the first that is embedded), the mtime of its target.
    """
    annotated = map(snapshot.index.entries.created, image.entries)
    stated = [instant for instant in map(_instant, annotated) if instant is not None]
    return max(stated) if stated else _unstated(snapshot, image.position)


def _unstated(snapshot: Snapshot, position: int) -> int | None:
    """When an image was created, if its entries do not state it."""
    store, image = snapshot.store, snapshot.images[position]
    target = store.find(image.target.digest)
    if target is not None and (instant := _built(_annotated_creation(store, target))) is not None:
        return instant
    first = next(iter(_configs(store, image)), None)
    found = next(_embedded(store, image), None) if first is None else config(store, first)
    if found is not None and (instant := _built(found.created)) is not None:
        return instant
    try:
        return None if target is None else store.modified(target)
    except Refused:
        return None


def _annotated_creation(store: Store, node: int) -> str | None:
    """When a manifest was created by its own annotation; None where there is none, or it cannot be read."""
    try:
        content = store.read(node, CONFIG_LIMIT)
        if CREATED_ANNOTATION.encode() not in content:
            return None
        document = parse_json(content, store.digest(node))
    except Refused:
        return None
    annotations = document.get("annotations") if isinstance(document, dict) else None
    created = annotations.get(CREATED_ANNOTATION) if isinstance(annotations, dict) else None
    return created if isinstance(created, str) else None


def labels_of(snapshot: Snapshot, rules: RuleSet) -> Callable[[ImageRecord], list[dict[str, str] | None]]:
    """Reads the labels that the label filters of a rule set ask for."""
    return partial(config_labels, snapshot.store, skip_attestations=rules.skips_attestations)


def configs_beside(store: Store, node: int, media: Media) -> list[int | None]:
    """The present configs below a node, except those of attestations; None for an index that cannot be read."""
    found: dict[int | None, None] = {}  # an ordered set, in the order of the walk
    seen: set[tuple[int, Media]] = set()
    pending = [(node, media)]
    while pending:
        node, media = pending.pop()
        if (node, media) in seen:
            continue
        seen.add((node, media))
        if media != Media.INDEX:
            found |= dict.fromkeys(child for child, kind in store.walk_from(node, media) if kind == Media.CONFIG)
            continue
        try:
            children = _children(store, node)
        except Refused:
            found[None] = None
            continue
        pending += reversed(children)
    return list(found)


def _children(store: Store, node: int) -> list[tuple[int, Media]]:
    """The entries of an index that are present and are not attestations. Raises Refused."""
    name = store.digest(node)
    document = parse_json(store.read(node, _INDEX_LIMIT), name)
    if not isinstance(document, dict) or not isinstance(listed := document.get("manifests") or [], list):
        raise MalformedError(f"{name}: not an image index")
    children = []
    for each in listed:
        if not isinstance(each, dict) or not isinstance(each.get("digest"), str):
            raise MalformedError(f'{name}: an entry of "manifests" is not a descriptor')
        media = media_of(each["mediaType"]) if isinstance(each.get("mediaType"), str) else Media.UNKNOWN
        annotations: object = each.get("annotations")
        attests = isinstance(annotations, dict) and ATTESTATION in annotations
        child = store.find(each["digest"])
        if child is not None and not (attests and media == Media.MANIFEST):
            children.append((child, media))
    return children

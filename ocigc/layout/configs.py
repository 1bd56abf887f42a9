"""What image configs and manifests say of images: labels, and when they were created."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ocigc.errors import Refused
from ocigc.gc.rule_sets import RuleSet
from ocigc.image import CREATED_ANNOTATION, ImageRecord, Media
from ocigc.layout import strict_json
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Config, Store, parse_config
from ocigc.times import parse_rfc3339

CONFIG_LIMIT = 16 << 20  # bytes
_NO_BUILD_BEFORE = parse_rfc3339("1990-01-01T00:00:00Z")


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

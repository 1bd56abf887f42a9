"""Unpacks layers: they must decompress, and the result must be what the image's config says (`rootfs.diff_ids`)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import Enum
from threading import Event

from ocigc.digest import Digest
from ocigc.errors import Refused
from ocigc.image import Descriptor, Media
from ocigc.layout.configs import CONFIG_LIMIT, config
from ocigc.layout.dirfd import Dir
from ocigc.layout.snapshot import Snapshot
from ocigc.native import Role, parse_children
from ocigc.progress import Progress, Watcher
from ocigc.verification.decompress import Decoder, Undecodable, gunzip, uncompressed, zstd_decoder

_POLL_SECONDS = 0.2

_PLAIN = (".tar", ".diff.tar")
_GZIPPED = (".tar+gzip", ".tar.gzip")
_ZSTD = (".tar+zstd", ".tar.zstd")
_LAYERS = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")


@dataclass(frozen=True, slots=True)
class LayerFindings:
    """Digests of layers, by finding; `checked` also counts the sound ones. In `mismatched` manifests, the number of
    layers differs from that of the config's diff IDs. `reasons` has a line for each layer that is not sound.
    """

    checked: int
    mismatched: Sequence[str]
    undecodable: Sequence[str]
    unsupported: Sequence[str]
    reasons: Sequence[str]

    @property
    def sound(self) -> bool:
        """Whether no layer that could be unpacked is wrong."""
        return not (self.mismatched or self.undecodable)


class _LayerVerdict(Enum):
    SOUND = 0
    MISMATCHED = 1
    UNDECODABLE = 2
    UNSUPPORTED = 3
    ABSENT = 4


def verify_layers(snapshot: Snapshot, jobs: int, watch: Watcher) -> LayerFindings:
    """Unpacks every present layer of every image, on `jobs` threads (0: one per core)."""
    layers, uneven = _layers(snapshot)
    report = watch("Unpacking layers")
    stop = Event()
    with snapshot.layout.dir.below("blobs") as blobs, ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        largest_first = sorted(layers.values(), key=lambda layer: -layer.descriptor.size)
        running = {pool.submit(_verify_layer, blobs, layer, stop): layer for layer in largest_first}
        try:
            left: set[Future[tuple[_LayerVerdict, str]]] = set(running)
            while left:
                _, left = wait(left, _POLL_SECONDS, FIRST_COMPLETED)
                if report is not None:
                    report(Progress(len(running) - len(left), 0, len(running), 0))
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    found: dict[_LayerVerdict, list[str]] = {verdict: [] for verdict in _LayerVerdict}
    reasons = [f"{digest}: {reason}" for digest, reason in uneven.items()]
    for future, layer in running.items():
        verdict, reason = future.result()
        found[verdict].append(layer.descriptor.digest)
        if verdict in (_LayerVerdict.MISMATCHED, _LayerVerdict.UNDECODABLE):
            reasons.append(f"{layer.descriptor.digest}: {reason}")
    return LayerFindings(
        checked=sum(len(found[v]) for v in (_LayerVerdict.SOUND, _LayerVerdict.MISMATCHED, _LayerVerdict.UNDECODABLE)),
        mismatched=sorted([*found[_LayerVerdict.MISMATCHED], *uneven]),
        undecodable=sorted(found[_LayerVerdict.UNDECODABLE]),
        unsupported=sorted(found[_LayerVerdict.UNSUPPORTED]),
        reasons=sorted(reasons),
    )


@dataclass(frozen=True, slots=True)
class _Layer:
    descriptor: Descriptor
    diff_ids: set[str]


def _layers(snapshot: Snapshot) -> tuple[dict[str, _Layer], dict[str, str]]:
    """The layers of all images with the diff IDs that their configs state; and the manifests whose config states more
    or fewer.
    """
    store = snapshot.store
    layers: dict[str, _Layer] = {}
    uneven: dict[str, str] = {}
    seen: set[int] = set()
    for image in snapshot.images:
        for node, media in store.walk(image.target):
            if media != Media.MANIFEST or node in seen:
                continue
            seen.add(node)
            try:
                children = list(parse_children(store.read(node, CONFIG_LIMIT), media))
            except Refused:
                continue  # verification reports it
            diff_ids = _diff_ids(snapshot, children)
            own = [child for role, child, _ in children if role == Role.LAYER]
            if diff_ids is None:
                continue
            if len(diff_ids) != len(own):
                uneven[store.digest(node)] = f"{len(own)} layers, but its config has {len(diff_ids)} diff IDs"
                continue
            for descriptor, diff_id in zip(own, diff_ids, strict=True):
                layers.setdefault(descriptor.digest, _Layer(descriptor, set())).diff_ids.add(diff_id)
    return layers, uneven


def _diff_ids(snapshot: Snapshot, children: Sequence[tuple[Role, Descriptor, bytes]]) -> tuple[str, ...] | None:
    """The diff IDs of a manifest's image config; None where it is absent, unreadable, or not an image config."""
    for role, child, _ in children:
        if role == Role.CONFIG and child.media == Media.CONFIG:
            node = snapshot.store.find(child.digest)
            found = None if node is None else config(snapshot.store, node)
            return found.diff_ids if found is not None and found.diff_ids else None
    return None


def _verify_layer(blobs: Dir, layer: _Layer, stop: Event) -> tuple[_LayerVerdict, str]:
    decoder = _decoder(layer.descriptor.media_type)
    algorithms = {Digest(diff_id).algorithm for diff_id in layer.diff_ids}
    if decoder is None or not algorithms <= {"sha256", "sha512"}:
        return _LayerVerdict.UNSUPPORTED, ""
    algorithm, encoded = layer.descriptor.digest.parts
    try:
        with blobs.below(algorithm) as parent, parent.reader(encoded) as file:
            hashers = {name: hashlib.new(name) for name in algorithms}
            for piece in decoder(file):
                if stop.is_set():
                    raise KeyboardInterrupt
                for hasher in hashers.values():
                    hasher.update(piece)
    except Undecodable as error:
        return _LayerVerdict.UNDECODABLE, str(error)
    except (OSError, Refused):
        return _LayerVerdict.ABSENT, ""  # verification reports it
    actual = {f"{name}:{hasher.hexdigest()}" for name, hasher in hashers.items()}
    if layer.diff_ids <= actual:
        return _LayerVerdict.SOUND, ""
    wanted = ", ".join(sorted(layer.diff_ids - actual))
    return _LayerVerdict.MISMATCHED, f"unpacks to {', '.join(sorted(actual))}, but a config says {wanted}"


def _decoder(media_type: str) -> Decoder | None:
    """A decoder for layers of a media type; None where there is none."""
    kind = media_type.split(";", 1)[0].strip().lower()
    if not kind.startswith(_LAYERS):
        return None
    if kind.endswith(_GZIPPED):
        return gunzip
    if kind.endswith(_ZSTD):
        return zstd_decoder()
    return uncompressed if kind.endswith(_PLAIN) else None

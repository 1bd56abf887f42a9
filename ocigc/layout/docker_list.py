"""manifest.json: the list that `docker save` writes beside index.json, and by which docker loads an archive.

Each of its entries names a config and layers. As long as an image has that config, the layers stay with it; where no
image has it, the entry itself holds them. When the last image with the config goes, the entry goes too.

Source: moby `daemon/internal/image/tarexport` (`manifestItem`), containerd `core/images/archive/exporter.go`.
docker 25.0 wrote OCI manifests without layers (moby#47065): there this list alone names them.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ocigc import strict_json
from ocigc.digest import Digest
from ocigc.errors import MalformedError
from ocigc.gc.graph import Group
from ocigc.layout.dirfd import Dir
from ocigc.native import Store

NAME = "manifest.json"
LIMIT = 64 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry: its config, None where that is no blob, and its layers that are blobs."""

    config: Digest | None
    layers: Sequence[Digest]


def read(layout: Dir) -> list[Listed]:
    """The entries; none where there is no list, or a file of another kind has its name. Raises Refused and OSError."""
    if not layout.exists(NAME):
        return []
    return listed(layout.parsed(NAME, LIMIT, lambda content: strict_json.loads(content, NAME)))


def listed(document: Any) -> list[Listed]:
    """The entries of a parsed list, which is none if it has another form."""
    if not isinstance(document, list):
        return []
    return [_entry(each) for each in document if isinstance(each, dict)]


def _entry(entry: dict[str, Any]) -> Listed:
    layers = entry.get("Layers")
    paths = layers if isinstance(layers, list) else []
    return Listed(_digest(entry.get("Config")), [each for each in map(_digest, paths) if each is not None])


def _digest(path: Any) -> Digest | None:
    """What a path names: `blobs/sha256/<hex>`, but not `<hex>.json` or `<id>/layer.tar` of older archives."""
    match path.split("/") if isinstance(path, str) else []:
        case ["blobs", algorithm, encoded]:
            return Digest.parse_registered(f"{algorithm}:{encoded}")
    return None


def hold(layout: Dir, images: array[int], store: Store, *, tolerant: bool) -> None:
    """Lets what the list names stay: layers with their config, if an image has that; else all by itself. `images` are
    the roots of all images.

    Raises Refused where the list cannot be read; if it is `tolerant`, all that no image reaches is held then.
    """
    try:
        entries = read(layout)
    except MalformedError:
        if not tolerant:
            raise
        store.hold(store.mark([Group(images)]).unreachable())
        return
    reached = store.mark([Group(images)]) if entries else None
    for entry in entries:
        config = None if entry.config is None else store.find(entry.config)
        layers = [node for node in map(store.find, entry.layers) if node is not None]
        if config is None or reached is None or reached.owner(config) is None:
            store.hold(layers if config is None else (config, *layers))
            continue
        for layer in layers:
            store.add_referrer(config, layer)

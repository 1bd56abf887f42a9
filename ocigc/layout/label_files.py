"""Label sidecars: `labels/<alg>/<encoded>.json`. Reading all of them is the native core's; this is for single ones."""

from __future__ import annotations

import json

from ocigc.digest import Digest
from ocigc.layout import strict_json
from ocigc.layout.dirfd import Dir, naming

DIRECTORY = "labels"
_LIMIT = 1 << 20  # bytes
_DRAFT = "sidecar"


def _place(digest: Digest) -> tuple[str, str]:
    """The directory of a blob's sidecar below `labels/`, and its name."""
    algorithm, encoded = digest.parts
    return algorithm, f"{encoded}.json"


def read(layout: Dir, digest: Digest) -> dict[str, str]:
    """The labels of a blob, none where it has no sidecar. Raises Refused."""
    directory, name = _place(digest)
    path = f"{DIRECTORY}/{directory}/{name}"
    with naming(path):
        try:
            with layout.below(DIRECTORY, directory) as parent:
                content = parent.read(name, _LIMIT)
        except FileNotFoundError:
            return {}
    return strict_json.string_map(strict_json.loads(content, path), path)


def remove_label(layout: Dir, state: Dir, digest: Digest, label: str) -> None:
    """Takes one label off a blob. `state` is an open directory on the same file system, for the new file."""
    labels = read(layout, digest)
    if labels.pop(label, None) is not None:
        _replace(layout, state, digest, labels)


def add_label(layout: Dir, state: Dir, digest: Digest, label: str, value: str) -> None:
    """Puts a label on a blob that has a sidecar, unless it has that label."""
    labels = read(layout, digest)
    if labels.setdefault(label, value) == value:
        _replace(layout, state, digest, labels)


def _replace(layout: Dir, state: Dir, digest: Digest, labels: dict[str, str]) -> None:
    directory, name = _place(digest)
    with naming(f"{DIRECTORY}/{directory}/{name}"), layout.below(DIRECTORY, directory) as parent:
        content = json.dumps(labels, ensure_ascii=False).encode(errors="surrogatepass")
        state.remove(_DRAFT)
        state.write(_DRAFT, content, parent.stat(name))
        state.rename(_DRAFT, parent, name)
        parent.sync()

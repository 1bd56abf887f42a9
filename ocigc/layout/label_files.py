"""Label sidecars: `labels/<alg>/<encoded>.json`. Reading all of them is the native core's; this is for single ones."""

from __future__ import annotations

import json
import os
from contextlib import suppress

from ocigc.digest import Digest
from ocigc.layout import dirfd, strict_json

DIRECTORY = "labels"
_LIMIT = 1 << 20  # bytes
_DRAFT = "sidecar"


def _place(digest: Digest) -> tuple[str, str]:
    """The directory of a blob's sidecar below `labels/`, and its name."""
    algorithm, encoded = digest.parts
    return algorithm, f"{encoded}.json"


def read(layout: int, digest: Digest) -> dict[str, str]:
    """The labels of a blob, none where it has no sidecar. Raises Refused."""
    directory, name = _place(digest)
    path = f"{DIRECTORY}/{directory}/{name}"
    with dirfd.naming(path):
        try:
            with dirfd.directory(layout, DIRECTORY) as labels, dirfd.directory(labels, directory) as parent:
                content = dirfd.read(parent, name, _LIMIT)
        except FileNotFoundError:
            return {}
    return strict_json.string_map(strict_json.loads(content, path), path)


def remove_label(layout: int, state: int, digest: Digest, label: str) -> None:
    """Takes one label off a blob. `state` is an open directory on the same file system, for the new file."""
    labels = read(layout, digest)
    if labels.pop(label, None) is not None:
        _replace(layout, state, digest, labels)


def add_label(layout: int, state: int, digest: Digest, label: str, value: str) -> None:
    """Puts a label on a blob that has a sidecar, unless it has that label."""
    labels = read(layout, digest)
    if labels.setdefault(label, value) == value:
        _replace(layout, state, digest, labels)


def _replace(layout: int, state: int, digest: Digest, labels: dict[str, str]) -> None:
    directory, name = _place(digest)
    with (
        dirfd.naming(f"{DIRECTORY}/{directory}/{name}"),
        dirfd.directory(layout, DIRECTORY) as parent,
        dirfd.directory(parent, directory) as algorithm,
    ):
        like = os.stat(name, dir_fd=algorithm, follow_symlinks=False)
        with suppress(FileNotFoundError):
            os.unlink(_DRAFT, dir_fd=state)
        dirfd.write(state, _DRAFT, json.dumps(labels, ensure_ascii=False).encode(errors="surrogatepass"), like)
        os.rename(_DRAFT, name, src_dir_fd=state, dst_dir_fd=algorithm)
        os.fsync(algorithm)

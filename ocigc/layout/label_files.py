"""Label files: `labels/<alg>/<encoded>.json`. This is for single files; the native core reads all of them."""

from __future__ import annotations

from contextlib import suppress

from ocigc.digest import Digest
from ocigc.layout.dirfd import Dir, naming
from ocigc.strict_json import parse_json, string_map, write_json

DIRECTORY = "labels"
SUFFIX = ".json"
LIMIT = 1 << 20
"""Bytes of a label file."""
_DRAFT = "sidecar"


def _place(digest: Digest) -> tuple[str, str]:
    """The directory of a blob's label file below `labels/`, and its name."""
    algorithm, encoded = digest.parts
    return algorithm, f"{encoded}{SUFFIX}"


def read(layout: Dir, digest: Digest) -> dict[str, str]:
    """The labels of a blob; empty where it has no label file. Raises Refused."""
    directory, name = _place(digest)
    path = f"{DIRECTORY}/{directory}/{name}"
    with naming(path):
        try:
            with layout.below(DIRECTORY, directory) as parent:
                content = parent.read(name, LIMIT)
        except FileNotFoundError:
            return {}
    return string_map(parse_json(content, path), path)


def remove_label(layout: Dir, aside: Dir, digest: Digest, label: str) -> None:
    """Removes one label of a blob. `aside` is an open directory on the same file system: the new file is written there,
    and the old one is kept there, at the same path as below `labels/`. Raises Refused and OSError.
    """
    labels = read(layout, digest)
    if labels.pop(label, None) is None:
        return
    directory, name = _place(digest)
    with layout.below(DIRECTORY, directory) as parent, aside.ensure(directory) as kept:
        kept.remove(name)
        kept.write(name, parent.read(name, LIMIT), parent.stat(name))
    _replace(layout, aside, digest, labels)


def return_label(layout: Dir, aside: Dir, digest: Digest, label: str, value: str) -> None:
    """Undoes `remove_label`: puts back the file that it kept, or, if the labels have changed since, adds the label. A
    blob without a label file stays without one. Raises Refused and OSError.
    """
    directory, name = _place(digest)
    labels = read(layout, digest)
    with suppress(FileNotFoundError), aside.below(directory) as kept, layout.below(DIRECTORY, directory) as parent:
        content = kept.read(name, LIMIT)
        before = string_map(parse_json(content, name), name)
        if parent.exists(name) and before == {**labels, label: value} and label not in labels:
            kept.rename(name, parent)
            parent.sync()
            return
    add_label(layout, aside, digest, label, value)


def add_label(layout: Dir, aside: Dir, digest: Digest, label: str, value: str) -> None:
    """Adds a label to a blob that has a label file, unless it has that label. Raises Refused and OSError."""
    directory, name = _place(digest)
    try:
        with layout.below(DIRECTORY, directory) as parent:
            parent.stat(name)
    except FileNotFoundError:
        return
    labels = read(layout, digest)
    if label not in labels:
        _replace(layout, aside, digest, {**labels, label: value})


def _replace(layout: Dir, aside: Dir, digest: Digest, labels: dict[str, str]) -> None:
    directory, name = _place(digest)
    with naming(f"{DIRECTORY}/{directory}/{name}"), layout.below(DIRECTORY, directory) as parent:
        content = write_json(labels)
        aside.remove(_DRAFT)
        aside.write(_DRAFT, content, parent.stat(name))
        aside.rename(_DRAFT, parent, name)
        parent.sync()

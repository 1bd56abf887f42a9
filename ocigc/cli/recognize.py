"""Recognizes what was given in place of a layout: another kind of store, an archive, another tool's way to name an
image, or a directory above or below the layout.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from shlex import quote

from ocigc.errors import MalformedError, printable
from ocigc.layout.layout import INDEX, MARKER

_ENTRIES = 1000  # names of a directory to consider
_SHOWN = 3

_ENGINES = {
    "docker-daemon": "docker image prune",
    "containers-storage": "podman image prune",
    "containerd": "ctr content prune references",
}
_REGISTRIES = ("docker", "http", "https", "oras", "registry")
_ARCHIVES = ("oci-archive", "docker-archive", "tarball", "docker-tar")
_LAYOUTS = ("oci", "oci-dir", "ocidir", "oci-layout", "file", "dir")


def recognize(path: str, others: Sequence[str] = ()) -> str | None:
    """What is at a path that is not a layout, and what to do with it; None if nobody knows. `others` are the other
    arguments: the layout may be among them.
    """
    for other in others:
        if _is_layout(other):
            return f"the layout comes first: did you mean {printable(other)}?"
    try:
        if os.path.isdir(path):
            return _directory(path)
        if os.path.isfile(path):
            return _file(path)
        if not os.path.lexists(path):
            return _text(path) or _misspelt(path)
    except (OSError, ValueError):
        pass
    return None


def _text(text: str) -> str | None:
    """What to do about a name that is not a path."""
    transport, colon, rest = text.partition(":")
    rest = rest.removeprefix("//")
    if not text:
        return "its name is empty"
    if not colon:
        return None
    if transport in _REGISTRIES and "://" in text:
        return f"it is in a registry: copy it first, as in `skopeo copy docker://{printable(rest)} oci:DIRECTORY:TAG`"
    if transport in _ENGINES:
        return f"that image is in an engine's own store, which `{_ENGINES[transport]}` cleans"
    return _in_layout("", text, transport) if _is_layout(transport) else _of_transport(transport, rest)


def _of_transport(transport: str, rest: str) -> str | None:
    """`TRANSPORT:PATH[:TAG]`."""
    there = _existing(rest)
    if transport in _ARCHIVES:
        return f"that is an archive, and there is no file {printable(rest)!r}" if there is None else _file(there)
    if transport not in _LAYOUTS:
        return None
    if there is not None and os.path.isdir(there) and not _is_layout(there):
        return _directory(there)
    return _in_layout(transport, rest, there)


def _in_layout(transport: str, rest: str, there: str | None) -> str:
    """The advice for `TRANSPORT:PATH[:TAG]` when the path `there` exists."""
    if there is None:
        return f"give the directory alone, without {transport}: before it or a tag after it"
    tag = rest[len(there) :].lstrip(":@")
    image = f", and the image {printable(tag)!r} by itself" if tag else ""
    return f"give the directory alone: {quote(printable(there))}{image}"


def _existing(text: str) -> str | None:
    """The longest part of `PATH[:TAG]` that exists."""
    parts = text.split(":")
    for count in range(len(parts), 0, -1):
        path = ":".join(parts[:count])
        if path and os.path.exists(path):
            return path
    return None


def _misspelt(path: str) -> str | None:
    """The nearest layout beside it."""
    from difflib import get_close_matches

    parent, name = os.path.split(path.rstrip("/"))
    with suppress(OSError):
        near = get_close_matches(name, _names(parent or "."), 5)
        found = next((each for each in near if _is_layout(os.path.join(parent, each))), None)
        if found is not None:
            return f"did you mean {quote(printable(os.path.join(parent, found)))}?"
    return None


def _file(path: str) -> str | None:
    if os.path.basename(path) in (INDEX, MARKER) and _is_layout(os.path.dirname(path) or "."):
        return f"it is a file of the layout {quote(printable(os.path.dirname(path) or '.'))}: give that directory"
    with open(path, "rb") as file:
        beginning = file.read(512)
    if beginning[257:262] == b"ustar":
        return _archive(path)
    compressed = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ", "xz"), (b"BZh", "bzip2"))
    for magic, name in compressed:
        if beginning.startswith(magic):
            return _compressed(path, name)
    return None


def _compressed(path: str, name: str) -> str:
    shown = quote(printable(path))
    as_it_is = "; `ocigc verify` reads it as it is" if name in ("gzip", "zstd") else ""
    return f"it is a file compressed by {name}: decompress it first, as in `{name} -dk {shown}`{as_it_is}"


def _unpack(path: str) -> str:
    return f"as in `mkdir DIRECTORY && tar -xf {quote(printable(path))} -C DIRECTORY`"


def _archive(path: str) -> str | None:
    from ocigc.layout.archive import list_archive

    try:
        names, layouts = list_archive(path)
    except MalformedError:
        return None
    shown = quote(printable(path))
    if layouts == 1:
        return (
            f"it is an archive of a layout: `verify`, `ls` and other commands that only read take {shown} as it is; to "
            f"change it, unpack it into a directory first, {_unpack(path)}"
        )
    if layouts:
        return f"it is an archive of {layouts:,} layouts: unpack it into a directory first, {_unpack(path)}"
    if "manifest.json" in names:
        copy = f"skopeo copy docker-archive:{shown} oci:DIRECTORY:TAG"
        kind = "a docker-archive, as `docker save` before docker 25 and `podman save` write it"
        return f"it is {kind}: make a layout of it, as in `{copy}`"
    return "it is a tar archive, but not of a layout" if names else None


def _names(directory: str) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in islice(entries, _ENTRIES)]


def _is_layout(path: str) -> bool:
    return os.path.isfile(os.path.join(path, MARKER))


def _directory(path: str) -> str | None:
    names = set(_names(path))
    if above := _layout_above(path):
        return f"it is inside the layout {quote(printable(above))}: give that directory"
    for found in (_store(path, names), _skopeo_dir(path, names), _parent(path, names)):
        if found is not None:
            return found
    if not names:
        return "the directory is empty; `ocigc synth` writes a sample, `skopeo copy ... oci:DIRECTORY:TAG` a real one"
    if {"sha256"} <= names or {"blobs"} == names:
        return "it has blobs but no index.json: prune the layouts that share them, with --recursive above all of them"
    return None


def _layout_above(path: str) -> str | None:
    above = os.path.realpath(path)
    for _ in range(4):
        above = os.path.dirname(above)
        if _is_layout(above):
            return above
    return None


def _store(path: str, names: set[str]) -> str | None:
    """The root of another store."""
    for below in ("v2", "registry/v2", "docker/registry/v2"):
        if {"repositories", "blobs"} <= names or os.path.isdir(os.path.join(path, below, "repositories")):
            return "it is the storage of a distribution registry, which `registry garbage-collect` cleans"
    parts = os.path.realpath(path).split("/")
    if any(name.startswith("io.containerd.") for name in (*names, *parts)):
        return "it is containerd's own store, which `nerdctl image prune` or `ctr content prune references` cleans"
    if {"image", "containers"} <= names or {"overlay2", "image"} <= names:
        return "it is docker's own store, which `docker image prune` cleans"
    if "overlay-images" in names or "vfs-images" in names:
        return "it is the store of podman and buildah, which `podman image prune` cleans"
    return None


def _skopeo_dir(path: str, names: set[str]) -> str | None:
    shown = quote(printable(path))
    if "version" in names and "manifest.json" in names:
        with suppress(OSError), open(os.path.join(path, "version"), "rb") as file:
            if file.read(64).startswith(b"Directory Transport Version"):
                copy = f"skopeo copy dir:{shown} oci:DIRECTORY:TAG"
                return f"it is an image as skopeo's dir: writes it: make a layout of it, as in `{copy}`"
    return None


def _parent(path: str, names: Iterable[str]) -> str | None:
    """A directory with layouts, or with images of `skopeo sync --dest dir`, below it."""
    found, images = [], []
    for below in islice(_walk(path, names), _ENTRIES):
        full = os.path.join(path, below)
        if _is_layout(full):
            found.append(below)
        elif os.path.isfile(os.path.join(full, "version")) and os.path.isfile(os.path.join(full, "manifest.json")):
            images.append(below)
    if found:
        shown = ", ".join(printable(name) for name in found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        return f"there are layouts below it ({shown}): name one, or work on all with --recursive"
    if images:
        first = quote(printable(os.path.join(path, images[0])))
        copy = f"skopeo copy dir:{first} oci:DIRECTORY:TAG"
        return f"it has images as `skopeo sync` writes them: make layouts of them, as in `{copy}`"
    return None


def _walk(path: str, names: Iterable[str], depth: int = 3) -> Iterator[str]:
    """The directories below one, by their paths, the nearest first."""
    level = [name for name in sorted(names) if os.path.isdir(os.path.join(path, name))]
    while level and depth:
        yield from level
        depth -= 1
        deeper = []
        for below in islice(level, _ENTRIES):
            with suppress(OSError):
                full = os.path.join(path, below)
                deeper += [os.path.join(below, name) for name in sorted(_names(full))]
        level = [below for below in deeper if os.path.isdir(os.path.join(path, below))][:_ENTRIES]

"""manifest.json: the list that `docker save` writes beside index.json, and that docker reads when it loads an archive.

Each entry names a config and layers. The layers stay as long as an image has that config. Where no image has it, the
entry itself keeps them. If a list has a form that is not known, every blob that it names stays.

In a prune, an entry goes with the last image that has its config. A tag of an entry that stays goes with the image of
that name. The run's directory has two copies of manifest.json: as it was, and as it will be. Each step may be repeated,
and does not touch what another program has written meanwhile.

Source: moby `daemon/internal/image/tarexport` (`manifestItem`), containerd `core/images/archive/exporter.go`. docker
25.0 wrote OCI manifests without layers (moby#47065), so that only this list names them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any

from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused
from ocigc.gc.graph import Group
from ocigc.layout.dirfd import Dir
from ocigc.native import Store
from ocigc.reference import in_full
from ocigc.strict_json import parse_json, write_json
from ocigc.values import frozen

NAME = "manifest.json"
LIMIT = 64 << 20  # bytes
_BEFORE = "manifest.before"
_AFTER = "manifest.after"
_NEXT = "manifest.next"


@frozen
class ListEntry:
    """An entry: its config (None where that is not a blob), and those of its layers that are blobs."""

    config: Digest | None
    layers: Sequence[Digest]


def read(layout: Dir) -> list[ListEntry]:
    """The entries, with all that they name; empty where there is no list. Raises Refused and OSError."""
    if not layout.exists(NAME):
        return []
    return with_all_named(layout.parsed(NAME, LIMIT, lambda content: parse_json(content, NAME)))


def with_all_named(document: object) -> list[ListEntry]:
    """The entries of a parsed list of any form. Every blob that an entry names, anywhere in it, counts as its layer, so
    that none is lost because a form is not known.
    """
    entries = document if isinstance(document, list) else [document]
    configs = [_entry(each).config if isinstance(each, dict) else None for each in entries]
    named = zip(configs, map(_named, entries), strict=True)
    return [ListEntry(config, [each for each in found if each != config]) for config, found in named if found]


def _named(value: object) -> list[Digest]:
    """The blobs that a JSON value names, by path or digest, each once."""
    found: dict[Digest, None] = {}
    values = [value]
    for each in values:
        if isinstance(each, str):
            if (digest := _digest(each) or Digest.parse_registered(each)) is not None:
                found[digest] = None
        elif isinstance(each, list | dict):
            values += each.values() if isinstance(each, dict) else each
    return list(found)


def listed(document: object) -> list[ListEntry]:
    """The entries of a parsed list; empty if it has another form."""
    if not isinstance(document, list):
        return []
    return [_entry(each) for each in document if isinstance(each, dict)]


def _entry(entry: dict[str, object]) -> ListEntry:
    layers = entry.get("Layers")
    paths = layers if isinstance(layers, list) else []
    return ListEntry(_digest(entry.get("Config")), [each for each in map(_digest, paths) if each is not None])


def _digest(path: object) -> Digest | None:
    """The digest in a path `blobs/sha256/<hex>`, but not in `<hex>.json` or `<id>/layer.tar` of older archives."""
    match [part for part in path.split("/") if part not in {"", "."}] if isinstance(path, str) else []:
        case ["blobs", algorithm, encoded]:
            return Digest.parse_registered(f"{algorithm}:{encoded}")
    return None


def keep_listed(layout: Dir, images: array[int], store: Store, *, tolerant: bool) -> None:
    """Keeps what the list names. Layers stay with their config if an image has that; otherwise config and layers are
    roots. `images` are the roots of all images.

    Raises Refused where the list cannot be read. With `tolerant`, everything that no image reaches stays instead.
    """
    try:
        entries = read(layout)
    except MalformedError:
        if not tolerant:
            raise
        store.add_roots(store.mark([Group(images)]).unreachable())
        return
    reached = store.mark([Group(images)]) if entries else None
    for entry in entries:
        config = None if entry.config is None else store.find(entry.config)
        layers = [node for node in map(store.find, entry.layers) if node is not None]
        if config is None or reached is None or reached.owner(config) is None:
            store.add_roots(layers if config is None else (config, *layers))
            continue
        for layer in layers:
            store.add_referrer(config, layer)


@frozen
class Going:
    """Says which of some blobs go, and which of some names."""

    blobs: Callable[[Collection[Digest]], Collection[Digest]]
    names: Callable[[Collection[str]], Collection[str]]


def prepare(layout: Dir, draft: Dir, going: Going) -> None:
    """If the list will change, writes what `cut` needs into the directory of a new run. Raises OSError."""
    if not layout.exists(NAME):
        return
    content = layout.read(NAME, LIMIT)
    entries = _list_entries(content)
    gone = going.blobs({each.config for each in listed(entries) if each.config is not None})
    left = [entry for entry in entries if not any(each.config in gone for each in listed([entry]))]
    names = frozenset(going.names({tag for entry in left for tag in _tags(entry)}))
    left = [_with_tags(entry, [tag for tag in _tags(entry) if tag not in names]) for entry in left]
    if left != entries:
        like = layout.stat(NAME)
        draft.write(_BEFORE, content, like)
        draft.write(_AFTER, _written(left), like)


def cut(layout: Dir, run: Dir) -> bool:
    """Takes the entries out; returns whether there were any. Raises OSError."""
    return _change(layout, run, _BEFORE, _AFTER)


def undo(layout: Dir, run: Dir) -> None:
    """Restores the list as it was. Raises OSError."""
    _change(layout, run, _AFTER, _BEFORE)


def taken_out(run: Dir) -> list[ListEntry]:
    """The entries that a run has taken out, or has taken tags from."""
    return listed(_taken_out(run))


def bring_back(layout: Dir, run: Dir, names: Collection[str]) -> None:
    """Puts back the entries that a run has taken out, if their config is present again. Puts tags back into entries
    that are present, if they are among the `names` (in full) that came back. What cannot be read of the run stays
    there. Raises OSError.
    """
    if not run.exists(_BEFORE) or not layout.exists(NAME):
        return
    try:
        out, before = _taken_out(run), run.read(_BEFORE, LIMIT)
    except (OSError, Refused):
        return
    current = layout.read(NAME, LIMIT)
    with suppress(MalformedError):
        there = _list_entries(current)
        present = [_with_tags_of(entry, out, names) for entry in there]
        back = [entry for entry in out if not _find(entry, present) and _is_whole(layout, entry)]
        if not back and present == there:
            return
        together = [_find(entry, present) or entry for entry in _list_entries(before)]
        together = [entry for entry in together if entry in present or entry in back]
        together += [entry for entry in present if entry not in together]
        content = before if together == _list_entries(before) else _written(together)
        layout.replace(NAME, content, layout.stat(NAME))


def _tags(entry: object) -> list[str]:
    tags = entry.get("RepoTags") if isinstance(entry, dict) else None
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _with_tags(entry: Any, tags: list[str]) -> object:
    return entry if tags == _tags(entry) else {**entry, "RepoTags": tags}


def _find(entry: object, entries: Iterable[object]) -> object:
    """The same entry but for its tags; None where there is none."""
    return next((each for each in entries if _with_tags(each, []) == _with_tags(entry, [])), None)


def _with_tags_of(entry: object, out: Iterable[object], names: Collection[str]) -> object:
    """The entry with those tags that it had before and that are among the names, in their old order."""
    before = _tags(_find(entry, out))
    tags = [tag for tag in before if tag in _tags(entry) or in_full(tag) in names]
    return _with_tags(entry, [*tags, *(tag for tag in _tags(entry) if tag not in tags)])


def _change(layout: Dir, run: Dir, old: str, new: str) -> bool:
    if not run.exists(_BEFORE) or not run.exists(_AFTER) or not layout.exists(NAME):
        return False
    if layout.read(NAME, LIMIT) != run.read(old, LIMIT):
        return False
    run.remove(_NEXT)
    try:
        run.link(new, run, _NEXT)  # a link needs no room on a full disk
    except OSError:
        run.write(_NEXT, run.read(new, LIMIT), layout.stat(NAME))
    run.rename(_NEXT, layout, NAME)
    layout.sync()
    return True


def _taken_out(run: Dir) -> list[object]:
    if not run.exists(_BEFORE) or not run.exists(_AFTER):
        return []
    before, after = (_list_of_run(run, name) for name in (_BEFORE, _AFTER))
    return [entry for entry in before if entry not in after]


def _list_of_run(run: Dir, name: str) -> list[object]:
    try:
        return _list_entries(run.read(name, LIMIT), name)
    except MalformedError as error:
        raise MalformedError(f"{error}; remove it to go on without it") from None


def _is_whole(layout: Dir, entry: object) -> bool:
    digests = [digest for each in listed([entry]) for digest in (each.config, *each.layers) if digest is not None]
    with suppress(OSError):
        for digest in digests:
            algorithm, encoded = digest.parts
            with layout.below("blobs", algorithm) as directory:
                directory.stat(encoded)
        return bool(digests)
    return False


def _list_entries(content: bytes, name: str = NAME) -> list[object]:
    """The entries of a list; empty for a file of another kind. Raises MalformedError."""
    document = parse_json(content, name)
    return document if isinstance(document, list) else []


def _written(entries: list[object]) -> bytes:
    return write_json(entries, compact=True) + b"\n"

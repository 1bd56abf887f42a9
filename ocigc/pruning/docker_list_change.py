"""The list of `docker save` in a prune: an entry goes when its config goes, with the last image that has it. A tag of
an entry that stays goes with the image of that name.

The directory of the run holds manifest.json as it was and as it is to be. Each step may be repeated, and leaves alone
what another program has written meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ocigc import strict_json
from ocigc.digest import Digest
from ocigc.errors import MalformedError
from ocigc.layout.dirfd import Dir
from ocigc.layout.docker_list import LIMIT, NAME, Listed, listed
from ocigc.reference import in_full

_BEFORE = "manifest.before"
_AFTER = "manifest.after"
_NEXT = "manifest.next"


@dataclass(frozen=True, slots=True)
class Going:
    """Which of some blobs go, and which of some names."""

    blobs: Callable[[Collection[Digest]], Collection[Digest]]
    names: Callable[[Collection[str]], Collection[str]]


def prepare(layout: Dir, draft: Dir, going: Going) -> None:
    """Writes what `cut` needs into the directory of a run that begins, if the list changes. Raises OSError."""
    if not layout.exists(NAME):
        return
    content = layout.read(NAME, LIMIT)
    entries = _entries(content)
    gone = going.blobs({each.config for each in listed(entries) if each.config is not None})
    left = [entry for entry in entries if not any(each.config in gone for each in listed([entry]))]
    names = frozenset(going.names({tag for entry in left for tag in _tags(entry)}))
    left = [_with_tags(entry, [tag for tag in _tags(entry) if tag not in names]) for entry in left]
    if left != entries:
        like = layout.stat(NAME)
        draft.write(_BEFORE, content, like)
        draft.write(_AFTER, _written(left), like)


def cut(layout: Dir, run: Dir) -> bool:
    """Takes the entries out; whether there were any. Raises OSError."""
    return _change(layout, run, _BEFORE, _AFTER)


def undo(layout: Dir, run: Dir) -> None:
    """Makes the list what it was. Raises OSError."""
    _change(layout, run, _AFTER, _BEFORE)


def taken_out(run: Dir) -> list[Listed]:
    """The entries that a run has taken out, or tags of which."""
    return listed(_taken_out(run))


def bring_back(layout: Dir, run: Dir, names: Collection[str]) -> None:
    """Puts entries that a run has taken out back, if their config is here again, and tags of entries that are here, if
    they are among the `names` (in full) that came back. Raises OSError."""
    if not run.exists(_BEFORE) or not layout.exists(NAME):
        return
    current = layout.read(NAME, LIMIT)
    with suppress(MalformedError):
        there, out = _entries(current), _taken_out(run)
        present = [_with_tags_of(entry, out, names) for entry in there]
        back = [entry for entry in out if not _find(entry, present) and _is_whole(layout, entry)]
        if not back and present == there:
            return
        before = run.read(_BEFORE, LIMIT)
        together = [_find(entry, present) or entry for entry in _entries(before)]
        together = [entry for entry in together if entry in present or entry in back]
        together += [entry for entry in present if entry not in together]
        content = before if together == _entries(before) else _written(together)
        layout.replace(NAME, content, layout.stat(NAME))


def _tags(entry: Any) -> list[str]:
    tags = entry.get("RepoTags") if isinstance(entry, dict) else None
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _with_tags(entry: Any, tags: list[str]) -> Any:
    return entry if tags == _tags(entry) else {**entry, "RepoTags": tags}


def _find(entry: Any, entries: Iterable[Any]) -> Any:
    """The entry that is the same but for its tags; None where there is none."""
    return next((each for each in entries if _with_tags(each, []) == _with_tags(entry, [])), None)


def _with_tags_of(entry: Any, out: Iterable[Any], names: Collection[str]) -> Any:
    """The entry with those tags that it had before and that are among the names, in the order that they had."""
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
        run.link(new, run, _NEXT)  # which needs no room on a full disk
    except OSError:
        run.write(_NEXT, run.read(new, LIMIT), layout.stat(NAME))
    run.rename(_NEXT, layout, NAME)
    layout.sync()
    return True


def _taken_out(run: Dir) -> list[Any]:
    if not run.exists(_BEFORE) or not run.exists(_AFTER):
        return []
    after = _entries(run.read(_AFTER, LIMIT))
    return [entry for entry in _entries(run.read(_BEFORE, LIMIT)) if entry not in after]


def _is_whole(layout: Dir, entry: Any) -> bool:
    digests = [digest for each in listed([entry]) for digest in (each.config, *each.layers) if digest is not None]
    with suppress(OSError):
        for digest in digests:
            algorithm, encoded = digest.parts
            with layout.below("blobs", algorithm) as directory:
                directory.stat(encoded)
        return bool(digests)
    return False


def _entries(content: bytes) -> list[Any]:
    """The entries of a list; none of a file of another kind. Raises MalformedError."""
    document = strict_json.loads(content, NAME)
    return document if isinstance(document, list) else []


def _written(entries: list[Any]) -> bytes:
    return json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

"""The list of `docker save` in a prune: an entry goes when its config goes, with the last image that has it.

The directory of the run holds manifest.json as it was and as it is to be. Each step may be repeated, and leaves alone
what another program has written meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from ocigc.digest import Digest
from ocigc.errors import MalformedError
from ocigc.layout import strict_json
from ocigc.layout.dirfd import Dir
from ocigc.layout.docker_list import LIMIT, NAME, Listed, listed

_BEFORE = "manifest.before"
_AFTER = "manifest.after"
_NEXT = "manifest.next"


def prepare(layout: Dir, draft: Dir, going: Callable[[Collection[Digest]], Collection[Digest]]) -> None:
    """Writes what `cut` needs into the directory of a run that begins, if the config of an entry goes: `going` tells
    which of some blobs do. Raises OSError."""
    if not layout.exists(NAME):
        return
    content = layout.read(NAME, LIMIT)
    entries = _entries(content)
    gone = going({each.config for each in listed(entries) if each.config is not None})
    left = [entry for entry in entries if not any(each.config in gone for each in listed([entry]))]
    if len(left) < len(entries):
        like = layout.stat(NAME)
        draft.write(_BEFORE, content, like)
        draft.write(_AFTER, _written(left), like)


def cut(layout: Dir, run: Dir) -> None:
    """Takes the entries out. Raises OSError."""
    _change(layout, run, _BEFORE, _AFTER)


def undo(layout: Dir, run: Dir) -> None:
    """Makes the list what it was. Raises OSError."""
    _change(layout, run, _AFTER, _BEFORE)


def taken_out(run: Dir) -> list[Listed]:
    """The entries that a run has taken out."""
    return listed(_taken_out(run))


def bring_back(layout: Dir, run: Dir) -> None:
    """Puts entries that a run has taken out back, if their config is here again. Raises OSError."""
    if not run.exists(_BEFORE) or not layout.exists(NAME):
        return
    current = layout.read(NAME, LIMIT)
    with suppress(MalformedError):
        there = _entries(current)
        back = [entry for entry in _taken_out(run) if entry not in there and _is_whole(layout, entry)]
        if not back:
            return
        before = run.read(_BEFORE, LIMIT)
        together = [entry for entry in _entries(before) if entry in there or entry in back]
        together += [entry for entry in there if entry not in together]
        content = before if together == _entries(before) else _written(together)
        layout.replace(NAME, content, layout.stat(NAME))


def _change(layout: Dir, run: Dir, old: str, new: str) -> None:
    if not run.exists(_BEFORE) or not run.exists(_AFTER) or not layout.exists(NAME):
        return
    if layout.read(NAME, LIMIT) != run.read(old, LIMIT):
        return
    run.remove(_NEXT)
    try:
        run.link(new, run, _NEXT)  # which needs no room on a full disk
    except OSError:
        run.write(_NEXT, run.read(new, LIMIT), layout.stat(NAME))
    run.rename(_NEXT, layout, NAME)
    layout.sync()


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

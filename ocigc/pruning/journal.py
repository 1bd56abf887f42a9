"""The journal of a run: the record in `.ocigc/run/journal.json` of what it is about to do, besides deleting.

It is parsed strictly. A journal may have come with the layout from anybody, so nothing in it may lead out of the
layout.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

from ocigc.digest import Digest
from ocigc.errors import MalformedError, Refused, printable
from ocigc.labels import Unlease
from ocigc.layout.dirfd import Dir, NotPlain, naming
from ocigc.layout.layout import STATE
from ocigc.native import NEVER
from ocigc.strict_json import parse_json

RUN = "run"
PLACE = f"{STATE}/{RUN}"
"""The directory of a run that is under way, relative to the layout."""
JOURNAL = "journal.json"
_LIMIT = 64 << 20  # bytes of a journal
_VERSION = 2
_FIRST_VERSION = 1
_IDENTITY = re.compile("[0-9a-f]{8}")
_DAMAGE = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "not a directory",
    errno.EISDIR: "not a plain file",
    errno.ENXIO: "not a plain file",
    errno.ELOOP: "a symbolic link, which is not followed",
}
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Journal:
    """A prune. `started` is an instant. What has come since `in_grace_after` is in grace. What is removed stays in the
    trash until `expires`; None means no trash. With `shared`, the plan takes the needs of other layouts into account.

    `before` and `after` are the SHA-256 of index.json, in hex. `removed` are the positions, in the index before, of
    entries that go or lose all their names; `renamed` has those of entries that lose some names, with these names.
    """

    id: str
    started: int
    in_grace_after: int
    expires: int | None
    before: str
    after: str
    removed: tuple[int, ...]
    renamed: tuple[tuple[int, tuple[str, ...]], ...]
    unlease: tuple[Unlease, ...]
    shared: bool


@dataclass(frozen=True, slots=True)
class RestoreJournal:
    """A restore of what the run `run` has removed. `entries` are the entries of index.json that come back, each with
    its position in the index before that run; `unlease` are the labels that come back too.
    """

    id: str
    started: int
    run: str
    entries: tuple[tuple[int, str], ...]
    unlease: tuple[Unlease, ...]


def new_id() -> str:
    """The identity of a new run."""
    return os.urandom(4).hex()


def is_id(text: str) -> bool:
    """Whether a text can be the identity of a run."""
    return _IDENTITY.fullmatch(text) is not None


def write(draft: Dir, journal: Journal | RestoreJournal, like: os.stat_result) -> None:
    """Writes a journal into a directory, synced, with the mode and owner of the file `like`. Raises OSError."""
    kind = "prune" if isinstance(journal, Journal) else "restore"
    document = {"version": _VERSION, "kind": kind, **asdict(journal)}
    draft.write(JOURNAL, json.dumps(document, indent=1).encode(), like)


def without(directory: str) -> str:
    """What a user can do about a run whose directory is damaged."""
    return f"move {directory} out of the layout to go on without it"


@contextmanager
def naming_run(directory: str) -> Iterator[None]:
    """Turns an error of a name in the directory of a run into one line with the file, what is wrong with it, and what
    to do. Raises MalformedError if the directory is damaged, and Refused.
    """
    try:
        yield
    except NotPlain as error:
        what, _, _ = str(error).partition(";")
        raise MalformedError(f"{directory}/{what}; {without(directory)}") from None
    except MalformedError as error:
        raise MalformedError(f"{directory}/{error}") from None
    except Refused as error:
        raise Refused(f"{directory}/{error}; {without(directory)}") from None
    except OSError as error:
        name = error.filename if error.filename2 is None else error.filename2
        path = f"{directory}/{printable(name)}" if isinstance(name, str) else directory
        if (damage := _DAMAGE.get(error.errno or 0)) is not None:
            raise MalformedError(f"{path}: {damage}; {without(directory)}") from error
        with naming(path):
            raise


def read(run: Dir, directory: str = PLACE) -> Journal | RestoreJournal:
    """The journal in an open run directory with that path. Raises MalformedError and Refused."""
    path = f"{directory}/{JOURNAL}"
    with naming_run(directory):
        content = run.read(JOURNAL, _LIMIT)
    try:
        document: Any = parse_json(content, path)
    except MalformedError as error:
        raise MalformedError(f"{error}; {without(directory)}") from None
    version = document.get("version") if isinstance(document, dict) else None
    if version == _FIRST_VERSION:
        document = _from_first_version(document)
    elif isinstance(version, int) and version != _VERSION:
        advice = (
            "finish the run with the ocigc that began it"
            if directory == PLACE
            else f"restore it, or empty the trash, with the ocigc that made it; or {without(directory)}"
        )
        raise MalformedError(f"{path}: version {version}, but this ocigc knows {_VERSION}: {advice}")
    try:
        found: Journal | RestoreJournal
        found = _read_prune(document) if document["kind"] == "prune" else _read_restore(document)
        if document.keys() != {"version", "kind", *(field.name for field in fields(found))}:
            raise ValueError
    except (AttributeError, KeyError, TypeError, ValueError):
        raise MalformedError(f"{path}: not a journal of ocigc; {without(directory)}") from None
    return found


def read_prune(run: Dir, directory: str) -> Journal:
    """The journal of a prune. Raises MalformedError and Refused."""
    found = read(run, directory)
    if isinstance(found, RestoreJournal):
        raise MalformedError(f"{directory}/{JOURNAL}: not the journal of a prune; {without(directory)}")
    return found


def _from_first_version(document: Mapping[str, Any]) -> dict[str, Any]:
    """A journal of ocigc 0.1 in the present form. It does not say what was in grace, so everything is."""
    added = {"kind": "prune", "in_grace_after": -NEVER, "renamed": [], "shared": False}
    return {**added, **document, "version": _VERSION}


def _read_prune(document: Mapping[str, Any]) -> Journal:
    return Journal(
        id=_id(document["id"]),
        started=_instant(document["started"]),
        in_grace_after=_instant(document["in_grace_after"]),
        expires=None if document["expires"] is None else _instant(document["expires"]),
        before=_sha256(document["before"]),
        after=_sha256(document["after"]),
        removed=tuple(map(_position, document["removed"])),
        renamed=tuple((_position(at), tuple(map(_text, names))) for at, names in document["renamed"]),
        unlease=tuple(map(_unlease, document["unlease"])),
        shared=document["shared"] is True,
    )


def _read_restore(document: Mapping[str, Any]) -> RestoreJournal:
    if document["kind"] != "restore":
        raise ValueError
    return RestoreJournal(
        id=_id(document["id"]),
        started=_instant(document["started"]),
        run=_id(document["run"]),
        entries=tuple((_position(at), _text(entry)) for at, entry in document["entries"]),
        unlease=tuple(map(_unlease, document["unlease"])),
    )


def _id(value: Any) -> str:
    if not is_id(value):
        raise ValueError
    return str(value)


def _sha256(value: Any) -> str:
    if not _SHA256.fullmatch(value):
        raise ValueError
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _instant(value: object) -> int:
    if not -NEVER <= _number(value) <= NEVER:
        raise ValueError
    return _number(value)


def _position(value: object) -> int:
    if _number(value) < 0:
        raise ValueError
    return _number(value)


def _unlease(value: Any) -> Unlease:
    digest = Digest.parse_registered(_text(value["digest"]))
    if digest is None:
        raise ValueError
    return Unlease(digest, _text(value["label"]), _text(value["value"]))

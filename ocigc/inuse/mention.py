"""One text that names an image, in any of the forms in which runtimes write it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ocigc.digest import Digest
from ocigc.errors import UsageError, printable
from ocigc.gc.in_use import InUse
from ocigc.reference import InvalidReference, parse_normalized

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")  # docker-pullable://, docker://, containerd://, cri-o://
_ID = re.compile(r"[0-9a-f]{64}")
_SHORT_ID = re.compile(r"[0-9a-f]{12,63}")
_LIKE_DIGEST = re.compile(r"(?:sha256|sha384|sha512):[0-9a-fA-F]{32,}")


def mention(text: str, where: str) -> InUse:
    """What is in use according to a text that must name an image. Raises UsageError for a text that does not, and for a
    shortened ID, as other IDs may begin with it too.
    """
    bare = _SCHEME.sub("", text, count=1)
    # By the grammar alone, alpine:3 is a digest of an unregistered algorithm.
    if Digest.parse_registered(bare) is not None:
        return InUse(digests=frozenset((bare,)))
    if _ID.fullmatch(bare):
        return InUse(digests=frozenset((f"sha256:{bare}",)))
    if _SHORT_ID.fullmatch(bare.removeprefix("sha256:")):
        raise UsageError(f"{where}: {printable(bare)} is a shortened ID; use --no-trunc, or JSON with full IDs")
    if _LIKE_DIGEST.fullmatch(bare):
        raise UsageError(f"{where}: {printable(bare)} is not a digest: wrong length, or not in lower case")
    try:
        parse_normalized(bare)
    except InvalidReference as error:
        raise UsageError(f"{where}: {printable(str(error))}") from None
    return InUse(references=frozenset((bare,)))


def mention_if_any(text: object, where: str) -> InUse:
    """The same for a text that may mean anything: one that does not name an image is ignored."""
    try:
        return mention(text, where) if isinstance(text, str) and text else InUse()
    except UsageError:
        return InUse()


def field(entry: dict[str, object], key: str, where: str) -> InUse:
    """What a member says is in use; it may be absent or empty. Raises UsageError if it is not a string."""
    value = entry.get(key)
    if value is None or value == "":
        return InUse()
    if not isinstance(value, str):
        raise UsageError(f"{where}: {key} must be a string")
    return mention(value, f"{where}: {key}")


def fields(entry: dict[str, object], key: str, where: str) -> list[InUse]:
    """The same for a member that is a list of strings. Raises UsageError if it is anything else."""
    names = entry.get(key) or []
    if not isinstance(names, list) or not all(isinstance(text, str) for text in names):
        raise UsageError(f"{where}: {key} must be a list of strings")
    return [mention(text, f"{where}: {key}") for text in names]


@dataclass(frozen=True, slots=True)
class Source:
    """A form in which something says what is in use: its name for messages, a test for it, and its reader.

    `read` takes the document and the name of its file, and raises UsageError.
    """

    name: str
    recognises: Callable[[Any], bool]
    read: Callable[[Any, str], InUse]


def documents(document: object) -> list[Any]:
    """The documents of an array, or a single document."""
    return document if isinstance(document, list) else [document]


def all_fit(found: list[object], fits: Callable[[dict[str, Any]], bool]) -> bool:
    """Whether these are objects, at least one, that all fit."""
    return bool(found) and all(isinstance(each, dict) and fits(each) for each in found)


def union(parts: list[InUse]) -> InUse:
    """All of them together, in linear time."""
    return InUse(
        tuple(container for part in parts for container in part.containers),
        frozenset().union(*(part.references for part in parts)),
        frozenset().union(*(part.digests for part in parts)),
        pods=any(part.pods for part in parts),
        sandboxes=any(part.sandboxes for part in parts),
    )

"""JSON, read strictly: a key may occur only once in an object, and NaN is not a number. Written so that it can be read
again, and in pieces where there is much of it.

Leases, label files, the journal and lists of what is in use are read with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from ocigc.errors import MalformedError

BOM = b"\xef\xbb\xbf"
BEGINS_WITH_BOM = "begins with a byte order mark, which JSON does not allow: save it as UTF-8 without one"
_AT_ONCE = 1000  # elements that become text at once
_SPACE = re.compile(r"[ \t\r\n]*")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a key twice")
    return members


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def parse_json(content: bytes, name: str) -> Any:
    """Parses a document. Raises MalformedError, naming the file, if it is not JSON or has a key twice."""
    if content.startswith(BOM):
        raise MalformedError(f"{name}: {BEGINS_WITH_BOM}")
    try:
        return _DECODER.decode(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _malformed(error, name) from None


def write_json(value: object, *, indent: int | None = None, compact: bool = False) -> bytes:
    """A document as bytes. Characters stay as they are, unless UTF-8 does not have one of them (half a surrogate pair,
    which JSON may have as an escape). Then all that are not ASCII are escaped. `compact` leaves out spaces.
    """
    separators = (",", ":") if compact else None
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators).encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent, separators=separators).encode()


def json_pieces(document: object) -> Iterator[str]:
    """The text that `json.dumps` gives. An iterator is an array whose elements are made some at a time; it may be the
    document, or a member of it.
    """
    if isinstance(document, Iterator):
        yield "["
        separator = ""
        while batch := list(islice(document, _AT_ONCE)):
            yield f"{separator}{json.dumps(batch)[1:-1]}"
            separator = ", "
        yield "]"
    elif isinstance(document, Mapping) and any(isinstance(each, Iterator) for each in document.values()):
        separator = "{"
        for key, each in document.items():
            yield f"{separator}{json.dumps(key)}: "
            yield from json_pieces(each) if isinstance(each, Iterator) else (json.dumps(each),)
            separator = ", "
        yield "}"
    else:
        yield json.dumps(document)


def parse_all_json(text: str, name: str) -> list[object]:
    """Parses the documents that follow one another in a text. Raises MalformedError as `parse_json` does."""
    documents = []
    position = _SPACE.match(text).end()  # type: ignore[union-attr]
    try:
        while position < len(text):
            document, position = _DECODER.raw_decode(text, position)
            documents.append(document)
            position = _SPACE.match(text, position).end()  # type: ignore[union-attr]
    except (ValueError, RecursionError) as error:
        raise _malformed(error, name) from None
    return documents


def _malformed(error: Exception, name: str) -> MalformedError:
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return MalformedError(f"{name}: not valid JSON: {reason}")


def string_map(document: object, name: str) -> dict[str, str]:
    """Checks that a document is a JSON object from string to string. Raises MalformedError, naming the file."""
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise MalformedError(f"{name}: must be a JSON object from string to string")
    return document

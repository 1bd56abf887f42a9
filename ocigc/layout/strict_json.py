"""JSON for the small files that are ours to read: leases, sidecars, the journal."""

from __future__ import annotations

import json
from typing import Any

from ocigc.errors import MalformedError


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return members


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def loads(content: bytes, name: str) -> Any:
    """The document. Raises MalformedError, naming the file, for what is no JSON or has a key twice."""
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise MalformedError(f"{name}: no valid JSON: {reason}") from None


def string_map(document: Any, name: str) -> dict[str, str]:
    """A JSON object from string to string. Raises MalformedError, naming the file."""
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise MalformedError(f"{name}: must be a JSON object from string to string")
    return document

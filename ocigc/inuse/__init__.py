"""What is in use: one module a source, told apart by their content."""

from __future__ import annotations

from typing import Any, Protocol

from ocigc.container import InUse
from ocigc.errors import MalformedError, UsageError
from ocigc.inuse import docker
from ocigc.store import strict_json


class Source(Protocol):
    """A module that knows one form."""

    NAME: str

    def recognises(self, document: Any) -> bool:
        """Whether the document is of that form."""

    def read(self, document: Any, name: str) -> InUse:
        """What it says. Raises UsageError."""


_SOURCES: tuple[Source, ...] = (docker,)


def parse(data: bytes, name: str) -> InUse:
    """What a file says is in use; `name` is for messages. Raises UsageError for what no source recognises."""
    try:
        document = strict_json.loads(data, name)
    except MalformedError as error:
        raise UsageError(f"--in-use {error}") from None
    for source in _SOURCES:
        if source.recognises(document):
            return source.read(document, name)
    expected = ", ".join(source.NAME for source in _SOURCES)
    raise UsageError(f"--in-use {name}: not understood; expected the output of {expected}")

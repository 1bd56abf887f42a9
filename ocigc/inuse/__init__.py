"""What is in use: one module a source, told apart by their content."""

from __future__ import annotations

import codecs
from typing import Any, Protocol

from ocigc.container import InUse
from ocigc.errors import MalformedError, UsageError
from ocigc.inuse import (
    container_list,
    cri,
    docker,
    image_list,
    kubernetes,
    names,
    plain,
    podman,
    table,
    yaml_documents,
)
from ocigc.store import strict_json


class Source(Protocol):
    """A module that knows one form."""

    NAME: str

    def recognises(self, document: Any) -> bool:
        """Whether the document is of that form."""

    def read(self, document: Any, name: str) -> InUse:
        """What it says. Raises UsageError."""


_SOURCES: tuple[Source, ...] = (podman, docker, container_list, image_list, cri, kubernetes, names)


def parse_in_use(data: bytes, name: str) -> InUse:
    """What a file says is in use; `name` is for messages. Raises UsageError for what no source recognises, and for what
    one cannot understand: a name that is passed over is an image that is lost.
    """
    text = _decode(data, name)
    if text.lstrip().startswith(("{", "[")):
        return _read(_json(text, name), name)
    if table.recognises(text):
        return table.read(text, name)
    if yaml_documents.recognises(text):
        return _read(yaml_documents.loads(text, name), name)
    return plain.read(text, name)


def _decode(data: bytes, name: str) -> str:
    """A Windows shell writes UTF-16 where it redirects."""
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"--in-use {name}: no text: {error.reason} at byte {error.start}") from None


def _json(text: str, name: str) -> Any:
    """A document, or the list of those that stand one a line."""
    try:
        return strict_json.loads(text.encode(errors="surrogatepass"), name)
    except MalformedError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not all(line.startswith("{") for line in lines):
            raise UsageError(f"--in-use {error}") from None
    try:
        return [strict_json.loads(line.encode(errors="surrogatepass"), name) for line in lines]
    except MalformedError as error:
        raise UsageError(f"--in-use {error}") from None


def _read(document: Any, name: str) -> InUse:
    # A single line of `docker ps --format json`.
    documents = [document]
    if isinstance(document, dict):
        documents.append([document])
    for form in documents:
        for source in _SOURCES:
            if source.recognises(form):
                return source.read(form, name)
    expected = ", ".join([*(source.NAME for source in _SOURCES), table.NAME, plain.NAME])
    raise UsageError(f"--in-use {name}: not understood; expected {expected}")

"""What is in use, with one module per kind of source. The content of a file tells its form."""

from __future__ import annotations

import codecs

from ocigc.errors import MalformedError, UsageError
from ocigc.gc.in_use import InUse
from ocigc.inuse import cri, docker, kubernetes, orchestrators
from ocigc.inuse import text as texts
from ocigc.inuse.mention import Source, documents
from ocigc.strict_json import parse_all_json

_SOURCES: tuple[Source, ...] = (
    docker.PODMAN_INSPECT,
    docker.INSPECT,
    docker.CONTAINER_LIST,
    docker.IMAGE_LIST,
    cri.CRI,
    orchestrators.SERVICES,
    orchestrators.NOMAD,
    orchestrators.ECS,
    kubernetes.KUBERNETES,
    texts.STRINGS,
)


def parse_in_use(data: bytes, name: str) -> InUse:
    """Parses the content of a file that lists what is in use; `name` is for messages. Raises UsageError if no source
    recognises it, or if part of it is not understood: to ignore a name could lose an image.
    """
    text = _decode(data, name)
    if text.lstrip().startswith(("{", "[")):
        return _read(_json(text, name), name)
    if texts.TABLE.recognises(text):
        return texts.TABLE.read(text, name)
    if kubernetes.is_yaml(text):
        return _read(kubernetes.load_yaml(text, name), name)
    return texts.LINES.read(text, name)


def _decode(data: bytes, name: str) -> str:
    """Decodes the text. A Windows shell writes UTF-16 when it redirects output."""
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not text: {error.reason} at byte {error.start}") from None


def _json(text: str, name: str) -> object:
    """A document, or the list of all documents that follow one another: a command may have been run several times."""
    try:
        found = parse_all_json(text, name)
    except MalformedError as error:
        raise UsageError(str(error)) from None
    if len(found) == 1:
        return found[0]
    return [each for document in found for each in documents(document)]


def _read(document: object, name: str) -> InUse:
    # A single line of `docker ps --format json`.
    forms = [document]
    if isinstance(document, dict):
        forms.append([document])
    for form in forms:
        for source in _SOURCES:
            if source.recognises(form):
                return source.read(form, name)
    expected = ", ".join([source.name for source in (*_SOURCES, texts.TABLE, texts.LINES)])
    raise UsageError(f"{name}: not understood; expected {expected}")

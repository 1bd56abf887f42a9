"""Documents as JSON, a piece at a time, so that a document of a million things is never whole in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice

_BATCH = 1000  # elements that become text at once


def pieces(document: object) -> Iterator[str]:
    """The text that `json.dumps` gives. An iterator is an array whose elements are made some at a time; it may be the
    document, or a member of it.
    """
    if isinstance(document, Iterator):
        yield "["
        separator = ""
        while batch := list(islice(document, _BATCH)):
            yield f"{separator}{json.dumps(batch)[1:-1]}"
            separator = ", "
        yield "]"
    elif isinstance(document, Mapping) and any(isinstance(each, Iterator) for each in document.values()):
        separator = "{"
        for key, each in document.items():
            yield f"{separator}{json.dumps(key)}: "
            yield from pieces(each) if isinstance(each, Iterator) else (json.dumps(each),)
            separator = ", "
        yield "}"
    else:
        yield json.dumps(document)

"""A content descriptor, and what its media type says of the content's form."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Media(IntEnum):
    """What a blob is held to be. The numbers are those of the native core's `enum ocigc_media`."""

    UNKNOWN = 0
    """A leaf: a layer, or a type that says nothing of its form."""
    MANIFEST = 1
    INDEX = 2
    CONFIG = 3
    JSON = 4
    """An unknown type that ends in `+json`: looked into."""
    NONE = 5
    """Named by digest alone, as in a label or a lease."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """`size` is in bytes."""

    media_type: str
    digest: str
    size: int
    media: Media

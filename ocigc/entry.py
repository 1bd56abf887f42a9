"""An entry of index.json."""

from __future__ import annotations

from dataclasses import dataclass

from ocigc.descriptor import Descriptor


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of `manifests`: its place in the file's bytes, its descriptor, the image's name and when that was
    made, as it says (None: it does not), and the digests that its labels refer to besides."""

    start: int
    end: int
    descriptor: Descriptor
    name: str | None
    created: str | None
    references: tuple[str, ...]

"""Digests: the names of blobs.

Source: image-spec `descriptor.md`, "Digests"; go-digest `Digest.Validate`.
"""

from __future__ import annotations

import re

ENCODED_LENGTHS = {"sha256": 64, "sha512": 128, "blake3": 64}
"""Hexadecimal digits of each registered algorithm."""

_GRAMMAR = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_HEX = re.compile(r"[0-9a-f]+")
_LIMIT = 255  # characters: a file name has no more
_SHORT = 12  # digits, as docker shows them


class Digest(str):
    """`algorithm:encoded`. It compares, sorts and prints as any other text.

    `Digest(text)` takes a text that has been checked before; `parse` checks it.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Parses a digest by the grammar. A digest of a registered algorithm must have the right number of lower-case
        digits.

        Raises ValueError.
        """
        algorithm, _, encoded = text.partition(":")
        length = ENCODED_LENGTHS.get(algorithm)
        sound = len(encoded) == length and _HEX.fullmatch(encoded) if length else _GRAMMAR.fullmatch(text)
        if not sound or len(text) > _LIMIT:
            raise ValueError(f"{text!r} is not a digest")
        return cls(text)

    @classmethod
    def parse_registered(cls, text: str) -> Digest | None:
        """A digest of a registered algorithm; None for any other text."""
        algorithm, _, encoded = text.partition(":")
        sound = len(encoded) == ENCODED_LENGTHS.get(algorithm) and _HEX.fullmatch(encoded)
        return cls(text) if sound else None

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Whether a text is a digest by the grammar."""
        try:
            cls.parse(text)
        except ValueError:
            return False
        return True

    @property
    def algorithm(self) -> str:
        """For example `sha256`."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """The part after the colon: the name of the blob's file."""
        return self.partition(":")[2]

    @property
    def registered(self) -> bool:
        """Whether the image-spec registers the algorithm. Only such blobs are ever deleted."""
        return self.algorithm in ENCODED_LENGTHS

    @property
    def short(self) -> str:
        """The algorithm and the first digits, to show to people."""
        algorithm, _, encoded = self.partition(":")
        return f"{algorithm}:{encoded[:_SHORT]}"

    @property
    def parts(self) -> tuple[str, str]:
        """The algorithm, and the name of the blob's file in the directory of that algorithm."""
        algorithm, _, encoded = self.partition(":")
        return algorithm, encoded

    @property
    def path(self) -> str:
        """Where the blob lies below `blobs/`. Its labels lie below `labels/`, with `.json` appended."""
        algorithm, _, encoded = self.partition(":")
        return f"{algorithm}/{encoded}"

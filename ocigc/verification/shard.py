"""A share of a layout's blobs, for one of several runs that verify it together.

Shard I of N has the blobs whose digests lie in the I-th of N equal parts of all possible digests. So the shard depends
only on the digest: whatever is added or removed meanwhile, each blob belongs to exactly one shard.
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Iterable

from ocigc.digest import Digest
from ocigc.native import Store
from ocigc.values import frozen

_FORM = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")
_DIGITS = 8  # of a digest, in hexadecimal


@frozen
class Shard:
    """The shard `number` (from 1) `of` a number of shards."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A text as in `3/8`. Raises ValueError."""
        form = _FORM.fullmatch(text)
        if form is None or int(form[1]) > int(form[2]):
            raise ValueError(f"invalid shard {text!r}: expected I/N, with I from 1 to N, as in 3/8")
        return cls(int(form[1]), int(form[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def pick(self, store: Store, nodes: Iterable[int]) -> array[int]:
        """Those of the nodes that are in the shard."""
        chosen = list(nodes)
        return array(
            "I",
            (
                node
                for node, digest in zip(chosen, store.digests(chosen), strict=True)
                if shard_number(digest, self.of) == self.number
            ),
        )


def shard_number(digest: Digest, of: int) -> int:
    """The number of the shard that a blob is in, given how many there are."""
    # The encoded part of an algorithm that is not registered may be any text.
    beginning = int(digest.encoded[:_DIGITS], 16) if digest.registered else zlib.crc32(digest.encode())
    return (beginning * of >> 4 * _DIGITS) + 1


def inventory(store: Store, of: int) -> tuple[str, ...]:
    """For each of the given number of shards, a checksum of the digests of its blobs. It is equal if and only if the
    blobs are the same."""
    import hashlib  # loads all of OpenSSL

    sums = [hashlib.sha256() for _ in range(of)]
    for digest in store.digests(range(len(store))):
        sums[shard_number(digest, of) - 1].update(digest.encode() + b"\n")
    return tuple(each.hexdigest() for each in sums)

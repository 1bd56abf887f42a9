"""All that goes by a plan, as a value that outlives the snapshot: to be saved, and to be compared with a later plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from ocigc.errors import printable
from ocigc.pruning.layout_plan import Pruned

_Item = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WhatGoes:
    """All that goes: untagged names and deleted digests in the order of the report, the other blobs, labels (digest,
    label, value) and leftovers; and the bytes of all of it.
    """

    images: tuple[tuple[str, str], ...] = ()
    orphans: tuple[str, ...] = ()
    unleased: tuple[tuple[str, str, str], ...] = ()
    leftovers: tuple[str, ...] = ()
    size: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing goes."""
        return not (self.images or self.orphans or self.unleased or self.leftovers)

    def within(self, other: WhatGoes) -> bool:
        """Whether all of this goes by the other plan too."""
        return all(mine <= theirs for (_, mine), (_, theirs) in zip(self._sets(), other._sets(), strict=True))

    def rest(self, gone: WhatGoes) -> WhatGoes:
        """What is left of this after the other has gone. All its blobs are orphans then, in no particular order."""
        names, blobs, labels, leftovers = (
            theirs - mine for (_, mine), (_, theirs) in zip(gone._sets(), self._sets(), strict=True)
        )
        return WhatGoes(
            tuple(("Untagged", name) for (name,) in sorted(names)),
            tuple(blob for (blob,) in sorted(blobs)),
            tuple((digest, label, value) for digest, label, value in sorted(labels)),
            tuple(file for (file,) in sorted(leftovers)),
        )

    def difference(self, now: WhatGoes, *, keeps_for_others: bool = False) -> str | None:
        """What the plan made `now` removes and this one does not, or the reverse, as a clause; None if they are the
        same. With `keeps_for_others`, blobs that are kept because other layouts need them do not count."""
        for (what, then), (_, there) in zip(self._sets(), now._sets(), strict=True):
            if more := sorted(there - then):
                return f"{what} {_shown(more[0])} goes now too"
            if (fewer := sorted(then - there)) and not (keeps_for_others and what == "blob"):
                return f"{what} {_shown(fewer[0])} does not go now"
        return None

    def _sets(self) -> Iterator[tuple[str, set[_Item]]]:
        yield "image", {(name,) for kind, name in self.images if kind == "Untagged"}
        deleted = (name for kind, name in self.images if kind == "Deleted")
        yield "blob", {(blob,) for blob in chain(self.orphans, deleted)}
        yield "label", set(self.unleased)
        yield "leftover", {(file,) for file in self.leftovers}


def _shown(item: _Item) -> str:
    return printable(item[0] if len(item) == 1 else f"{item[1]} of {item[0]}")


def what_goes(planned: Pruned) -> WhatGoes:
    """All that goes by a plan."""
    return WhatGoes(
        images=tuple(planned.items()),
        orphans=tuple(planned.orphans()),
        unleased=tuple((each.digest, each.label, each.value) for each in planned.unleased),
        leftovers=tuple(file for each in planned.leftovers for file in each.files),
        size=planned.reclaimed + planned.trashed,
    )

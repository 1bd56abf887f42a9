"""One layout of a tree that is pruned: what its plan says about its needs, and what the others ask it to keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from ocigc.digest import Digest
from ocigc.layout.discover import Found
from ocigc.layout.needs import damage, needs
from ocigc.layout.snapshot import present
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.other_layouts import FixedNeeds, Peer


@dataclass(slots=True)
class TreeMember(Peer):
    """A layout of the tree. `after` is what it needs once its plan is carried out, None before it is planned. A `pool`
    has no entry; a layout is `emptied` if its last plan removes all entries. For that plan it was `asked` to keep some
    digests; it keeps the `kept_for_others` among them, and loses the blobs `going`. It is `done` once its plan is
    carried out.
    """

    found: Found = field(kw_only=True)
    after: frozenset[Digest] | None = None
    pool: bool = False
    emptied: bool = False
    asked: frozenset[Digest] = frozenset()
    kept_for_others: frozenset[Digest] = frozenset()
    going: frozenset[Digest] = frozenset()
    done: bool = False


@dataclass(frozen=True, slots=True)
class PlannedNeeds:
    """What a plan says about its layout: what that needs now and `after` the plan, the `kept_for_others`, the blobs
    `going`, and whether it is `emptied`. If it has nothing but damaged manifests, `damage` says what is wrong with the
    first.
    """

    needs: frozenset[Digest]
    after: frozenset[Digest]
    kept_for_others: frozenset[Digest]
    going: frozenset[Digest]
    emptied: bool
    damage: str


def planned_needs(planned: Pruned, now: int, asked: frozenset[Digest], *, pools: bool) -> PlannedNeeds:
    """What a plan says at the instant `now`, given the digests that others ask for; with `pools` also what goes."""
    snapshot, plan = planned.snapshot, planned.plan
    gone = frozenset(chain(plan.pruned.entries, plan.parts.entries)).difference(plan.dangling.entries)
    blobs = plan.blobs
    current = needs(snapshot, now)
    return PlannedNeeds(
        current,
        needs(snapshot, now, gone, blobs) if gone or blobs else current,
        frozenset(snapshot.store.digests(present(asked, snapshot.store))),
        frozenset(snapshot.store.digests(blobs)) if pools else frozenset(),
        len(gone) == len(snapshot.index.entries),
        damage(snapshot) if len(snapshot.store) == len(snapshot.store.faults()) else "",
    )


@dataclass(frozen=True, slots=True)
class Demand(FixedNeeds):
    """The same for one that is planned in another process. It cannot be a pool; `pools`: there are some."""

    pools: bool = False

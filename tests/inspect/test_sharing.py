"""Who has which blob, against a plain definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ocigc.image import Descriptor, Media
from ocigc.inspect.sharing import NOBODY, sharing

NODES = 8


class Walks:
    """Of the store's questions those that are asked here. Node n is the target of unit n, if there is one."""

    def __init__(self, walks: list[set[int]], referrers: dict[int, int]) -> None:
        self._walks = walks
        self._referrers = referrers

    def __len__(self) -> int:
        return NODES

    def find(self, digest: str) -> int | None:
        return int(digest)

    def walk(self, target: Descriptor) -> list[tuple[int, Media]]:
        return [(node, Media.MANIFEST) for node in self._walks[int(target.digest)]]

    def walk_from(self, node: int, media: Media) -> list[tuple[int, Media]]:
        return [(node, media)]

    def referrers(self, node: int) -> list[int]:
        return [referrer for referrer, subject in self._referrers.items() if subject == node]


@given(
    walks=st.lists(st.sets(st.integers(0, NODES - 1)), max_size=5),
    referrers=st.dictionaries(st.integers(0, NODES - 1), st.integers(0, NODES - 1)),
)
def test_a_blob_is_owned_by_those_who_lead_to_it(walks: list[set[int]], referrers: dict[int, int]) -> None:
    store = Walks(walks, referrers)
    targets = [Descriptor("", str(number), 0, Media.MANIFEST) for number in range(len(walks))]
    found = sharing(targets, store)  # type: ignore[arg-type]
    reached = []
    for walk in walks:
        whole = set(walk)
        while more := {r for r, s in referrers.items() if s in whole and r >= len(walks)} - whole:
            whole |= more
        reached.append(whole)
    leading = {node: {unit for unit, whole in enumerate(reached) if node in whole} for node in range(NODES)}
    for unit, whole in enumerate(reached):
        assert {node for node, _ in found.walk(unit)} == whole
    members: dict[int, set[int]] = {}
    for node, units in leading.items():
        owner = found.owners[node]
        if len(units) > 1:
            assert owner < 0
            assert members.setdefault(~owner, units) == units
        else:
            assert owner == (min(units) if units else NOBODY)
    # Two groups never have the same units, and each unit knows its own.
    assert len(set(map(frozenset, members.values()))) == len(members) == found.count
    for unit in range(len(walks)):
        assert list(found.groups[unit]) == sorted(group for group, units in members.items() if unit in units)

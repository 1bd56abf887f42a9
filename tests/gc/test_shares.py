"""Where each blob belongs, against a plain definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ocigc.image import Descriptor, ImageRecord, Media
from ocigc.inspect.shares import Place, shares

NODES = 8
REPOSITORIES = ("docker.io/library/a", "docker.io/library/b", "example.com/c")


class Walks:
    """Of the graph's questions those that are asked here."""

    def __init__(self, walks: list[set[int]]) -> None:
        self._walks = walks

    def __len__(self) -> int:
        return NODES

    def walk(self, target: Descriptor) -> list[tuple[int, Media]]:
        return [(node, Media.UNKNOWN) for node in self._walks[int(target.digest)]]


@given(
    walks=st.lists(st.sets(st.integers(0, NODES - 1)), min_size=1, max_size=5),
    names=st.lists(st.tuples(st.integers(0, 4), st.sampled_from(REPOSITORIES)), max_size=8),
)
def test_every_node_has_the_place_that_those_who_lead_to_it_have_in_common(
    walks: list[set[int]], names: list[tuple[int, str]]
) -> None:
    named = [(target % len(walks), repository) for target, repository in names]
    images = [
        ImageRecord(f"{repository}:{number}", Descriptor("", str(target), 0, Media.MANIFEST), (), (number,))
        for number, (target, repository) in enumerate(named)
    ]
    found = shares(images, Walks(walks))  # type: ignore[arg-type]
    familiar = {REPOSITORIES[0]: "a", REPOSITORIES[1]: "b", REPOSITORIES[2]: REPOSITORIES[2]}
    for node in range(NODES):
        leading = [(target, repository) for target, repository in named if node in walks[target]]
        places = [place for place, nodes in found.places.items() if node in nodes]
        if not leading:
            assert places == []
            assert node in found.others
            continue
        targets = {str(target) for target, _ in leading}
        repositories = {familiar[repository] for _, repository in leading}
        one = len(repositories) == 1
        assert places == [
            Place(next(iter(repositories)) if one else None, next(iter(targets)) if one and len(targets) == 1 else None)
        ]
    assert sum(map(len, found.places.values())) + len(found.others) == NODES

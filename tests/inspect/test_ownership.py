"""Who has which blob, and what images take, against plain definitions."""

from __future__ import annotations

from array import array
from functools import reduce
from operator import or_
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from ocigc.image import Media
from ocigc.inspect.overview_values import NOBODY
from ocigc.inspect.ownership import sharing
from ocigc.native import NO_NODE, Store
from tests.helpers.layouts import LayoutWriter
from tests.helpers.stores import node, scanned

LAYERS = 5


def _write(path: Path, images: list[set[int]], referrers: list[int]) -> tuple[LayoutWriter, list[str], list[str]]:
    """Images with some layers of all, and referrers to some of the images; their digests."""
    layout = LayoutWriter(path)
    layers = [layout.blob(f"layer {number}" * (number + 1)) for number in range(LAYERS)]
    targets = [
        layout.manifest(layout.config(str(number)), [layers[each] for each in sorted(wanted)])
        for number, wanted in enumerate(images)
    ]
    layout.blob("nobody's")
    found = [
        layout.manifest(layout.config(f"referrer {number}"), [], subject=targets[subject])
        for number, subject in enumerate(referrers)
    ]
    layout.write_index()
    return layout, [each["digest"] for each in targets], [each["digest"] for each in found]


def _expanded(store: Store, digests: list[str]) -> tuple[array[int], bytes]:
    roots = array("I", (node(store, digest) for digest in digests))
    medias = bytes([Media.MANIFEST]) * len(roots)
    store.expand(roots, medias)
    store.find_referrers()
    return roots, medias


@st.composite
def stores(draw: st.DrawFn) -> tuple[list[set[int]], list[int]]:
    images = draw(st.lists(st.sets(st.integers(0, LAYERS - 1)), min_size=1, max_size=4))
    return images, draw(st.lists(st.integers(0, len(images) - 1), max_size=3))


@settings(max_examples=40, deadline=None)
@given(stores(), st.integers(0, 3))
def test_a_blob_is_owned_by_those_who_lead_to_it(store_of: tuple[list[set[int]], list[int]], entries: int) -> None:
    with TemporaryDirectory() as directory:
        layout, targets, referrers = _write(Path(directory) / "layout", *store_of)
        digests = [*targets, *referrers[:entries]]  # some referrers are images of their own
        with scanned(layout) as store:
            roots, medias = _expanded(store, digests)
            found = sharing(roots, medias, store)
            reached = []
            for number, root in enumerate(roots):
                whole = {each for each, _ in store.walk_from(root, Media.MANIFEST)}
                for place, subject in enumerate(store_of[1]) if number < len(targets) else ():
                    if subject == number and place >= entries:
                        whole |= {each for each, _ in store.walk_from(node(store, referrers[place]), Media.MANIFEST)}
                reached.append(whole)
            leading = [{unit for unit, whole in enumerate(reached) if each in whole} for each in range(len(store))]
    for unit, whole in enumerate(reached):
        assert {each for each, _ in found.walk(unit)} == whole == set(found.nodes(unit))
    members: dict[int, set[int]] = {}
    for each, units in enumerate(leading):
        owner = found.owners[each]
        if len(units) > 1:
            assert owner < 0
            assert members.setdefault(~owner, units) == units
        else:
            assert owner == (min(units) if units else NOBODY)
    # Two groups never have the same units, and each unit knows its own.
    assert len(set(map(frozenset, members.values()))) == len(members) == found.count
    for unit in range(len(digests)):
        assert list(found.groups[unit]) == sorted(group for group, units in members.items() if unit in units)


@settings(max_examples=40, deadline=None)
@given(stores(), st.data())
def test_groups_of_images_take_what_their_walks_visit(
    store_of: tuple[list[set[int]], list[int]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as directory:
        layout, targets, _ = _write(Path(directory) / "layout", *store_of)
        with scanned(layout) as store:
            roots, medias = _expanded(store, targets)
            ends = sorted(data.draw(st.lists(st.integers(0, len(roots)), max_size=3)))
            flags = bytes(data.draw(st.lists(st.integers(0, 3), min_size=len(store), max_size=len(store))))
            groups = [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]
            walked = [
                {each for n in group for each, _ in store.walk_from(roots[n], Media.MANIFEST)} for group in groups
            ]
            listed = array("I", (each for group in walked for each in [*group, *group, NO_NODE]))
            by_walk = list(store.usage(roots, medias, array("I", ends), flags))
            lengths = array("I", (sum(2 * len(group) + 1 for group in walked[: n + 1]) for n in range(len(walked))))
            by_node = list(store.usage(listed, None, lengths, flags))
            sizes = store.sizes()
    assert by_walk == by_node
    for group, (size, shared, flagged, found) in zip(walked, by_walk, strict=True):
        others = [each for each in walked if each is not group]
        assert size == sum(sizes[each] for each in group)
        assert shared == sum(sizes[each] for each in group if any(each in other for other in others))
        assert flagged == sum(sizes[each] for each in group if flags[each] & 1)
        assert found == (0 if not group else reduce(or_, (flags[each] for each in group)))

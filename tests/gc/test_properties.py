"""What must hold of every plan, on random stores."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ocigc.digest import Digest
from ocigc.gc.decide import Inputs, Request
from ocigc.gc.filters import parse_filters
from ocigc.gc.graph import NO_NODE, Group, Marks
from ocigc.gc.in_use import Container, InUse
from ocigc.gc.mark import lease_roots
from ocigc.gc.plan import Plan
from ocigc.gc.referrers import find_subjects, relate
from ocigc.image import Descriptor, ImageRecord, Media, dangling_name
from ocigc.labels import Lease
from ocigc.pruning.planning import decide
from tests.helpers.images import RecordImages
from tests.helpers.model import Blob, ModelGraph

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
NOW = 10**18


class World:
    """A random store: a small alphabet, so that layers, manifests and names are shared often."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.blobs: dict[str, Blob] = {}
        layers = [self._add(f"layer {n}".encode(), "layer") for n in range(5)]
        configs = self.configs = [
            self._add(json.dumps({"config": {"Labels": {"n": str(n)}}}).encode(), CONFIG) for n in range(3)
        ]
        manifests: list[dict[str, Any]] = []
        for number in range(self.random.randint(1, 8)):
            if manifests and self.random.random() < 0.25:
                document: dict[str, Any] = {"manifests": self.random.sample(manifests, min(2, len(manifests)))}
                manifests.append(self._add(json.dumps({**document, "n": number}).encode(), INDEX))
                continue
            document = {"config": self.random.choice(configs), "layers": self.random.sample(layers, 2), "n": number}
            if manifests and self.random.random() < 0.3:
                document["subject"] = self.random.choice(manifests)
            manifests.append(self._add(json.dumps(document).encode(), MANIFEST))
        for digest in self.random.sample(sorted(self.blobs), 2):
            if self.random.random() < 0.3:
                del self.blobs[digest]
        self.records = self._records(manifests)
        self.leases = [
            Lease(
                "l",
                {"containerd.io/gc.flat": ""} if self.random.random() < 0.5 else {},
                tuple(self.random.sample(sorted(self.blobs), min(2, len(self.blobs)))),
            )
        ] * self.random.randint(0, 1)

    def inputs(self, records: Sequence[ImageRecord] | None = None, gone: Collection[str] = ()) -> Inputs:
        """What the rules see, also where some blobs are gone."""
        graph = ModelGraph({digest: blob for digest, blob in self.blobs.items() if digest not in gone})
        images = RecordImages(self.records if records is None else records)
        subjects = find_subjects(images, graph)
        for position, nodes in subjects.present.items():
            for node in nodes:
                if (target := graph.find(images[position].target.digest)) is not None:
                    graph.add_referrer(node, target)
        held = [node for flat in (False, True) for node in lease_roots(self.leases, graph, flat=flat)]
        relations = relate(images, subjects, held, graph)
        for position in subjects.present.keys() - relations.subjects.keys() - set(relations.parts):
            target = images.picked([position]).targets(graph)[0]
            if target == NO_NODE:
                continue
            for node in set(subjects.present[position]) - {graph.subject(target)}:
                graph.remove_referrer(node, target)
        alone = images.picked(each for each in images.positions if each not in relations.parts)
        return Inputs(alone, images.picked(relations.parts), relations, self.leases, [], graph)

    def _add(self, data: bytes, media_type: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        labels = {}
        if self.blobs and self.random.random() < 0.1:
            labels["containerd.io/gc.ref.content"] = self.random.choice(sorted(self.blobs))
        self.blobs[digest] = Blob(data, labels, self.random.choice([0, NOW]))
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def _records(self, manifests: Sequence[dict[str, Any]]) -> list[ImageRecord]:
        images: dict[tuple[str | None, str], ImageRecord] = {}
        for position in range(self.random.randint(0, 8)):
            target = self.random.choice(manifests)
            subject = self.random.choice([*manifests, *self.configs])["digest"]
            name = self.random.choice(
                [
                    None,
                    None,
                    dangling_name(target["digest"]),
                    *(f"docker.io/library/app:{n}" for n in "123"),
                    f"docker.io/library/app:{subject.replace(':', '-')}",
                ]
            )
            media = Media.MANIFEST if target["mediaType"] == MANIFEST else Media.INDEX
            descriptor = Descriptor(target["mediaType"], Digest(target["digest"]), target["size"], media)
            images[name, target["digest"]] = ImageRecord(
                name or dangling_name(target["digest"]), descriptor, (), (position,), 0, nameless=name is None
            )
        return list(images.values())

    def in_use(self) -> InUse:
        if not self.records or self.random.random() < 0.4:
            return InUse()
        digest = self.random.choice(self.records).target.digest
        image = self.random.choice(["app:1", digest, digest[7:19], ""])
        return InUse((Container("c", image, digest),))


def request(in_use: InUse, *, prune_all: bool, grace: int = 0) -> Request:
    return Request(parse_filters([], prune_all=prune_all, now=NOW, local_offset=0), in_use, NOW, grace)


def plan_of(inputs: Inputs, wanted: Request) -> Plan:
    assert isinstance(inputs.graph, ModelGraph)
    return decide(inputs, wanted, lambda _: [], inputs.graph)


def remaining(inputs: Inputs, plan: Plan) -> list[ImageRecord]:
    """The entries that stay, as they are then."""
    nameless = [replace(image, name=dangling_name(image.target.digest), nameless=True) for image in plan.dangling]
    parts = [part for part in inputs.parts if part.position not in plan.parts.positions]
    return [*(plan.images[kept.position] for kept in plan.kept), *nameless, *parts]


def marks_of(inputs: Inputs, images: Sequence[ImageRecord]) -> Marks:
    graph = inputs.graph
    held = lease_roots(inputs.leases, graph, flat=False)
    flat = lease_roots(inputs.leases, graph, flat=True)
    return graph.mark([Group([*RecordImages(images).roots(graph), *held]), Group(flat, flat=True)])


worlds = st.integers(0, 2**32).map(World)


@settings(max_examples=400, deadline=None)
@given(worlds, st.booleans(), st.sampled_from([0, 1]))
def test_nothing_that_is_reachable_goes(world: World, prune_all: bool, grace: int) -> None:
    inputs = world.inputs()
    plan = plan_of(inputs, request(world.in_use(), prune_all=prune_all, grace=grace))
    marks = marks_of(inputs, remaining(inputs, plan))
    assert not [node for node in plan.blobs if marks.owner(node) is not None]
    assert plan.blob_count == len(list(plan.blobs)) == len(set(plan.blobs))


@settings(max_examples=400, deadline=None)
@given(worlds, st.booleans())
def test_everything_that_is_unreachable_goes(world: World, prune_all: bool) -> None:
    inputs = world.inputs()
    plan = plan_of(inputs, request(world.in_use(), prune_all=prune_all))
    assert sorted(plan.blobs) == marks_of(inputs, remaining(inputs, plan)).unreachable()


@settings(max_examples=400, deadline=None)
@given(worlds, st.booleans())
def test_every_image_goes_or_stays_once(world: World, prune_all: bool) -> None:
    inputs = world.inputs()
    plan = plan_of(inputs, request(world.in_use(), prune_all=prune_all))
    fates = [u.image for u in plan.untagged] + [plan.images[kept.position] for kept in plan.kept]
    assert sorted(fates, key=lambda i: i.entries) == sorted(inputs.images, key=lambda i: i.entries)
    assert list(plan.pruned) == sorted(plan.pruned, key=lambda i: i.sort_key)
    assert set(plan.dangling.positions) <= set(plan.pruned.positions)


@settings(max_examples=400, deadline=None)
@given(worlds, st.booleans())
def test_a_part_stays_with_an_image_that_reaches_it_or_its_subject_or_a_container(
    world: World, prune_all: bool
) -> None:
    inputs = world.inputs()
    in_use = world.in_use()
    plan = plan_of(inputs, request(in_use, prune_all=prune_all))
    graph = inputs.graph
    used = {container.image_id for container in in_use.containers}
    parts = inputs.parts.positions
    left = remaining(inputs, plan)
    images = [image for image in left if image.position not in parts or image.target.digest in used]
    marks = graph.mark([Group(RecordImages(images).roots(graph))])
    leaving = set(plan.blobs)
    for part in inputs.parts:
        node = graph.find(part.target.digest)
        assert node is not None
        subject_stays = not leaving.issuperset(inputs.relations.part_subjects.get(part.position, ()))
        stays = marks.owner(node) is not None or subject_stays
        assert stays == (part.position not in plan.parts.positions)


@settings(max_examples=400, deadline=None)
@given(worlds)
def test_a_default_prune_takes_names_only_from_referrers(world: World) -> None:
    inputs = world.inputs()
    plan = plan_of(inputs, request(InUse(), prune_all=False))
    leaving = set(plan.blobs)
    for image in plan.pruned:
        if not image.dangling:
            assert any(node in leaving for node in inputs.relations.subjects[image.position])


@settings(max_examples=400, deadline=None)
@given(worlds, st.booleans())
def test_a_referrer_stays_with_its_subject(world: World, prune_all: bool) -> None:
    inputs = world.inputs()
    plan = plan_of(inputs, request(InUse(), prune_all=prune_all))
    leaving = set(plan.blobs)
    for image in plan.pruned:
        assert all(node in leaving for node in inputs.relations.subjects.get(image.position, ()))


@settings(max_examples=400, deadline=None)
@given(worlds, st.booleans())
def test_a_second_prune_finds_nothing(world: World, prune_all: bool) -> None:
    inputs = world.inputs()
    in_use = world.in_use()
    wanted = request(in_use, prune_all=prune_all)
    plan = plan_of(inputs, wanted)
    gone = {inputs.graph.digest(node) for node in plan.blobs}
    second = plan_of(world.inputs(remaining(inputs, plan), gone), wanted)
    assert list(second.untagged) == []
    assert len(second.parts) == second.blob_count == 0


@settings(max_examples=400, deadline=None)
@given(worlds, st.randoms(use_true_random=False))
def test_the_order_of_the_index_does_not_matter(world: World, shuffled: random.Random) -> None:
    wanted = request(world.in_use(), prune_all=True)
    records = list(world.records)
    shuffled.shuffle(records)
    plan, other = plan_of(world.inputs(), wanted), plan_of(world.inputs(records), wanted)
    assert list(plan.untagged) == list(other.untagged)
    for one, same in ((plan.judged, other.judged), (plan.kept, other.kept)):
        assert sorted(one, key=lambda kept: kept.position) == sorted(same, key=lambda kept: kept.position)
    assert list(plan.dangling) == list(other.dangling)
    assert sorted(plan.parts.positions) == sorted(other.parts.positions)
    assert (plan.unlease, plan.orphans) == (other.unlease, other.orphans)
    assert (plan.in_grace, plan.reclaimed) == (other.in_grace, other.reclaimed)

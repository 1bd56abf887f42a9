"""What must hold of every plan, on random stores."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ocigc.gc.decide import Inputs, Request, decide
from ocigc.gc.filters import parse_filters
from ocigc.gc.graph import Group
from ocigc.gc.images import Images
from ocigc.gc.in_use import Container, InUse
from ocigc.gc.mark import lease_roots
from ocigc.gc.plan import Plan
from ocigc.image import Descriptor, ImageRecord, Media, dangling_name
from ocigc.labels import Lease
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
        configs = [self._add(json.dumps({"config": {"Labels": {"n": str(n)}}}).encode(), CONFIG) for n in range(3)]
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
        self.images = self._images(manifests)
        fallbacks = [
            (image.name.rsplit(":", 1)[1].replace("-", ":"), image.target.digest)
            for image in self.images
            if ":sha256-" in image.name
        ]
        self.graph = ModelGraph(
            self.blobs, [pair for pair in fallbacks if pair[0] in self.blobs and pair[1] in self.blobs]
        )
        self.leases = [
            Lease(
                "l",
                {"containerd.io/gc.flat": ""} if self.random.random() < 0.5 else {},
                tuple(self.random.sample(sorted(self.blobs), min(2, len(self.blobs)))),
            )
        ] * self.random.randint(0, 1)

    def _add(self, data: bytes, media_type: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        labels = {}
        if self.blobs and self.random.random() < 0.1:
            labels["containerd.io/gc.ref.content"] = self.random.choice(sorted(self.blobs))
        self.blobs[digest] = Blob(data, labels, self.random.choice([0, NOW]))
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def _images(self, manifests: Sequence[dict[str, Any]]) -> list[ImageRecord]:
        images: dict[tuple[str, str], ImageRecord] = {}
        for position in range(self.random.randint(0, 8)):
            target = self.random.choice(manifests)
            subject = self.random.choice(manifests)["digest"]
            name = self.random.choice(
                [
                    dangling_name(target["digest"]),
                    *(f"docker.io/library/app:{n}" for n in "123"),
                    f"docker.io/library/app:{subject.replace(':', '-')}",
                ]
            )
            media = Media.MANIFEST if target["mediaType"] == MANIFEST else Media.INDEX
            descriptor = Descriptor(target["mediaType"], target["digest"], target["size"], media)
            images[name, target["digest"]] = ImageRecord(name, descriptor, (), (position,), 0)
        return list(images.values())

    def in_use(self) -> InUse:
        if not self.images or self.random.random() < 0.4:
            return InUse()
        digest = self.random.choice(self.images).target.digest
        image = self.random.choice(["app:1", digest, digest[7:19], ""])
        return InUse((Container("c", image, digest),))

    def plan(self, in_use: InUse, *, prune_all: bool, grace: int, images: Sequence[ImageRecord] | None = None) -> Plan:
        filters = parse_filters([], prune_all=prune_all, now=NOW, local_offset=0)
        chosen = self.images if images is None else images
        return decide(
            Inputs(Images(chosen), self.leases, [], self.graph), Request(filters, in_use, NOW, grace), lambda _: []
        )

    def remaining(self, plan: Plan) -> list[ImageRecord]:
        nameless = [ImageRecord(dangling_name(i.target.digest), i.target, (), i.entries, 0) for i in plan.dangling]
        return [*(plan.images[kept.position] for kept in plan.kept), *nameless]


worlds = st.integers(0, 2**32).map(World)


@settings(max_examples=400, deadline=None)
@given(worlds, st.booleans(), st.sampled_from([0, 1]))
def test_nothing_that_is_reachable_goes(world: World, prune_all: bool, grace: int) -> None:
    plan = world.plan(world.in_use(), prune_all=prune_all, grace=grace)
    graph = world.graph
    roots = [*Images(world.remaining(plan)).roots(graph), *lease_roots(world.leases, graph, flat=False)]
    flat = lease_roots(world.leases, graph, flat=True)
    marks = graph.mark([Group(roots), Group(flat, flat=True)])
    assert not [node for node in plan.blobs if marks.owner(node) is not None]
    assert plan.blob_count == len(list(plan.blobs)) == len(set(plan.blobs))


@settings(max_examples=400, deadline=None)
@given(worlds, st.booleans())
def test_everything_that_is_unreachable_goes(world: World, prune_all: bool) -> None:
    plan = world.plan(world.in_use(), prune_all=prune_all, grace=0)
    graph = world.graph
    roots = [*Images(world.remaining(plan)).roots(graph), *lease_roots(world.leases, graph, flat=False)]
    flat = lease_roots(world.leases, graph, flat=True)
    assert sorted(plan.blobs) == graph.mark([Group(roots), Group(flat, flat=True)]).unreachable()


@settings(max_examples=400, deadline=None)
@given(worlds, st.booleans())
def test_every_image_goes_or_stays_once(world: World, prune_all: bool) -> None:
    plan = world.plan(world.in_use(), prune_all=prune_all, grace=0)
    fates = [u.image for u in plan.untagged] + [plan.images[kept.position] for kept in plan.kept]
    assert sorted(fates, key=lambda i: i.entries) == sorted(world.images, key=lambda i: i.entries)
    assert list(plan.pruned) == sorted(plan.pruned, key=lambda i: i.sort_key)
    assert set(plan.dangling.positions) <= set(plan.pruned.positions)


@settings(max_examples=400, deadline=None)
@given(worlds, st.randoms(use_true_random=False))
def test_the_order_of_the_index_does_not_matter(world: World, shuffled: random.Random) -> None:
    in_use = world.in_use()
    images = list(world.images)
    shuffled.shuffle(images)
    plan = world.plan(in_use, prune_all=True, grace=0)
    other = world.plan(in_use, prune_all=True, grace=0, images=images)
    assert list(plan.untagged) == list(other.untagged)
    for one, same in ((plan.judged, other.judged), (plan.kept, other.kept)):
        assert sorted(one, key=lambda kept: kept.position) == sorted(same, key=lambda kept: kept.position)
    assert list(plan.dangling) == list(other.dangling)
    assert (plan.unlease, plan.orphans) == (other.unlease, other.orphans)
    assert (plan.spared, plan.reclaimed) == (other.spared, other.reclaimed)

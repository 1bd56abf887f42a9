"""The rules against moby's own answers, on the plain model of a store."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest

from ocigc.errors import UsageError
from ocigc.gc.decide import Inputs, Request
from ocigc.gc.filters import parse_filters
from ocigc.gc.in_use import Container, InUse
from ocigc.gc.referrers import Relations
from ocigc.gc.rule_sets import RuleSet
from ocigc.image import Descriptor, ImageRecord, dangling_name
from ocigc.labels import Lease
from ocigc.pruning.planning import decide
from ocigc.times import SECOND, parse_rfc3339
from tests.helpers.images import RecordImages
from tests.helpers.model import Blob, ModelGraph, content_references, media_of
from tests.vectors.scenarios import Scenario, each_scenario, filter_arguments

NOW = 1_780_000_000 * SECOND


def records(scenario: Scenario) -> list[ImageRecord]:
    return [
        ImageRecord(
            image["name"],
            Descriptor(
                image["target"]["mediaType"],
                image["target"]["digest"],
                image["target"]["size"],
                media_of(image["target"]["mediaType"]),
            ),
            tuple(content_references(image["labels"])),
            (position,),
            parse_rfc3339(image["createdAt"]),
        )
        for position, image in enumerate(scenario["images"])
    ]


@pytest.mark.parametrize(("rules", "scenario"), each_scenario())
def test_agrees_with_moby(rules: RuleSet, scenario: Scenario) -> None:
    expect = scenario["expect"]
    arguments = filter_arguments(scenario)
    if expect["error"]:
        with pytest.raises(UsageError, match=re.escape(expect["error"])):
            parse_filters(arguments, prune_all=False, now=NOW, local_offset=0, rules=rules)
        return
    graph = ModelGraph({b["digest"]: Blob(b["data"].encode(), b["labels"]) for b in scenario["blobs"]})

    def config_labels(image: ImageRecord) -> Sequence[dict[str, str]]:
        configs = graph.configs(image.target, skip_attestations=rules.skips_attestations)
        return [json.loads(graph.blobs[node].data).get("config", {}).get("Labels") or {} for node in configs]

    label_roots = [n for n, blob in enumerate(graph.blobs) if "containerd.io/gc.root" in blob.labels]
    leases = [
        Lease(lease["id"], lease["labels"], tuple(resource["id"] for resource in lease["resources"]))
        for lease in scenario["leases"]
    ]
    containers = tuple(Container(c["id"], c["image"], c["imageID"]) for c in scenario["containers"])
    filters = parse_filters(arguments, prune_all=False, now=NOW, local_offset=0, rules=rules)
    plan = decide(
        Inputs(RecordImages(records(scenario)), RecordImages(), Relations(), leases, label_roots, graph),
        Request(filters, InUse(containers), NOW, 0, rules=rules),
        config_labels,
        graph,
    )

    report = []
    for untagged in plan.untagged:
        report.append(["Untagged", untagged.image.familiar])
        report += [["Deleted", graph.digest(node)] for node in untagged.deleted]
    assert report == expect["imagesDeleted"]
    assert sorted(map(graph.digest, plan.orphans)) == sorted(expect["orphans"])
    assert plan.reclaimed == expect["spaceReclaimed"]

    staying = (plan.images[kept.position] for kept in plan.kept)
    images = {image.name: image.target.digest for image in staying}
    images |= {dangling_name(image.target.digest): image.target.digest for image in plan.dangling}
    assert images == expect["images"]
    gone = set(plan.blobs)
    assert [d for n, d in enumerate(graph.names) if n not in gone] == sorted(expect["blobs"])
    label = f"containerd.io/gc.ref.snapshot.{scenario['driver']}"
    labels = {}
    for node, digest in enumerate(graph.names):
        left = {k: v for k, v in graph.blobs[node].labels.items() if k != label or node not in plan.unlease}
        if left and node not in gone:
            labels[digest] = left
    assert labels == expect["labels"]

"""moby's own answers: random stores, each pruned by moby's real code on a containerd metadata store.

`moby-prune.json.gz` has 754 answers of `ImagesPrune` at 87c87bccb5, the seed's rules; `docker29-prune.json.gz` has
1,000 of `ImagePrune` at docker-v29.7.2. The loops over hash maps were made to run in the order of names. At the seed,
an image without a readable config can be pruned where no label filter is given, and a container's reference that ends
in `@` and its ImageID marks that digest as used.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ocigc.gc.rule_sets import DOCKER_29, SEED, RuleSet

Scenario = dict[str, Any]

_FILES = {"seed": "moby-prune.json.gz", "docker-29": "docker29-prune.json.gz"}


@cache
def scenarios(rules: RuleSet) -> list[Scenario]:
    with gzip.open(Path(__file__).parent / _FILES[rules.name]) as file:
        loaded: list[Scenario] = json.load(file)
    return loaded


def each_scenario(step: int = 1) -> list[Any]:
    """Every scenario, or every so many of them, with its rule set: the parameters of a test."""
    return [
        pytest.param(rules, scenario, id=f"{rules.name}-{scenario['name']}")
        for rules in (SEED, DOCKER_29)
        for scenario in scenarios(rules)[::step]
    ]


def filter_arguments(scenario: Scenario) -> list[str]:
    return [f"{key}={value}" for key, values in scenario["filters"].items() for value in values]


def index_entry(image: dict[str, Any]) -> dict[str, Any]:
    annotations = {"org.opencontainers.image.created": image["createdAt"], **image["labels"]}
    return {**image["target"], "annotations": {**annotations, "io.containerd.image.name": image["name"]}}


def inspect_list(scenario: Scenario) -> list[dict[str, Any]]:
    return [{"Id": c["id"], "Image": c["imageID"], "Config": {"Image": c["image"]}} for c in scenario["containers"]]

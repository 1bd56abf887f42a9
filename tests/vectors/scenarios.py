"""moby's own answers: 754 random stores, each pruned by moby's real `ImagesPrune` (87c87bccb5) on a containerd store.

Its two hash-map loops were made to run in the order of names, an image without a readable config can be pruned where no
label filter is given, and a container's reference that ends in `@` and its ImageID marks that digest as used.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

Scenario = dict[str, Any]


@cache
def scenarios() -> list[Scenario]:
    with gzip.open(Path(__file__).parent / "moby-prune.json.gz") as file:
        snapshot: list[Scenario] = json.load(file)
    return snapshot


def filter_arguments(scenario: Scenario) -> list[str]:
    return [f"{key}={value}" for key, values in scenario["filters"].items() for value in values]


def index_entry(image: dict[str, Any]) -> dict[str, Any]:
    names = {"org.opencontainers.image.created": image["createdAt"], "io.containerd.image.name": image["name"]}
    return {**image["target"], "annotations": names | image["labels"]}


def inspect_list(scenario: Scenario) -> list[dict[str, Any]]:
    return [{"Id": c["id"], "Image": c["imageID"], "Config": {"Image": c["image"]}} for c in scenario["containers"]]

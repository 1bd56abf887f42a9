"""The command against moby's own answers, on real layouts: every third of them, or all with OCIGC_VECTORS=all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ocigc.gc.rule_sets import RuleSet
from ocigc.image import dangling_name
from tests.helpers.command import ocigc
from tests.helpers.layouts import snapshot
from tests.vectors.scenarios import Scenario, each_scenario, filter_arguments, index_entry, inspect_list

_STEP = 1 if os.environ.get("OCIGC_VECTORS") == "all" else 3


def write_layout(path: Path, scenario: Scenario) -> None:
    path.mkdir()
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    manifests = [index_entry(image) for image in scenario["images"]]
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
    for blob in scenario["blobs"]:
        place = blob["digest"].replace(":", "/")
        blob_path = path / "blobs" / place
        blob_path.parent.mkdir(parents=True, exist_ok=True)
        blob_path.write_bytes(blob["data"].encode())
        if blob["labels"]:
            sidecar = path / "labels" / f"{place}.json"
            sidecar.parent.mkdir(parents=True, exist_ok=True)
            sidecar.write_text(json.dumps(blob["labels"]))
    for lease in scenario["leases"]:
        (path / "leases").mkdir(exist_ok=True)
        (path / "leases" / f"{lease['id']}.json").write_text(json.dumps(lease))


def arguments(layout: Path, rules: RuleSet, scenario: Scenario) -> tuple[list[str], str | None]:
    options = [option for text in filter_arguments(scenario) for option in ("--filter", text)]
    options += ["--rules", rules.name]
    options += ["--allow-empty", "--grace", "0s", "--format", "json", "--driver", scenario["driver"]]
    containers = inspect_list(scenario)
    if containers:
        return ["prune", str(layout), *options, "--in-use", "-"], json.dumps(containers)
    return ["prune", str(layout), *options], None


def images_after(layout: Path) -> dict[str, str]:
    manifests = json.loads((layout / "index.json").read_text())["manifests"]
    return {
        entry["annotations"].get("io.containerd.image.name", dangling_name(entry["digest"])): entry["digest"]
        for entry in manifests
    }


def labels_after(layout: Path) -> dict[str, Any]:
    sidecars = (layout / "labels").glob("*/*.json")
    found = {f"{path.parent.name}:{path.stem}": json.loads(path.read_text()) for path in sidecars}
    return {digest: labels for digest, labels in found.items() if labels}


@pytest.mark.parametrize(("rules", "scenario"), each_scenario(_STEP))
def test_agrees_with_moby(rules: RuleSet, scenario: Scenario, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    write_layout(layout, scenario)
    before = snapshot(layout)
    command, stdin = arguments(layout, rules, scenario)
    expect = scenario["expect"]

    result = ocigc(*command, "--force", stdin=stdin)
    if expect["error"]:
        assert result.code == 2, result
        assert expect["error"] in result.err
        assert snapshot(layout) == before
        return
    assert result.code == 0, result
    report = result.json
    assert [next(iter(item.items())) for item in report["ImagesDeleted"]] == [
        tuple(item) for item in expect["imagesDeleted"]
    ]
    assert sorted(report["Orphans"]) == sorted(expect["orphans"])
    assert report["SpaceReclaimed"] == expect["spaceReclaimed"]
    assert images_after(layout) == expect["images"]
    assert labels_after(layout) == expect["labels"]
    blobs = {f"{path.parent.name}:{path.name}" for path in (layout / "blobs").glob("*/*")}
    assert blobs == set(expect["blobs"])

"""What contrib/ has for Prometheus and Grafana: it asks for metrics that there are, and the alerts fire."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ocigc.cli.output.metrics import HELP

CONTRIB = Path(__file__).parents[2] / "contrib"
DASHBOARD = CONTRIB / "grafana/ocigc.json"
RULES = CONTRIB / "prometheus/ocigc.rules.yml"

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def promtool(*arguments: str | Path) -> None:
    process = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, cwd=RULES.parent
    )
    assert process.returncode == 0, process


def values(document: Any, key: str) -> Iterator[str]:
    """All strings that stand under a key, wherever that is."""
    if isinstance(document, list):
        for each in document:
            yield from values(each, key)
    if isinstance(document, dict):
        for name, each in document.items():
            if name == key and isinstance(each, str):
                yield each
            yield from values(each, key)


def metrics(text: str) -> set[str]:
    return set(re.findall(r"\bocigc_([a-z_]+)\b", text))


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert metrics(" ".join(values(dashboard, "expr"))) == set(HELP)
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells), "panels overlap"
    assert max(x for x, _ in cells) < 24
    assert all(panel["targets"] and panel["title"] for panel in panels)


def test_alerts_ask_for_metrics_that_there_are() -> None:
    rules = yaml.safe_load(RULES.read_text())
    asked = metrics(" ".join(values(rules, "expr")))
    assert asked <= set(HELP)
    assert {"store_disk_bytes", "disk_free_bytes", "repository_unique_bytes"} <= asked  # growth


@needs_promtool
def test_alerts_fire_when_they_should() -> None:
    promtool("check", "rules", RULES)
    promtool("test", "rules", "ocigc.test.yml")
    tested = set(values(yaml.safe_load((RULES.parent / "ocigc.test.yml").read_text()), "alertname"))
    assert tested == set(values(yaml.safe_load(RULES.read_text()), "alert"))


@needs_promtool
def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = values(json.loads(DASHBOARD.read_text()), "expr")
    rules = [{"record": f"q{number}", "expr": query.replace("$layout", ".*")} for number, query in enumerate(queries)]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "queries.yml")

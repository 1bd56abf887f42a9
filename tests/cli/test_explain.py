"""`ocigc prune --explain`: the rule of each image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter

ALL = ("prune", "--all", "--dry-run", "--grace", "0s", "--explain")


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def rules(report: Any) -> dict[str, tuple[str, str, str | None]]:
    return {e["Name"] or e["Digest"]: (e["Fate"], e["Rule"], e["By"]) for e in report["Explained"]}


def test_without_a_name_or_with_one(layout: LayoutWriter) -> None:
    layout.tag(layout.image("named"), "example.com/app:1")
    dangling = layout.image("dangling")
    layout.tag(dangling)
    result = ocigc("prune", "--dry-run", "--explain", "--format", "json", layout.path)
    assert rules(result.json) == {
        "example.com/app:1": ("stays", "has a name, and only dangling images are pruned", None),
        dangling["digest"]: ("goes", "has no name, and is not in use", None),
    }
    assert "Explained" not in ocigc("prune", "--dry-run", "--format", "json", layout.path).json


def test_it_names_who_uses_an_image(layout: LayoutWriter) -> None:
    by_name, by_digest, subject = layout.image("name"), layout.image("digest"), layout.image("subject")
    layout.tag(by_name, "example.com/name:1")
    layout.tag(by_digest, "example.com/digest:1")
    layout.tag(subject, "example.com/gone:1")
    signature = layout.manifest(layout.config("s"), [], subject=by_name)
    lost = layout.manifest(layout.config("l"), [], subject=subject)
    layout.tag(signature)
    layout.tag(lost)
    containers = [
        {"Id": "0123456789abcdef", "Image": "", "Config": {"Image": "example.com/name:1"}},
        {"Id": "c" * 64, "Image": by_digest["digest"], "Config": {"Image": by_digest["digest"]}},
    ]
    result = ocigc(*ALL, "--format", "json", "--in-use", "-", layout.path, stdin=json.dumps(containers))
    assert result.code == 0, result
    assert rules(result.json) == {
        "example.com/name:1": ("stays", "in use by name", "container 0123456789ab"),
        "example.com/digest:1": ("loses its name", "in use by digest alone", None),
        "example.com/gone:1": ("goes", "is not in use", None),
        signature["digest"]: ("stays", "refers to an image that stays", by_name["digest"]),
        lost["digest"]: ("goes", "refers to an image that goes", subject["digest"]),
    }


def test_it_names_filters_and_leases(layout: LayoutWriter) -> None:
    layout.tag(layout.image("kept", labels={"keep": "yes"}), "example.com/kept:1")
    leased = layout.image("leased")
    layout.tag(leased, "example.com/leased:1")
    layout.lease("holder", [leased])
    result = ocigc(*ALL, "--filter", "label!=keep", "--format", "json", layout.path)
    assert rules(result.json) == {
        "example.com/kept:1": ("stays", "a filter keeps it", "label!=keep"),
        "example.com/leased:1": ("goes", "is not in use; its content stays, because something else reaches it", None),
    }


def test_as_text_also_after_a_real_run(layout: LayoutWriter) -> None:
    layout.tag(layout.image("kept"), "example.com/kept:1")
    layout.tag(layout.image("hostile"), "example.com/\x1b[31m:1")
    used = json.dumps([{"Id": "c", "Image": "", "Config": {"Image": "example.com/kept:1"}}])
    dry = ocigc(*ALL, "--in-use", "-", layout.path, stdin=used)
    real = ocigc("prune", "-af", "--explain", "--grace", "0s", "--in-use", "-", layout.path, stdin=used)
    assert "\x1b" not in dry.out
    assert "in use by name (container c)" in dry.out
    assert dry.out.split("Plan for")[0] == real.out.split("Removed from")[0]

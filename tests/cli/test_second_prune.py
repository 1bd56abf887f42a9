"""A second prune of the same request finds nothing: what it would take, the first one takes or keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, prune
from tests.helpers.layouts import INDEX, Descriptor, LayoutWriter

USED = "reg.example/used:1\n"


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("used"), "reg.example/used:1")
    return writer


def about(layout: LayoutWriter, subject: Descriptor, seed: str) -> Descriptor:
    return layout.manifest(layout.json({}, "application/json"), [layout.blob(seed)], subject=subject)


def fallback(subject: Descriptor) -> str:
    return "reg.example/app:" + subject["digest"].replace(":", "-")


def test_a_cycle_that_something_else_has_reached(layout: LayoutWriter) -> None:
    """The first run takes the name that reaches both; then only they reach each other."""
    child = layout.image("child")
    index = layout.index([child])
    notes = about(layout, child, "notes")
    layout.tag(index, fallback(notes))
    layout.tag(notes, "reg.example/used:1")
    layout.tag(child, "reg.example/child:1")
    assert prune(layout, "-a", used=USED) == ["reg.example/child:1"]
    assert layout.has(index)


def test_a_cycle_that_nothing_keeps_goes_at_once(layout: LayoutWriter) -> None:
    child = layout.image("child")
    index, notes = layout.index([child]), about(layout, child, "notes")
    layout.tag(index, fallback(notes))
    layout.tag(notes, fallback(index))
    assert prune(layout) == []
    assert len(prune(layout, "-a", used=USED)) == 2
    assert not layout.has(child)


def test_what_a_container_uses_in_a_cycle_keeps_its_name(layout: LayoutWriter) -> None:
    child = layout.image("child")
    index = layout.json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child], "subject": child}, INDEX)
    layout.tag(index, fallback(child))
    used = json.dumps([{"Id": "c", "Image": index["digest"], "Config": {"Image": index["digest"]}}])
    assert prune(layout, "-a", used=used) == ["reg.example/used:1"]
    assert layout.has(child)


@pytest.mark.parametrize(("rule", "gone"), [("deny = ['reg.example/index:*']\n", ["reg.example/index:1"]), ("", [])])
def test_a_part_that_a_policy_takes_as_a_referrer_goes_with_its_index_only(
    layout: LayoutWriter, tmp_path: Path, rule: str, gone: list[str]
) -> None:
    app = layout.image("app")
    notes = about(layout, app, "notes")
    layout.tag(app, "reg.example/used:2")
    layout.entry(notes)
    layout.tag(layout.index([notes]), "reg.example/index:1")
    policy = tmp_path / "policy.toml"
    policy.write_text(f"[[rule]]\n{rule}delete-referrers = true\n")
    assert prune(layout, "--policy", str(policy)) == gone
    assert layout.has(notes) == (not gone)


def test_what_stays_with_a_name_goes_with_it(layout: LayoutWriter) -> None:
    """The image keeps its content, for a container uses it; but it loses the name."""
    app, extra = layout.image("app"), layout.blob("extra")
    layout.tag(app, "reg.example/app:1")
    layout.labels(extra, {"containerd.io/gc.bref.image": "reg.example/app:1"})
    used = json.dumps([{"Id": "c", "Image": app["digest"], "Config": {"Image": app["digest"]}}])
    arguments = ("prune", "-f", "-a", "--grace", "0s", "--format", "json", "--in-use", "-", layout.path)
    first, second = ocigc(*arguments, stdin=used), ocigc(*arguments, stdin=used)
    assert extra["digest"] in first.json["Orphans"]
    assert (second.json["ImagesDeleted"], second.json["Orphans"]) == ([], [])
    assert layout.has(app)


def test_a_referrer_stays_that_a_label_refers_to_by_name(layout: LayoutWriter) -> None:
    used, app = layout.image("used"), layout.image("app")
    notes = about(layout, app, "notes")
    layout.tag(app, "reg.example/app:1")
    layout.tag(notes, "reg.example/app:notes")
    layout.labels(used, {"containerd.io/gc.ref.image": "reg.example/app:notes"})
    assert prune(layout, "-a", used=USED) == ["reg.example/app:1"]
    assert layout.has(notes)


def test_a_name_in_a_label_of_what_goes_is_a_name_as_others(layout: LayoutWriter) -> None:
    """Two names of content in use: the one that only a label of an orphan keeps goes in the first run."""
    app, orphan = layout.image("app"), layout.image("orphan")
    layout.tag(app, "reg.example/app:1")
    layout.tag(app, "reg.example/app:2")
    layout.labels(orphan, {"containerd.io/gc.ref.image": "reg.example/app:2"})
    assert prune(layout, "-a", used=f"{app['digest']}\n") == ["reg.example/app:1", "reg.example/used:1"]
    assert layout.has(app)
    assert not layout.has(orphan)


def test_an_entry_that_a_part_labels_is_a_part(layout: LayoutWriter) -> None:
    """Also where another entry of the same target is the image that makes it a part, and goes."""
    app, extra = layout.image("app"), layout.image("extra")
    notes = about(layout, app, "notes")
    layout.tag(app, "reg.example/used:1")
    layout.tag(notes, "reg.example/app:notes")
    layout.entry(notes, **{"containerd.io/gc.ref.content.x": extra["digest"]})
    layout.tag(extra)
    layout.entry(extra)
    assert prune(layout, "-a", used=USED) == [extra["digest"]]
    assert layout.has(extra)

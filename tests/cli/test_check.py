"""`ocigc check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def found(layout: LayoutWriter, code: int) -> dict[str, Any]:
    result = ocigc("check", "--format", "json", layout.path)
    assert result.code == code, result.err
    return {key: value for key, value in result.json.items() if value}


def test_what_lacks_a_layer_is_not_consistent(layout: LayoutWriter) -> None:
    """Sources: containerd#5895, oc-mirror#1116."""
    layer = layout.blob("layer")
    layout.tag(layout.image("image", ["layer"]), "image:1")
    layout.blob("orphan")
    layout.blob_path(layer).unlink()
    answer = found(layout, 1)
    assert (answer["Absent"], answer["Orphans"]) == ([layer["digest"]], 1)
    assert [(each["Name"], each["Missing"]) for each in answer["Incomplete"]] == [("image:1", [layer["digest"]])]
    text = ocigc("check", layout.path).out
    assert "incomplete: image:1 linux/amd64" in text
    assert f"absent: {layer['digest']} ({layout.path}: image:1)" in text
    sparse = ocigc("check", "--sparse", layout.path)
    assert sparse.code == 0
    assert "1 absent, 1 orphans: consistent" in sparse.out


def test_sparse_platforms_orphans_and_expired_leases_are_normal(layout: LayoutWriter) -> None:
    amd, arm = layout.image("amd"), layout.image("arm", ["other"])
    layout.tag(layout.index([amd, arm]), "image:1")
    layout.blob_path(arm).unlink()
    layout.lease("over", [amd], expire="2020-01-01T00:00:00Z")
    layout.lease("early", [arm])
    answer = found(layout, 0)
    assert (answer["Absent"], answer["ExpiredLeases"]) == ([arm["digest"]], ["over"])
    assert answer["LeasesOfAbsent"] == [f"early: {arm['digest']}"]
    assert "expired lease, which keeps nothing any longer: over" in ocigc("check", layout.path).out


def test_everything_that_can_be_found(layout: LayoutWriter) -> None:
    gone, absent = layout.image("gone"), layout.blob("absent")
    layout.tag(gone, "gone:1")
    layout.blob_path(gone).unlink()
    layout.blob_path(absent).unlink()
    wrong = layout.image("wrong")
    layout.tag({**wrong, "size": 1}, "wrong:1")
    malformed = layout.json({"schemaVersion": 2, "layers": 1}, wrong["mediaType"])
    layout.tag(malformed, "malformed:1")
    (layout.path / "blobs" / "sha256" / "README").touch()
    layout.labels(absent, {})
    layout.lease("over", [wrong], expire="2020-01-01T00:00:00Z")
    layout.lease("empty", [absent])
    answer = found(layout, 1)
    assert answer.pop("AbsentImages") == ["gone:1"]
    assert answer.pop("WrongSize") == [wrong["digest"]]
    assert [line.split(": ")[0] for line in answer.pop("Malformed")] == [malformed["digest"]]
    assert answer.pop("UnknownFiles") == ["blobs/sha256/README"]
    assert answer.pop("StraySidecars") == ["labels/" + absent["digest"].replace(":", "/") + ".json"]
    assert answer.pop("ExpiredLeases") == ["over"]
    assert answer.pop("LeasesOfAbsent") == [f"empty: {absent['digest']}"]
    assert set(answer) <= {"Orphans", "Absent", "Affected", "Incomplete"}
    text = ocigc("check", layout.path).out
    assert f"malformed: {malformed['digest']}" in text
    assert "malformed:1)" in text


def test_what_ocigc_itself_has_left(layout: LayoutWriter) -> None:
    layout.tag(layout.image("kept"), "kept:1")
    layout.tag(layout.image("gone"))
    assert ocigc("prune", "-f", "--trash", "1ms", layout.path).code == 0
    (layout.path / ".ocigc" / "run").mkdir()
    answer = found(layout, 1)
    assert answer["InterruptedRuns"] == [".ocigc/run"]
    assert len(answer["ExpiredTrash"]) == 1


def test_it_changes_nothing_and_hashes_no_layer(layout: LayoutWriter) -> None:
    layer = layout.blob("layer")
    layout.tag(layout.image("image", ["layer"]), "image:1")
    layout.blob_path(layer).write_text("LAYER")
    assert found(layout, 0) == {}
    assert not (layout.path / ".ocigc").exists()
    assert ocigc("verify", layout.path).code == 1

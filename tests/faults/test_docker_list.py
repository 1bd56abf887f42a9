"""A prune that takes entries out of manifest.json, killed and failing at each call that changes something."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.faults.injection import Fault, record, run
from tests.helpers.layouts import LayoutWriter, path_of

EIO = 5


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Two images whose layers the list alone names; the first has a label file."""
    layout = LayoutWriter(tmp_path / "layout")
    entries = []
    for tag in ("gone", "kept"):
        config, layer = layout.config(tag), layout.blob(tag)
        layout.tag(layout.manifest(config), f"docker.io/acme/{tag}:1")
        entries.append({"Config": path_of(config), "RepoTags": [f"acme/{tag}:1"], "Layers": [path_of(layer)]})
    (layout.path / "manifest.json").write_text(json.dumps(entries))
    (tmp_path / "used").write_text("acme/kept:1\n")
    return layout.path


def _is_whole(layout: Path) -> list[str]:
    """The images that the list names: all of each is there."""
    entries = json.loads((layout / "manifest.json").read_text())
    assert all((layout / path).exists() for entry in entries for path in (entry["Config"], *entry["Layers"]))
    return [entry["RepoTags"][0] for entry in entries]


@pytest.mark.parametrize(("error", "step"), [(None, 1), (EIO, 3)])
def test_the_list_names_nothing_that_is_gone_once_the_next_prune_has_run(
    saved: Path, tmp_path: Path, error: int | None, step: int
) -> None:
    arguments = ("prune", "--all", "--force", "--grace", "0s", "--in-use", str(tmp_path / "used"), str(saved))
    shutil.copytree(saved, tmp_path / "copy", symlinks=True)
    result, calls = record(saved, arguments)
    assert result.code == 0, result
    assert _is_whole(saved) == ["acme/kept:1"]
    count = sum(call.changes for call in calls)
    assert count
    for at in range(1, count + 1, step):
        shutil.rmtree(saved)
        shutil.copytree(tmp_path / "copy", saved, symlinks=True)
        run(saved, arguments, Fault(at, error=error, changing=True))
        before = json.loads((saved / "manifest.json").read_text())
        assert [entry["RepoTags"][0] for entry in before][-1:] == ["acme/kept:1"]
        after, _ = record(saved, arguments)
        assert after.code == 0, (at, after)
        assert _is_whole(saved) == ["acme/kept:1"]
        assert len(list(saved.glob("blobs/*/*"))) == 3
        assert not list(saved.glob(".ocigc-*"))

"""`import ocigc`: the page about it is run as it stands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import ocigc
from ocigc.progress import Report
from tests.helpers.layouts import LayoutWriter

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_example_runs(tmp_path: Path) -> None:
    store = LayoutWriter(tmp_path / "mirror")
    old = "2020-01-01T00:00:00Z"
    store.tag(store.image("used", ["used"], created=old), "docker.io/library/used:1")
    store.tag(store.image("unused", ["unused"], created=old), "docker.io/library/unused:1")
    before = store.present()
    (tmp_path / "used.json").write_text("used:1\n")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert "Untagged unused:1" in done.stdout
    assert "True []" in done.stdout
    assert store.present() == before


def test_everything_that_is_exported_is_there_and_typed() -> None:
    assert [name for name in ocigc.__all__ if not hasattr(ocigc, name)] == []
    stub = ast.parse(files("ocigc").joinpath("__init__.pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    typed = {(alias.name, node.module) for node in imports for alias in node.names}
    assert typed == {(name, f"ocigc.{home}") for name, home in ocigc._HOMES.items()}
    assert files("ocigc").joinpath("py.typed").is_file()


def test_a_watcher_hears_of_steps_and_can_stop_them(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    class Watching:
        def __init__(self) -> None:
            self.steps: list[str] = []

        def __call__(self, step: str, /) -> Report | None:
            self.steps.append(step)
            if step == "Reading manifests":
                raise StopError
            return None

        def note(self, message: str) -> None:
            raise AssertionError(message)

    store = LayoutWriter(tmp_path)
    store.tag(store.image("gone", ["gone"]))
    before = store.present()
    watching = Watching()
    with ocigc.Layout(str(tmp_path)) as layout:
        with pytest.raises(StopError):
            ocigc.prune(layout, ocigc.PruneOptions(ocigc.request(), allow_empty=True), watch=watching)
    assert watching.steps == ["Scanning blobs", "Reading labels", "Reading manifests"]
    assert store.present() == before

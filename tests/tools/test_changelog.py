"""What `make release` makes of the changelog."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The changelog and the tool, where the tool may change it."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "changelog.py").write_bytes((ROOT / "tools" / "changelog.py").read_bytes())
    (tmp_path / "CHANGELOG.md").write_bytes((ROOT / "CHANGELOG.md").read_bytes())
    return tmp_path


def close(copy: Path, version: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, copy / "tools" / "changelog.py", version, "2030-01-02"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_is_unreleased_gets_the_version_and_links_to_compare(copy: Path) -> None:
    before = (copy / "CHANGELOG.md").read_text()
    result = close(copy, "99.0.0")
    assert result.returncode == 0, result.stderr
    after = (copy / "CHANGELOG.md").read_text()
    assert "## [Unreleased]\n\n## [99.0.0] - 2030-01-02\n\n###" in after
    (last,) = re.findall(r"compare/v(.*)\.\.\.HEAD$", before, re.MULTILINE)
    project = re.search(r"^\[unreleased\]: (.*)/compare/", before, re.MULTILINE)
    assert project is not None
    assert f"\n[99.0.0]: {project[1]}/compare/v{last}...v99.0.0\n" in after
    assert f"\n[unreleased]: {project[1]}/compare/v99.0.0...HEAD\n" in after


def test_the_same_version_is_refused(copy: Path) -> None:
    assert close(copy, "0.1.0").returncode == 1
    assert close(copy, "99.0.0").returncode == 0
    assert close(copy, "99.0.1").stderr == "changelog: nothing is unreleased\n"

"""A mirror of Helm charts: pushed to a registry by helm, copied into a layout and back, and pulled by helm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.programs import attempt, call, names, needs, pruned

VERSIONS = ("0.9.0", "1.0.0", "1.1.0-rc.1", "1.1.0+build.5")
POLICY = """
[[rule]]
keep-last = 2
order = "semver"
"""


@pytest.fixture
def charts(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Chart.yaml").write_text("apiVersion: v2\nname: app\nversion: 0.0.0\n")
    (tmp_path / "charts").mkdir()
    for version in VERSIONS:
        call("helm", "package", tmp_path / "app", "--version", version, "--destination", tmp_path / "charts")
    return tmp_path / "charts"


@needs("helm", "crane", "oras")
def test_charts_pulled_after_a_prune_are_what_was_packaged(charts: Path, tmp_path: Path, crane_registry: str) -> None:
    for version in VERSIONS:
        call("helm", "push", charts / f"app-{version}.tgz", f"oci://{crane_registry}/charts", "--plain-http")
    layout = tmp_path / "layout"
    tags = {version: version.replace("+", "_") for version in VERSIONS}  # helm's rule: a tag has no "+"
    for tag in tags.values():
        source = f"{crane_registry}/charts/app:{tag}"
        call("oras", "copy", "--from-plain-http", source, "--to-oci-layout", f"{layout}:{tag}")

    (tmp_path / "policy.toml").write_text(POLICY)
    pruned(layout, "--policy", tmp_path / "policy.toml")
    kept = VERSIONS[2:]
    assert names(layout) == {tags[version] for version in kept}

    for version in kept:
        target = f"{crane_registry}/pruned/app:{tags[version]}"
        call("oras", "copy", "--from-oci-layout", f"{layout}:{tags[version]}", "--to-plain-http", target)
        pull = ("helm", "pull", f"oci://{crane_registry}/pruned/app", "--plain-http", "--version", version)
        call(*pull, "--destination", tmp_path)
        assert (tmp_path / f"app-{version}.tgz").read_bytes() == (charts / f"app-{version}.tgz").read_bytes()
    for version in VERSIONS[:2]:
        assert attempt("oras", "resolve", "--oci-layout", f"{layout}:{tags[version]}").returncode != 0

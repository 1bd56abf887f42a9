"""Configs that stand in no file: `data` has them (image-spec, "Embedded content"; debuerreotype#151)."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.command import ocigc
from tests.helpers.layouts import Descriptor, LayoutWriter

_BEFORE = 1_000_000_000  # seconds: what a reproducible archive gives its files


def embed(layout: LayoutWriter, target: Descriptor) -> Descriptor:
    content = layout.blob_path(target).read_bytes()
    layout.blob_path(target).unlink()
    return target | {"data": base64.b64encode(content).decode()}


def config(layout: LayoutWriter) -> Descriptor:
    return layout.config("app", created="2026-01-01T00:00:00Z", labels={"tier": "test"})


def embedded_config(layout: LayoutWriter) -> Descriptor:
    return layout.manifest(embed(layout, config(layout)), [layout.blob("layer")])


def embedded_manifest(layout: LayoutWriter) -> Descriptor:
    return layout.index([embed(layout, layout.manifest(config(layout), [layout.blob("layer")]))])


def embedded_both(layout: LayoutWriter) -> Descriptor:
    return layout.index([embed(layout, embedded_config(layout))])


@pytest.fixture(params=[embedded_config, embedded_manifest, embedded_both])
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> LayoutWriter:
    make: Callable[[LayoutWriter], Descriptor] = request.param
    layout = LayoutWriter(tmp_path)
    target = make(layout)
    os.utime(layout.blob_path(target), (_BEFORE, _BEFORE))
    layout.tag(target, "reg.example/app:1")
    layout.tag(layout.image("other", ["other"], created="2020-01-01T00:00:00Z"), "reg.example/other:1")
    return layout


def left(layout: LayoutWriter, *arguments: str | Path) -> list[str]:
    done = ocigc("prune", "-f", "--grace", "0s", *arguments, layout.path)
    assert done.code == 0, done
    return [entry["Name"] for entry in ocigc("ls", "--format", "json", layout.path).json]


def test_the_image_is_as_old_as_the_embedded_config_says(layout: LayoutWriter) -> None:
    assert left(layout, "-a", "--filter", "until=2025-01-01") == ["reg.example/app:1"]


def test_the_labels_of_the_embedded_config_count(layout: LayoutWriter) -> None:
    assert left(layout, "-a", "--filter", "label=tier=test") == ["reg.example/other:1"]


def test_a_policy_keeps_by_them(layout: LayoutWriter, tmp_path: Path) -> None:
    policy = tmp_path / "keep.toml"
    policy.write_text('[[rule]]\nkeep-within = "1h"\nkeep-labels = ["tier=test"]\n')
    assert left(layout, "--policy", policy) == ["reg.example/app:1"]


def test_forged_data_says_nothing(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path)
    absent = embed(layout, config(layout)) | {"data": base64.b64encode(b"{}").decode()}
    layout.tag(layout.manifest(absent, [layout.blob("layer")]), "reg.example/app:1")
    layout.tag(layout.image("other", ["other"], labels={"tier": "test"}), "reg.example/other:1")
    assert left(layout, "-a", "--filter", "label!=tier=prod") == ["reg.example/app:1"]

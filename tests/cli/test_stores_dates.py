"""When an image was created: where builds write it, and where they write no time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers.command import ocigc
from tests.helpers.layouts import MANIFEST, Descriptor, LayoutWriter

CREATED = "org.opencontainers.image.created"
MTIME = 1_700_000_000
ARRIVED = "2023-11-14T22:13:20Z"


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def created(layout: LayoutWriter, target: Descriptor, entry: str | None = None) -> str | None:
    layout.tag(target, "app", **({} if entry is None else {CREATED: entry}))
    os.utime(layout.blob_path(target), (MTIME, MTIME))
    listed = ocigc("ls", "--format", "json", layout.path).json
    assert len(listed) == 1
    time: str | None = listed[0]["Created"]
    return time


def built(layout: LayoutWriter, config: str | None, manifest: str | None) -> Descriptor:
    annotations = {} if manifest is None else {"annotations": {CREATED: manifest}}
    return layout.manifest(layout.config("app", created=config), [layout.blob("layer")], **annotations)


NO_TIMES = ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1980-01-01T00:00:01Z", "1989-12-31T23:59:59Z", "soon", ""]


def test_the_entry_says_it_first(layout: LayoutWriter) -> None:
    image = built(layout, "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z")
    assert created(layout, image, "2022-01-01T00:00:00Z") == "2022-01-01T00:00:00Z"


def test_then_the_manifest(layout: LayoutWriter) -> None:
    """What `oras attach` and `docker buildx build --annotation` write."""
    assert created(layout, built(layout, "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z")) == "2021-01-01T00:00:00Z"


def test_then_the_first_config(layout: LayoutWriter) -> None:
    assert created(layout, built(layout, "2020-01-01T00:00:00Z", None)) == "2020-01-01T00:00:00Z"


def test_then_the_time_of_arrival(layout: LayoutWriter) -> None:
    assert created(layout, built(layout, None, None)) == ARRIVED


@pytest.mark.parametrize("no_time", NO_TIMES)
def test_reproducible_builds_have_no_date(layout: LayoutWriter, no_time: str) -> None:
    """Source: buildpacks create everything in 1980, crane on an empty base in the year 1."""
    assert created(layout, built(layout, no_time, None)) == ARRIVED


@pytest.mark.parametrize("no_time", NO_TIMES)
def test_a_manifest_without_a_date_leaves_it_to_the_config(layout: LayoutWriter, no_time: str) -> None:
    assert created(layout, built(layout, "1990-01-01T00:00:00Z", no_time)) == "1990-01-01T00:00:00Z"


def test_an_entry_means_what_it_says(layout: LayoutWriter) -> None:
    image = built(layout, "2020-01-01T00:00:00Z", None)
    assert created(layout, image, "1980-01-01T00:00:01Z") == "1980-01-01T00:00:01Z"


def test_an_index_has_an_annotation_too(layout: LayoutWriter) -> None:
    child = built(layout, "2020-01-01T00:00:00Z", None)
    index = {"schemaVersion": 2, "manifests": [child], "annotations": {CREATED: "2021-02-03T04:05:06+02:00"}}
    assert created(layout, layout.json(index, MANIFEST.replace("manifest", "index"))) == "2021-02-03T02:05:06Z"

"""`ocigc synth`, and prunes of what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocigc.synth import Spec, write
from ocigc.synth.blob_writer import random_bytes
from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import snapshot


def test_the_same_seed_gives_the_same_layout(tmp_path: Path) -> None:
    for name in ("one", "two", "other"):
        seed = "8" if name == "other" else "7"
        assert ocigc("synth", "--seed", seed, "--images", "15", tmp_path / name).code == 0
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")
    assert snapshot(tmp_path / "one") != snapshot(tmp_path / "other")


def test_what_it_writes_is_sound_but_sparse(tmp_path: Path) -> None:
    result = ocigc("synth", "--images", "40", "--format", "json", tmp_path / "layout")
    assert result.code == 0
    blobs = list((tmp_path / "layout" / "blobs" / "sha256").iterdir())
    assert result.json["Blobs"] == len(blobs)
    assert result.json["Bytes"] == sum(path.stat().st_size for path in blobs)
    verified = ocigc("verify", "--format", "json", tmp_path / "layout")
    assert verified.code == 0
    assert verified.json["Missing"]


def test_a_layer_may_be_larger_than_one_call_makes() -> None:
    assert random_bytes(Random(1), 10) == Random(1).randbytes(10)
    pieces = random_bytes(Random(1), 10, at_once=4)
    expected = Random(1)
    assert pieces == expected.randbytes(4) + expected.randbytes(4) + expected.randbytes(2)


def test_it_writes_as_many_blobs_as_asked(tmp_path: Path) -> None:
    result = ocigc("synth", "--blobs", "2000", "--format", "json", tmp_path / "layout")
    assert result.json["Blobs"] == pytest.approx(2000, rel=0.01)


def test_it_writes_only_into_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    refused(ocigc("synth", tmp_path), 2, "not empty")
    refused(ocigc("synth", tmp_path / "precious"), 2, "not a directory")
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9), images=st.integers(0, 40), used=st.booleans(), trash=st.booleans())
def test_dry_run_real_run_second_run(tmp_path_factory: pytest.TempPathFactory, **drawn: int) -> None:
    directory = tmp_path_factory.mktemp("synth")
    layout = directory / "layout"
    summary = write(layout, Spec(seed=drawn["seed"], images=drawn["images"], layer_bytes=100))
    containers = [{"Id": "", "Image": digest, "Config": {"Image": name}} for name, digest in summary.in_use]
    options = ["--all", "--grace", "0s", "--allow-empty", "--allow-none-in-use", "--format", "json"]
    if drawn["used"]:
        (directory / "in-use.json").write_text(json.dumps(containers))
        options += ["--in-use", str(directory / "in-use.json")]
    before = snapshot(layout)
    trash = ["--trash", "1h"] if drawn["trash"] else []
    dry = ocigc("prune", "--dry-run", *options, *trash, layout)
    assert dry.code == 0, dry
    assert snapshot(layout) == before

    real = ocigc("prune", "--force", *options, *trash, layout)
    assert real.code == 0, real
    assert {**dry.json, "DryRun": False} == real.json
    if drawn["used"]:
        left = {entry["digest"] for entry in json.loads((layout / "index.json").read_text())["manifests"]}
        assert {digest for _, digest in summary.in_use} <= left
    verified = ocigc("verify", "--format", "json", layout)
    assert verified.code == 0, verified
    missing = set(verified.json["Missing"])
    assert all(f"blobs/{digest.replace(':', '/')}" not in before for digest in missing), "only what was missing before"

    after = snapshot(layout)
    again = ocigc("prune", "--force", *options, layout)
    assert again.json["ImagesDeleted"] == again.json["Orphans"] == again.json["Unleased"] == []
    assert snapshot(layout) == after
    if drawn["trash"] and (real.json["ImagesDeleted"] or real.json["Orphans"] or real.json["Unleased"]):
        restored = ocigc("restore", layout)
        assert restored.code in (0, 1), restored  # the layout is sparse
        assert {k: v for k, v in snapshot(layout).items() if k.startswith("blobs")} == {
            k: v for k, v in before.items() if k.startswith("blobs")
        }
        once_more = ocigc("prune", "--dry-run", *options, *trash, layout)
        assert once_more.json == {**dry.json, "SpaceTrashed": 0}, "the trash still has the bytes"

"""What a plan comes to, in a store of which not every file is asked for its status."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ocigc.cli.output.plan_table import Context, plan_lines
from ocigc.inspect import plan_summary
from ocigc.inspect.plan_summary import PlanSummary, summarize
from ocigc.layout.layout import Layout
from ocigc.pruning.prune import prune
from ocigc.pruning.prune_options import PruneOptions, request
from ocigc.synth import Spec, write


def _summary(layout: Path, *, most: int | None, whole: bool = False) -> tuple[PlanSummary, bool]:
    """The plan of all images but the signed ones, and whether what stays was asked for its status."""
    options = PruneOptions(request=request(["until=2022-06-01"], prune_all=True, grace=0), dry_run=True)
    with Layout(layout) as opened, prune(opened, options) as pruned:
        summary = summarize(pruned, options, most=most, whole=whole)
        store, going = pruned.snapshot.store, frozenset(pruned.plan.blobs)
        staying = [node for node in range(len(store)) if node not in going]
        return summary, all(map(store._has_status, staying))


def test_a_large_store_is_not_asked_for_every_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = tmp_path / "layout"
    write(layout, Spec(seed=4, images=40))
    known, asked = _summary(layout, most=3)
    assert asked
    assert known.losses
    assert known.disk is not None and known.disk > known.frees > 0  # noqa: PT018
    monkeypatch.setattr(plan_summary, "MEASURED", 10)
    found, asked = _summary(layout, most=3)
    assert not asked
    assert found.disk is None
    assert replace(known, files=None) == found
    for options in ({"most": None}, {"most": 3, "whole": True}):
        assert _summary(layout, **options)[0].disk == known.disk  # type: ignore[arg-type]


def test_what_was_not_measured_is_not_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = tmp_path / "layout"
    write(layout, Spec(seed=4, images=40))
    run = Context("mirror", 0, None, False, None)
    (known,) = (line for line in plan_lines(_summary(layout, most=3)[0], run, dry_run=True) if line.startswith("Frees"))
    monkeypatch.setattr(plan_summary, "MEASURED", 10)
    (found,) = (line for line in plan_lines(_summary(layout, most=3)[0], run, dry_run=True) if line.startswith("Frees"))
    head, _, rest = known.partition(" of ")
    assert found == head + rest[rest.index(":") :]

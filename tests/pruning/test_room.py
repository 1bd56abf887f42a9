"""Room is made on a full disk, and then only the rest of what was shown goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ocigc.errors import Refused
from ocigc.layout.layout import Layout
from ocigc.pruning import real_run
from ocigc.pruning.layout_plan import Pruned
from ocigc.pruning.preflight import NoRoom
from ocigc.pruning.prune import prune
from ocigc.pruning.prune_options import PruneOptions, request
from tests.helpers.layouts import LayoutWriter


def prune_with_room_made(
    writer: LayoutWriter, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]
) -> tuple[list[Pruned], Pruned]:
    """Prunes; at the first try the disk is full. Something happens `meanwhile`: when room has been made. Gives what was
    confirmed, and done.
    """
    confirmed: list[Pruned] = []
    execute, make_room, tries = real_run.execute, real_run._make_room, iter([True])

    def full_at_first(*arguments: object) -> object:
        if next(tries, False):
            with Layout(writer.path) as layout:
                raise NoRoom(layout, 1, 0)
        return execute(*arguments)  # type: ignore[arg-type]

    def then(*arguments: object, orphans: bool) -> object:
        room = make_room(*arguments, orphans=orphans)  # type: ignore[arg-type]
        meanwhile()
        return room

    monkeypatch.setattr(real_run, "execute", full_at_first)
    monkeypatch.setattr(real_run, "_make_room", then)
    options = PruneOptions(request=request(grace=0))
    return confirmed, prune(writer.path, options, confirm=confirmed.append)


@pytest.fixture
def writer(tmp_path: Path) -> LayoutWriter:
    layout = LayoutWriter(tmp_path / "layout")
    layout.tag(layout.image("kept"), "kept:1")
    layout.tag(layout.image("gone"))
    layout.blob("orphan")
    return layout


def test_the_rest_of_what_was_shown_goes(writer: LayoutWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    confirmed, done = prune_with_room_made(writer, monkeypatch, lambda: None)
    with done:
        assert (len(confirmed), done.removed) == (1, 3)
    assert len(writer.present()) == 3


def test_what_was_not_shown_stays(writer: LayoutWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    later = writer.image("later", ["later"])
    writer.tag(later, "later:1")

    def lose_a_name() -> None:
        writer.entries.pop()
        writer.tag(later)

    with pytest.raises(Refused, match="since the plan was shown"):
        prune_with_room_made(writer, monkeypatch, lose_a_name)
    assert writer.has(later)

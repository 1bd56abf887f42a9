"""`prune` of a layout that a registry serves: entries without a name are how it finds manifests by digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.command import ocigc
from tests.helpers.layouts import Descriptor, LayoutWriter


@pytest.fixture
def served(tmp_path: Path) -> LayoutWriter:
    """As zot keeps what `docker push` of an image for two platforms and its signature gives it."""
    layout = LayoutWriter(tmp_path / "repository")
    (layout.path / ".uploads").mkdir()
    return layout


def _platforms(layout: LayoutWriter, seed: str) -> list[Descriptor]:
    parts = [layout.image(f"{seed} {architecture}", [seed, architecture]) for architecture in ("amd64", "arm64")]
    for part in parts:
        layout.tag(part)
    return parts


def _prune(layout: LayoutWriter, *arguments: str) -> set[str]:
    """Prunes, and gives the digests that index.json still lists."""
    result = ocigc("prune", "--force", "--grace", "0s", *arguments, layout.path)
    assert result.code == 0, result
    listed = (layout.path / "index.json").read_text()
    return {digest for digest in (entry["digest"] for entry in layout.entries) if digest in listed}


def test_the_parts_of_a_named_index_stay_listed(served: LayoutWriter) -> None:
    parts = _platforms(served, "app")
    index = served.index(parts)
    served.tag(index, "1")
    alone = served.image("pushed by digest alone")
    served.tag(alone)
    listed = _prune(served)
    assert listed == {index["digest"], *(part["digest"] for part in parts)}
    assert not served.has(alone)
    assert _prune(served) == listed


def test_parts_go_with_their_index(served: LayoutWriter) -> None:
    parts = _platforms(served, "old")
    index = served.index(parts)
    served.tag(index)
    kept = served.image("kept")
    served.tag(kept, "1")
    assert _prune(served) == {kept["digest"]}
    assert not any(served.has(each) for each in [index, *parts])


def test_a_referrer_of_a_part_stays_with_it(served: LayoutWriter) -> None:
    parts = _platforms(served, "app")
    served.tag(served.index(parts), "1")
    signature = served.manifest(served.config("signature"), subject=parts[0])
    served.tag(signature)
    assert signature["digest"] in _prune(served)


def test_what_an_entry_refers_to_stays_with_it(served: LayoutWriter) -> None:
    part = served.image("app")
    extra = served.blob("what its entry refers to")
    served.tag(part, **{"containerd.io/gc.ref.content.extra": extra["digest"]})
    served.tag(served.index([part]), "1")
    assert part["digest"] in _prune(served)
    assert served.has(extra)


def test_filters_and_users_come_first(served: LayoutWriter) -> None:
    lone = served.image("alone", created="2024-01-01T00:00:00Z")
    served.tag(lone)
    served.tag(served.image("kept"), "1")
    assert lone["digest"] in _prune(served, "--filter", "until=2023-01-01")
    assert lone["digest"] not in _prune(served, "--filter", "until=2025-01-01")


def test_what_is_asked_for_by_name_goes(served: LayoutWriter) -> None:
    (part, other) = _platforms(served, "app")
    served.tag(served.index([part, other]), "1")
    result = ocigc("rm", "--force", served.path, part["digest"])
    assert result.code == 0, result
    listed = (served.path / "index.json").read_text()
    assert part["digest"] not in listed
    assert other["digest"] in listed
    assert served.has(part)


def test_elsewhere_an_entry_without_a_name_is_dangling(served: LayoutWriter) -> None:
    (served.path / ".uploads").rmdir()
    parts = _platforms(served, "app")
    index = served.index(parts)
    served.tag(index, "1")
    assert _prune(served) == {index["digest"]}
    assert all(served.has(part) for part in parts)


def test_explain_says_why(served: LayoutWriter) -> None:
    parts = _platforms(served, "app")
    served.tag(served.index(parts), "1")
    text = ocigc("prune", "--dry-run", "--explain", served.path).out
    assert text.count("a registry finds it by this entry") == 2

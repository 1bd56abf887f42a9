"""Dataclasses as JSON values and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from ocigc.digest import Digest
from ocigc.plain import plain, restored


@dataclass(frozen=True)
class Inner:
    name: str
    size: int | None = None


@dataclass(frozen=True)
class Outer:
    flag: bool
    items: tuple[Inner, ...] = ()
    pair: tuple[str, int] = ("", 0)
    names: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    digest: Digest | None = None
    seconds: float = 0
    anything: object = None


WHOLE = Outer(
    True,
    (Inner("a"), Inner("b", 2)),
    ("x", 1),
    frozenset(("q", "p")),
    {"k": "v"},
    anything=[True, {"k": None}],
)


def test_what_is_written_is_read_back() -> None:
    assert restored(Outer, json.loads(json.dumps(plain(WHOLE)))) == WHOLE


def test_sets_are_written_in_order() -> None:
    assert plain(WHOLE)["names"] == ["p", "q"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"flag": 1}, "Outer.flag must be of type bool"),
        ({"items": {}}, "Outer.items must be an array"),
        ({"items": [{"name": 5}]}, "Outer.items.name must be of type str"),
        ({"items": [{"size": 5}]}, "name"),
        ({"items": [{"name": "a", "size": True}]}, "Outer.items.size must be of type int"),
        ({"items": [7]}, "Outer.items must be an object"),
        ({"pair": ["x"]}, "Outer.pair must have 2 items"),
        ({"labels": {"k": 1}}, "Outer.labels.k must be of type str"),
        ({"more": 1}, "unknown field 'more'"),
        ({"digest": "sha256:abc"}, "Outer.digest: 'sha256:abc' is not a digest"),
        ({"digest": "\x1b[2J"}, "is not a digest"),
        ({"seconds": math.nan}, "Outer.seconds: not a number"),
        ({"seconds": -math.inf}, "Outer.seconds: not a number"),
        ({"seconds": 10**400}, "Outer.seconds: int too large"),
    ],
)
def test_what_is_of_another_type_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        restored(Outer, {**plain(WHOLE), **change})


def test_what_is_not_an_object_is_refused() -> None:
    with pytest.raises(ValueError, match="Outer must be an object"):
        restored(Outer, [])


def test_what_has_no_plain_form_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes"):
        plain(b"")

"""What the core says of the names of entries, against the Python code that says it of one name."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ocigc.gc.images import NameKind, fallback_subject, name_kind
from ocigc.native import Entries, NameForm
from ocigc.reference import is_bare_tag

DIGEST = "sha256:" + "a" * 64
PARTS = st.sampled_from(
    ["a", "v1", "sha256-" + "0" * 64, "x-" + "f" * 31, ".", "-", "/", ":", ",", " ", "@", "ä", "_", "A" * 127]
)
NAMES = st.one_of(st.none(), st.lists(PARTS, min_size=1, max_size=5).map("".join), st.just(f"moby-dangling@{DIGEST}"))


def entries(*named: tuple[str | None, str]) -> Entries:
    def entry(name: str | None, digest: str) -> dict[str, object]:
        annotations = {} if name is None else {"org.opencontainers.image.ref.name": name}
        return {"digest": digest, "size": 1, "annotations": annotations}

    return Entries(json.dumps({"manifests": [entry(*each) for each in named]}).encode())


@given(st.lists(st.tuples(NAMES, st.sampled_from([DIGEST, "x:y", "x:z"])), max_size=30))
def test_forms_and_first_entries_are_those_of_python(named: list[tuple[str | None, str]]) -> None:
    forms, firsts = entries(*named).forms()
    assert list(firsts) == [named.index(each) for each in named]
    for (name, _), form in zip(named, forms, strict=True):
        assert bool(form & NameForm.GIVEN) == (name is not None)
        if name is None:
            continue
        assert bool(form & NameForm.TAG) == is_bare_tag(name)
        assert bool(form & NameForm.LIST) == ("," in name)
        if not form & (NameForm.ODD | NameForm.LIST):
            assert fallback_subject(name) is None
            assert name_kind([name]) == NameKind.NAMED


def test_a_hundred_thousand_entries_of_few_names() -> None:
    named = [(f"n{number % 1000}", DIGEST) for number in range(100_000)]
    _, firsts = entries(*named).forms()
    assert list(firsts) == [number % 1000 for number in range(100_000)]

"""index.json: what goes is cut out, and nothing else changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocigc.errors import MalformedError
from ocigc.layout.index import IndexChange, parse, without_names

DIGEST = "sha256:" + "a" * 64
REF_NAME = "org.opencontainers.image.ref.name"
BASE_NAME = "org.opencontainers.image.base.name"
NAME = "io.containerd.image.name"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda v: st.lists(v, max_size=2), max_leaves=4
)
annotations = st.dictionaries(st.sampled_from([REF_NAME, NAME, BASE_NAME, "a", "é", '\\"', "z"]), st.text(max_size=4))


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    entry = {"mediaType": "x", "digest": DIGEST, "size": draw(st.integers(0, 2**63 - 1))}
    if draw(st.booleans()):
        entry["annotations"] = draw(annotations)
    extra = draw(st.dictionaries(st.text(alphabet="xyz", min_size=1, max_size=3), values, max_size=2))
    items = list({**entry, **extra}.items())
    return dict(draw(st.permutations(items)))


indexes = st.lists(entries(), max_size=5)
styles = st.sampled_from([{}, {"indent": 1}, {"indent": 4}, {"separators": (",", ":")}, {"ensure_ascii": False}])


def bare(entry: dict[str, Any]) -> dict[str, Any]:
    if "annotations" not in entry:
        return entry
    return {
        **entry,
        "annotations": {k: v for k, v in entry["annotations"].items() if k not in (REF_NAME, NAME, BASE_NAME)},
    }


@given(indexes, styles, st.data())
def test_entries_go_and_lose_their_names(
    manifests: list[dict[str, Any]], style: dict[str, Any], data: st.DataObject
) -> None:
    document = {"first": 1.0, "manifests": manifests, "last": {"z": [], "a": "é"}}
    content = json.dumps(document, **style).encode()
    index = parse(content)
    numbers = st.sets(st.integers(0, max(0, len(manifests) - 1)))
    removed = data.draw(numbers)
    named = {number for number, entry in enumerate(manifests) if entry.get("annotations")}
    nameless = data.draw(numbers) & named - removed
    result = b"".join(index.changed(lambda start, end: content[start:end], IndexChange(removed, nameless)))
    expected = [
        bare(entry) if number in nameless else entry for number, entry in enumerate(manifests) if number not in removed
    ]
    assert json.loads(result) == {**document, "manifests": expected}
    assert list(json.loads(result)) == list(document)
    parse(result)
    if not removed & set(range(len(manifests))) and not nameless:
        assert result == content


@given(indexes, indexes, styles)
def test_entries_come_back(present: list[dict[str, Any]], added: list[dict[str, Any]], style: dict[str, Any]) -> None:
    document = {"a": 1, "manifests": present, "b": 2}
    content = json.dumps(document, **style).encode()
    result = parse(content).with_entries(content, [json.dumps(entry, **style).encode() for entry in added])
    assert json.loads(result) == {**document, "manifests": [*present, *added]}
    parse(result)


@pytest.mark.parametrize(
    "content", [b"{}", b'{"schemaVersion": 2}', b'{"manifests": null}', b' { "manifests" : [ ] } ']
)
def test_an_index_without_entries_gets_its_first(content: bytes) -> None:
    entry = json.dumps({"digest": DIGEST, "size": 1}).encode()
    result = parse(content).with_entries(content, [entry])
    assert json.loads(result)["manifests"] == [json.loads(entry)]


def test_untouched_bytes_stay() -> None:
    one, two, three = ('{"digest":"%s",  "size":%d}' % (DIGEST, n) for n in range(3))
    content = f'{{ "manifests" : [\n\t{one} ,\n\t{two}\n,{three} ]\t}}\n'
    index = parse(content.encode())

    def without(removed: set[int]) -> str:
        return b"".join(index.changed(lambda start, end: content.encode()[start:end], IndexChange(removed))).decode()

    assert without({1}) == f'{{ "manifests" : [\n\t{one}\n,{three} ]\t}}\n'
    assert without({1, 2}) == f'{{ "manifests" : [\n\t{one} ]\t}}\n'
    assert without({0}) == f'{{ "manifests" : [\n\t{two}\n,{three} ]\t}}\n'
    assert without({0, 1, 2}) == '{ "manifests" : [\n\t ]\t}\n'


@pytest.mark.parametrize(
    ("before", "taken", "after"),
    [
        ({NAME: "a.io/x:1,a.io/x:2"}, ["a.io/x:1"], {NAME: "a.io/x:2"}),
        ({NAME: "a.io/x:1,a.io/x:2", "z": "é"}, ["a.io/x:2"], {NAME: "a.io/x:1", "z": "é"}),
        ({NAME: "a.io/x:1, a.io/x:2 ,a.io/x:3"}, ["a.io/x:2"], {NAME: "a.io/x:1,a.io/x:3"}),
        ({NAME: "a.io/x:1,a.io/x:2", REF_NAME: "1"}, ["a.io/x:1"], {NAME: "a.io/x:2"}),
        ({NAME: "a.io/x:1,a.io/x:2", REF_NAME: "2"}, ["a.io/x:1"], {NAME: "a.io/x:2", REF_NAME: "2"}),
        ({NAME: "a.io/x:1,a.io/y:1", REF_NAME: "1"}, ["a.io/x:1"], {NAME: "a.io/y:1", REF_NAME: "1"}),
        ({NAME: "a.io/x:1,a.io/x:2", REF_NAME: "1,2"}, ["a.io/x:1"], {NAME: "a.io/x:2", REF_NAME: "2"}),
        ({REF_NAME: "1,2"}, ["1"], {REF_NAME: "2"}),
        ({NAME: "a,b", REF_NAME: "a", BASE_NAME: "b"}, ["a"], {NAME: "b", BASE_NAME: "b"}),
    ],
)
def test_one_of_several_names_goes(before: dict[str, str], taken: list[str], after: dict[str, str]) -> None:
    entry = {"digest": DIGEST, "annotations": before, "size": 1}
    for style in ({}, {"indent": 2}, {"ensure_ascii": False}):
        found = json.loads(without_names(json.dumps(entry, **style).encode(), taken))
        assert found == {**entry, "annotations": after}
        assert list(found) == list(entry)


def test_bytes_around_a_name_stay() -> None:
    entry = '{ "size":1,"annotations" : {"a": 1.0e0 ,\t"%s" : "x:1,x:2" ,"b":"\\u00e9"},  "digest":"%s"}' % (
        NAME,
        DIGEST,
    )
    expected = entry.replace("x:1,x:2", "x:2")
    assert without_names(entry.encode(), ["x:1"]).decode() == expected


@pytest.mark.parametrize("annotations", ["[]", '{"a": 1}', '{"a": null}', '"x"'])
def test_annotations_are_strings(annotations: str) -> None:
    with pytest.raises(MalformedError, match="annotations"):
        parse(f'{{"manifests": [{{"digest": "{DIGEST}", "size": 1, "annotations": {annotations}}}]}}'.encode())

"""The JSON scanner against RFC 8259, case by case, and against Python's own json."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ocigc._native import ffi, lib
from ocigc.errors import MalformedError
from ocigc.native import members
from tests.helpers.native_cases import ACCEPTED, REFUSED


def accepts(content: bytes) -> bool:
    error = ffi.new("struct ocigc_error *")
    code = lib.ocigc_json_check(content, len(content), error)
    assert code in (lib.OCIGC_OK, lib.OCIGC_MALFORMED)
    assert code == lib.OCIGC_OK or error.offset <= len(content)
    return bool(code == lib.OCIGC_OK)


@pytest.mark.parametrize(("content", "why"), ACCEPTED)
def test_must_accept(content: bytes, why: str) -> None:
    assert accepts(content), why


@pytest.mark.parametrize(("content", "why"), REFUSED)
def test_must_refuse(content: bytes, why: str) -> None:
    assert not accepts(content), why


def python_accepts(content: bytes) -> bool:
    def constant(name: str) -> Any:
        raise ValueError(name)

    try:
        json.loads(content.decode("utf-8"), parse_constant=constant)
    except (ValueError, RecursionError):
        return False
    return True


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4),
)


@settings(max_examples=300)
@given(documents, st.booleans(), st.sampled_from([None, 1]))
def test_what_python_writes_is_accepted(document: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    assert accepts(text.encode(errors="surrogatepass")) == python_accepts(text.encode(errors="surrogatepass"))


@settings(max_examples=1000)
@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:\\u0dtrfn-+eE.123 \n\x00é', max_size=30).map(str.encode))
@example(b'"\xed\xa0\x80"')
@example(b"1E400")
def test_it_agrees_with_python_on_anything(content: bytes) -> None:
    assert accepts(content) == python_accepts(content)


@settings(max_examples=500)
@given(documents, st.data())
def test_it_agrees_with_python_on_what_is_nearly_json(document: Any, data: st.DataObject) -> None:
    content = bytearray(json.dumps(document, ensure_ascii=False).encode(errors="surrogatepass"))
    position = data.draw(st.integers(0, len(content)))
    content[position : position + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    assert accepts(bytes(content)) == python_accepts(bytes(content))


def test_members_are_told_where_they_stand() -> None:
    content = b' {"a" :1, "\\u0062": [ 2, {"c":3} ] ,"":""} '
    found = members(content)
    assert [each.key for each in found] == ["a", "b", ""]
    assert [content[each.value : each.end] for each in found] == [b"1", b'[ 2, {"c":3} ]', b'""']
    assert [content[each.start : each.end][:3] for each in found] == [b'"a"', b'"\\u', b'"":']
    elements = members(b"[1, [], {}]")
    assert [(each.key, each.start, each.value, each.end) for each in elements] == [
        ("", 1, 1, 2),
        ("", 4, 4, 6),
        ("", 8, 8, 10),
    ]
    assert members(b"{}") == members(b" [ ] ") == []


@pytest.mark.parametrize("content", [b"", b"1", b'"a"', b"{", b"[1,]", b'{"a"}', b"{} x", b'{"a":1,}', b"null"])
def test_what_has_no_members_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedError, match="invalid JSON"):
        members(content)

"""Regular expressions: what Python's `re` says, in time that no expression can make long."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ocigc.gc import regex
from ocigc.gc.regex import Regex

ATOMS = st.sampled_from(
    ["a", "b", "-", r"\.", "[ab]", "[^a]", "[]b]", ".", r"\d", r"\w", r"\x61", "^", "$", r"\b", r"\Z"]
)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{,2}", "{1,}", "*?", "+?", "{2}?"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, st.text("ab-.1", max_size=8))
def test_it_says_what_python_says(expression: str, text: str) -> None:
    try:
        known = re.compile(expression)
    except re.error:
        assume(False)
    assert Regex(expression).search(text) == bool(known.search(text))


@pytest.mark.parametrize(
    ("expression", "text", "expected"),
    [
        ("(?i)rc", "1.2-RC1", True),
        ("rc", "1.2-RC1", False),
        ("(?P<major>[0-9]+)[.]", "v1.2", True),
        ("a{", "a{", True),
        ("a{}", "a{}", True),
        ("a{x}", "a{x}", True),
        ("x{,2}y", "xxy", True),
        ("^(|a)$", "", True),
        ("é", "é", True),
        (r"\141", "a", True),
        (r"[\]]", "]", True),
        ("", "anything", True),
    ],
)
def test_it_matches_as_python_does(expression: str, text: str, *, expected: bool) -> None:
    assert Regex(expression).search(text) is expected
    assert bool(re.search(expression, text)) is expected


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("(", "not a regular expression: "),
        ("[[:digit:]]", "not a regular expression: "),
        ("(?=a)", "not supported"),
        ("(?<!a)b", "not supported"),
        (r"(a)\1", "not supported"),
        ("(?P<x>a)(?P=x)", "not supported"),
        ("(?>a)", "not supported"),
        ("a*+", "not supported"),
        ("(?x)a b", "not supported"),
        ("((a{1000}){1000}){1000}", "too large"),
        ("(((){1000}){1000}){1000}", "too large"),
        ("a" * 1001, "at most 1000 characters"),
        ("(" * 400 + ")" * 400, "not a regular expression: "),
    ],
)
def test_what_is_refused(expression: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Regex(expression)


@pytest.mark.parametrize(
    "expression", ["(a+)+$", "(a|aa)*b", "(a|a?)+b", "(x+x+)+y", "((a*)*)*b", "(.*)*(.*)*(.*)*z", "(a|b)*a(a|b){12}"]
)
def test_no_expression_takes_more_steps_than_the_text_has_characters(
    expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What takes `re` longer than the age of the universe: each character makes at most one new node.
    followed = []
    follow = Regex._follow

    def count(self: Regex, node: regex._Node, character: str) -> regex._Node:
        followed.append(character)
        return follow(self, node, character)

    monkeypatch.setattr(Regex, "_follow", count)
    searched = Regex(expression)
    for number in range(50):
        searched.search("a" * 128 + "x" * number)
    assert len(followed) <= 50 * 178
    assert len(searched._nodes) < 200


def test_it_forgets_what_it_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regex, "_NODE_LIMIT", 10)
    expression = "(a|b)*a(a|b){4}$"
    searched, known = Regex(expression), re.compile(expression)
    for number in range(200):
        text = f"{number:b}".translate({48: "a", 49: "b"})
        assert searched.search(text) == bool(known.search(text))
    assert len(searched._nodes) <= 12

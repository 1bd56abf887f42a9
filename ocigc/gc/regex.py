"""Regular expressions that match in time proportional to the text, whatever the expression, as a policy may come from
anybody.

The syntax is that of Python's `re`, without what an automaton cannot match: look-around, backreferences, conditions,
and possessive or atomic groups. An expression becomes a nondeterministic automaton. A deterministic one is made from
that on demand, as far as the texts need it. Source: Russ Cox, "Regular Expression Matching Can Be Simple And Fast".
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

_SOURCE_LIMIT = 1000  # characters
_STATE_LIMIT = 2000  # of the nondeterministic automaton
_NODE_LIMIT = 5000  # nodes and edges of the deterministic one, which is made anew when it has more

_WORD = re.compile(r"\w")
_FLAGS = re.compile(r"\(\?([is]+)\)")
_OPENING = re.compile(r"\((?:\?:|\?P<\w+>|(?!\?))")
_ASSERTION = re.compile(r"\^|\$|\\[AZzbB]")
_QUANTIFIER = re.compile(r"([*+?])\??|\{(?P<exactly>\d+)\}\??|\{(?P<least>\d*),(?P<most>\d*)\}\??")
_ATOM = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|0[0-7]{0,2}|[0-7]{3}|N\{[^}]*\}|[^1-9])"
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[()|]",
    re.DOTALL,
)
_BOUNDS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}

_Build = Callable[[int], int]
"""Adds the states of a part of an expression before a state; answers the first of them."""


class _Before(Enum):
    """What precedes a position in the text."""

    NOTHING = "nothing"
    WORD = "a character of a word"
    OTHER = "another character"


@dataclass(slots=True)
class _State:
    """A state that leads to the states `ahead`: after a character that it `takes`, or, without one, if its `assertion`
    is true.
    """

    ahead: Sequence[int]
    takes: Callable[[str], object] | None = None
    assertion: str | None = None


@dataclass(slots=True)
class _Node:
    """All states that the automaton may be in at a position in the text."""

    states: frozenset[int]
    before: _Before
    ahead: dict[str, _Node] = field(default_factory=dict)
    matches_at_end: bool | None = None


_MATCHED = _Node(frozenset(), _Before.NOTHING)


class Regex:
    """A regular expression. Raises ValueError for a text that is not one, or is not supported."""

    def __init__(self, source: str) -> None:
        self.source = source
        if len(source) > _SOURCE_LIMIT:
            raise ValueError(f"a regular expression has at most {_SOURCE_LIMIT} characters")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", FutureWarning)  # Python has no classes such as [[:digit:]]
                re.compile(source)
            self._states, self._first = _RegexParser(source).automaton()
        except (re.error, FutureWarning, RecursionError, OverflowError) as error:
            raise ValueError(f"not a regular expression: {error}") from None
        self._forget()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Regex) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Regex({self.source!r})"

    def search(self, text: str) -> bool:
        """Whether it matches anywhere in a text of one line."""
        node = self._start
        for character in text:
            following = node.ahead.get(character)
            if following is None:
                following = self._follow(node, character)
            if following is _MATCHED:
                return True
            node = following
        if node.matches_at_end is None:
            node.matches_at_end = self._reach(node, None)[1]
        return node.matches_at_end

    def _forget(self) -> None:
        self._nodes: dict[tuple[frozenset[int], _Before], _Node] = {}
        self._size = 0
        self._start = self._node(frozenset((self._first,)), _Before.NOTHING)

    def _node(self, states: frozenset[int], before: _Before) -> _Node:
        self._size += 1
        return self._nodes.setdefault((states, before), _Node(states, before))

    def _follow(self, node: _Node, character: str) -> _Node:
        """The node after a character."""
        states, matched = self._reach(node, character)
        if matched:
            following = _MATCHED
        else:
            if self._size > _NODE_LIMIT:
                self._forget()
            found = (self._states[each] for each in states)
            ahead = {self._first, *(to for each in found if each.takes and each.takes(character) for to in each.ahead)}
            following = self._node(frozenset(ahead), _before(character))
        self._size += 1
        node.ahead[character] = following
        return following

    def _reach(self, node: _Node, character: str | None) -> tuple[set[int], bool]:
        """The states that a node leads to without a character, and whether the last is among them. `character` is the
        next one, None at the end.
        """
        reached = set(node.states)
        pending = list(reached)
        while pending:
            state = self._states[pending.pop()]
            if state.takes is None and _holds(state.assertion, node.before, character):
                pending += [each for each in state.ahead if each not in reached]
                reached.update(state.ahead)
        return reached, 0 in reached


def _before(character: str) -> _Before:
    return _Before.WORD if _WORD.match(character) else _Before.OTHER


def _holds(assertion: str | None, before: _Before, character: str | None) -> bool:
    """Whether an assertion is true between what precedes and a character, or the end of the text."""
    if assertion in ("^", "\\A"):
        return before is _Before.NOTHING
    if assertion in ("$", "\\Z", "\\z"):
        return character is None
    if assertion in ("\\b", "\\B"):
        word = character is not None and _before(character) is _Before.WORD
        return ((before is _Before.WORD) != word) == (assertion == "\\b")
    return True


class _RegexParser:
    """Makes an automaton of an expression that `re` has accepted. State 0 is the last."""

    def __init__(self, source: str) -> None:
        flags = _FLAGS.match(source)
        self._source = source
        self._position = flags.end() if flags else 0
        self._flags = re.RegexFlag(0)
        for letter in flags[1] if flags else "":
            self._flags |= re.IGNORECASE if letter == "i" else re.DOTALL
        self._states = [_State(())]
        self._spent = 0

    def automaton(self) -> tuple[Sequence[_State], int]:
        """The states, and the first of them. Raises ValueError."""
        build = self._choice()
        if self._position < len(self._source):
            raise ValueError(f"not supported in a regular expression: {self._source[self._position :][:4]!r}")
        return self._states, build(0)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._source, self._position)
        if match is not None:
            self._position = match.end()
        return match

    def _choice(self) -> _Build:
        parts = [self._sequence()]
        while self._source.startswith("|", self._position):
            self._position += 1
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        return lambda after: self._add(_State([part(after) for part in parts]))

    def _sequence(self) -> _Build:
        parts = []
        while (part := self._part()) is not None:
            parts.append(part)

        def build(after: int) -> int:
            for part in reversed(parts):
                after = part(after)
            return after

        return build

    def _part(self) -> _Build | None:
        """An assertion, or a group or a character that may be repeated; None where there is none."""
        if (found := self._take(_ASSERTION)) is not None:
            assertion = found[0]
            return lambda after: self._add(_State((after,), assertion=assertion))
        if self._take(_OPENING) is not None:
            part = self._choice()
            if not self._source.startswith(")", self._position):
                return None
            self._position += 1
        elif (found := self._take(_ATOM)) is not None:
            takes = re.compile(found[0], self._flags).fullmatch
            part = lambda after: self._add(_State((after,), takes))  # noqa: E731
        else:
            return None
        while (found := self._take(_QUANTIFIER)) is not None:
            if self._source.startswith("+", self._position):
                return None  # possessive
            part = self._repeat(part, *_bounds(found))
        return part

    def _repeat(self, part: _Build, least: int, most: int | None) -> _Build:
        def build(after: int) -> int:
            if most is None:
                first = self._add(loop := _State(()))
                loop.ahead = (part(first), after)
            else:
                first = after
                for _ in range(most - least):
                    first = self._add(_State((part(first), after)))
            for _ in range(least):
                first = part(first)
                self._spend()
            return first

        return build

    def _add(self, state: _State) -> int:
        self._spend()
        self._states.append(state)
        return len(self._states) - 1

    def _spend(self) -> None:
        self._spent += 1
        if self._spent > _STATE_LIMIT:
            raise ValueError("the regular expression is too large: it repeats too much")


def _bounds(quantifier: re.Match[str]) -> tuple[int, int | None]:
    if quantifier[1]:
        return _BOUNDS[quantifier[1]]
    if quantifier["exactly"]:
        return int(quantifier["exactly"]), int(quantifier["exactly"])
    return int(quantifier["least"] or 0), int(quantifier["most"]) if quantifier["most"] else None

"""A policy's file (TOML), as `docs/policy.md` describes it."""

from __future__ import annotations

import re
import tomllib
import warnings
from collections.abc import Callable
from typing import Any

from ocigc.errors import UsageError
from ocigc.gc.filters import label_check
from ocigc.gc.retention import Policy, Rule
from ocigc.layout.dirfd import Dir, naming
from ocigc.printable import printable
from ocigc.progress import Watcher
from ocigc.times import parse_duration

OWN = "ocigc.toml"
"""The policy that lies in a layout, or at the root of a tree."""

_LIMIT = 1 << 20  # bytes

# A comment or a string of TOML.
_TEXT = re.compile(r"""#[^\n]*|\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'""", re.DOTALL)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def own_policy(directory: Dir, path: str, watch: Watcher) -> Policy | None:
    """The policy that lies in a layout or a tree of them, None where there is no such file. Raises UsageError and
    Refused."""
    path = f"{path}/{OWN}"
    with naming(path):
        try:
            content = directory.read(OWN, _LIMIT)
        except FileNotFoundError:
            return None
    policy = parse_policy(content, path)
    watch.note(f"the policy in {path} applies (--no-policy to do without)")
    return policy


def parse_policy(content: bytes, path: str) -> Policy:
    """The rules of a policy. Raises UsageError, naming file, line and key."""
    try:
        text = content.decode("utf-8-sig")
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{path}: no valid TOML: {printable(reason)}") from None
    rules = document.pop("rule", None)
    if document:
        key = next(iter(document))
        raise UsageError(f"{path}: line {_line(text, 0, key)}: unknown key {printable(key)!r}: expected [[rule]]")
    if rules is None:
        raise UsageError(f"{path}: no rules: expected at least one [[rule]]")
    if not isinstance(rules, list) or not rules or not all(isinstance(rule, dict) for rule in rules):
        raise UsageError(f"{path}: line {_line(text, 0, 'rule')}: rule: expected tables, each under [[rule]]")
    return tuple(_rule(rule, number, text, path) for number, rule in enumerate(rules, start=1))


def _line(text: str, number: int, key: str) -> int:
    """The line of a key in the number-th rule, or of the rule itself; rule 0 is what stands outside of rules."""
    clear = _TEXT.sub(_blank, text)
    tables = [found.start() for found in re.finditer(r"^[ \t]*\[\[[ \t]*rule[ \t]*\]\]", clear, re.MULTILINE)]
    # Without tables, the rules are a list of what stands in braces.
    starts = tables or [found.start() for found in re.finditer(r"\{", clear)]
    word = rf"(?<![\w-]){re.escape(key)}[ \t]*"
    if number == 0:
        outside = re.compile(rf"^[ \t]*(?:\[+[ \t]*{word}[.\]]|{word}[.=])", re.MULTILINE)
        found = outside.search(clear)
        start = 0
    else:
        start, *rest = starts[number - 1 :] or [0]
        found = re.compile(rf"{word}[=.\]]").search(clear, start, rest[0] if rest else len(clear))
    if found is not None and key:
        start = found.end() - 1
    elif number and tables:
        start += clear[start:].index("[")
    return clear.count("\n", 0, start) + 1


def _blank(found: re.Match[str]) -> str:
    """A comment or string of the same length that says nothing; a key in quotes stays one."""
    whole = found[0]
    if _BARE.fullmatch(whole[1:-1]) and re.match(r"[ \t]*(?:[=.]|\]\])", found.string[found.end() :]):
        return f" {whole[1:-1]} "
    return re.sub(r"[^\n]", " ", whole)


def _rule(table: dict[str, Any], number: int, text: str, path: str) -> Rule:
    found: dict[str, Any] = {}
    for key, value in table.items():
        try:
            if key not in _KEYS:
                raise ValueError(f"unknown key; known are {', '.join(_KEYS)}")
            field, parse = _KEYS[key]
            found[field] = parse(value)
        except (ValueError, UsageError) as error:
            where = f"{path}: line {_line(text, number, key)}: rule {number}: {printable(key)}"
            raise UsageError(f"{where}: {printable(str(error))}") from None
    rule = Rule(**found)
    if rule.by_version and rule.keep_last is None:
        where = f"{path}: line {_line(text, number, 'order')}: rule {number}"
        raise UsageError(f"{where}: order: says which are the newest, but there is no keep-last")
    if not (rule.keeps or rule.delete_untagged or rule.delete_referrers or rule.deny):
        where = f"{path}: line {_line(text, number, '')}: rule {number}"
        raise UsageError(f"{where}: it neither keeps nor deletes anything: give a keep-*, delete-* or deny key")
    return rule


def _strings(value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(each, str) and each for each in values):
        raise ValueError("expected a string or a list of strings, none of them empty")
    return tuple(values)


def _expressions(value: Any) -> tuple[re.Pattern[str], ...]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # [[:digit:]], say, is no class of Python's
            return tuple(re.compile(each) for each in _strings(value))
    except (re.error, FutureWarning, RecursionError, OverflowError) as error:
        raise ValueError(f"no regular expression: {error}") from None


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("expected a number that is not negative")
    return value


def _yes(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _always(value: Any) -> bool:
    if value is not True:
        raise ValueError("expected true: what is in use always stays")
    return True


def _duration(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError('expected a duration, as in "30d"')
    return parse_duration(value)


def _by_version(value: Any) -> bool:
    if value not in ("created", "semver"):
        raise ValueError('expected "created" or "semver"')
    return bool(value == "semver")


_KEYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "repository": ("repositories", _strings),
    "tag": ("tags", _expressions),
    "keep-last": ("keep_last", _count),
    "order": ("by_version", _by_version),
    "keep-within": ("keep_within", _duration),
    "keep-tagged": ("keep_tagged", _yes),
    "keep-labels": ("keep_labels", lambda value: tuple(map(label_check, _strings(value)))),
    "keep-in-use": ("keep_in_use", _always),
    "delete-untagged": ("delete_untagged", _yes),
    "delete-referrers": ("delete_referrers", _yes),
    "deny": ("deny", _strings),
}

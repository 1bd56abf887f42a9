"""The file of a policy (TOML), as `docs/policy.md` describes it."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ocigc.errors import UsageError, printable
from ocigc.gc.filters import label_check
from ocigc.gc.policy import Period, Policy, Rule
from ocigc.gc.regex import Regex
from ocigc.layout.dirfd import Dir, naming
from ocigc.progress import Watcher
from ocigc.semver import parse_range
from ocigc.times import parse_duration

OWN = "ocigc.toml"
"""The file of the policy in a layout, or at the root of a tree."""

_LIMIT = 256 << 10  # bytes
_RULE_LIMIT = 1000
_PATTERN_LIMIT = 1000  # globs, expressions, ranges and labels; every image is compared with each of them
_STATEMENT_LIMIT = 100  # lines

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def own_policy(directory: Dir, path: str, watch: Watcher) -> Policy | None:
    """The policy in a layout or at the root of a tree; None where there is no such file. If somebody other than the
    user may have written it, the policy only keeps images. Raises UsageError and Refused.
    """
    path = f"{path}/{OWN}"
    with naming(path):
        try:
            content = directory.read(OWN, _LIMIT)
        except FileNotFoundError:
            return None
        doubt = _distrusted(directory.stat(OWN), "it") or _distrusted(directory.stat("."), "its directory")
    policy = parse_policy(content, path)
    if doubt is None:
        watch.note(f"the policy in {path} applies")
        return policy
    watch.note(
        f"the policy in {path} removes nothing, because {doubt}; what it keeps stays. To accept it, name it as the "
        "policy of the run, or make it and its directory yours or root's, and writable only by the owner"
    )
    return replace(policy, only_keeps=True)


def _distrusted(status: os.stat_result, what: str) -> str | None:
    """Why somebody else may have written a file, by the rule of ssh for its configuration; None if nobody may."""
    if status.st_uid not in (0, os.geteuid()):
        return f"{what} belongs to another user"
    return f"{what} is writable by others" if status.st_mode & _OTHERS_WRITE else None


def parse_policy(content: bytes, path: str) -> Policy:
    """Parses the rules of a policy. Raises UsageError, naming file, line and key."""
    if len(content) > _LIMIT:
        raise UsageError(f"{path}: larger than {_LIMIT:,} bytes: not a policy")
    try:
        text = content.decode("utf-8-sig")
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{path}: not valid TOML: {printable(reason)}") from None
    return _PolicyReader(path, text).policy(document)


class _PolicyReader:
    """Makes a policy from a document; `text` is what it was parsed from."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text

    def policy(self, document: dict[str, object]) -> Policy:
        """Raises UsageError."""
        for key in document:
            if key not in ("rule", "protect"):
                raise self._error(0, key, f"unknown key {key!r}: expected [[rule]] or protect", named=False)
        protect = self._value(0, "protect", _strings, document["protect"]) if "protect" in document else ()
        rules = document.get("rule")
        if rules is None:
            raise UsageError(f"{self._path}: no rules: expected at least one [[rule]]")
        if not isinstance(rules, list) or not rules or not all(isinstance(rule, dict) for rule in rules):
            raise self._error(0, "rule", "expected tables, each under [[rule]]")
        if len(rules) > _RULE_LIMIT:
            raise UsageError(f"{self._path}: {len(rules):,} rules: at most {_RULE_LIMIT:,} are allowed")
        policy = Policy(tuple(self._rule(number, rule) for number, rule in enumerate(rules, start=1)), protect)
        patterns = len(protect) + sum(map(_patterns, policy.rules))
        if patterns > _PATTERN_LIMIT:
            raise UsageError(
                f"{self._path}: {patterns:,} globs and expressions: at most {_PATTERN_LIMIT:,} are allowed"
            )
        return policy

    def _rule(self, number: int, table: dict[str, object]) -> Rule:
        found: dict[str, Any] = {}
        periods = []
        for key, value in table.items():
            if key in _PERIODS:
                periods.append((_PERIODS[key], self._value(number, key, _count, value)))
            elif key in _KEYS:
                field, parse = _KEYS[key]
                found[field] = self._value(number, key, parse, value)
            else:
                raise self._error(number, key, f"unknown key; known are {', '.join((*_KEYS, *_PERIODS))}")
        rule = Rule(**found, keep_periods=tuple(periods))
        if rule.by_version and rule.keep_last is None:
            raise self._error(number, "order", "has no effect without keep-last")
        if not (rule.decides or rule.protect):
            raise self._error(number, "", "it neither keeps nor deletes anything: give a keep-*, delete-* or deny key")
        return rule

    def _value(self, number: int, key: str, parse: Callable[[object], object], value: object) -> Any:
        try:
            return parse(value)
        except (ValueError, UsageError) as error:
            raise self._error(number, key, str(error)) from None

    def _error(self, number: int, key: str, reason: str, *, named: bool = True) -> UsageError:
        """What is wrong with a key of the rule of that number, or with the rule itself; 0 is outside of the rules."""
        lines = _lines(self._text)
        line = lines.get((number, key)) or lines.get((number, ""))
        where = [self._path, f"line {line}" if line else "", f"rule {number}" if number else ""]
        where += [printable(key)] if named else []
        return UsageError(f"{': '.join(filter(None, where))}: {printable(reason)}")


def _lines(text: str) -> Mapping[tuple[int, str], int]:
    """The line of each key, by the number of its rule and the key; a rule itself has the key "". The text must be valid
    TOML: its statements are the shortest sequences of whole lines that are valid by themselves.
    """
    found: dict[tuple[int, str], int] = {}
    number = inside = 0
    lines = text.splitlines(keepends=True)
    for line, statement in _statements(lines):
        if header := lines[line - 1].lstrip().startswith("["):
            inside = 0
        for key, value in statement.items():
            found.setdefault((inside, key), line)
            for rule in value if key == "rule" and isinstance(value, list) and not inside else ():
                number += 1
                found |= dict.fromkeys([(number, ""), *((number, each) for each in rule)], line)
        if header and "rule" in statement:
            inside = number
    return found


def _statements(lines: list[str]) -> Iterator[tuple[int, dict[str, object]]]:
    """Each statement with the line where it begins; none after a statement that is too long."""
    first = 0
    while first < len(lines):
        for last in range(first + 1, min(first + _STATEMENT_LIMIT, len(lines)) + 1):
            try:
                statement = tomllib.loads("".join(lines[first:last]))
            except ValueError:
                continue
            yield first + 1, statement
            first = last
            break
        else:
            return


def _patterns(rule: Rule) -> int:
    of_names = len(rule.repositories or ()) + len(rule.tags or ()) + len(rule.deny) + len(rule.protect)
    return of_names + len(rule.keep_versions) + len(rule.keep_labels)


def _strings(value: object) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(each, str) and each for each in values):
        raise ValueError("expected a string or a list of strings, none of them empty")
    return tuple(values)


def _each(parse: Callable[[str], object], value: object) -> tuple[object, ...]:
    return tuple(map(parse, _strings(value)))


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("expected a number, 0 or more")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _always(value: object) -> bool:
    if value is not True:
        raise ValueError("expected true: what is in use always stays")
    return True


def _duration(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError('expected a duration, as in "30d"')
    return parse_duration(value)


def _by_version(value: object) -> bool:
    if value not in ("created", "semver"):
        raise ValueError('expected "created" or "semver"')
    return bool(value == "semver")


_KEYS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "repository": ("repositories", _strings),
    "tag": ("tags", partial(_each, Regex)),
    "keep-last": ("keep_last", _count),
    "order": ("by_version", _by_version),
    "keep-versions": ("keep_versions", partial(_each, parse_range)),
    "keep-within": ("keep_within", _duration),
    "keep-tagged": ("keep_tagged", _flag),
    "keep-labels": ("keep_labels", partial(_each, label_check)),
    "keep-in-use": ("keep_in_use", _always),
    "delete-untagged": ("delete_untagged", _flag),
    "delete-referrers": ("delete_referrers", _flag),
    "delete-orphaned-referrers": ("delete_orphaned_referrers", _flag),
    "deny": ("deny", _strings),
    "protect": ("protect", _strings),
}

_PERIODS = {f"keep-{period.value}": period for period in Period}

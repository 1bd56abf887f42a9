"""The `until` filter: the instant that its value means, as two versions of moby parse it.

Sources: moby `api/types/time/timestamp.go` at 87c87bccb5 (`parse_until`), and `daemon/internal/timestamp/timestamp.go`
at docker-v29.7.2 (`parse_until_29`). Errors have the words of moby and of Go's `time.Parse`. Days and weeks (`30d`,
`4w`) are our own: moby has no such units.
"""

from __future__ import annotations

import json
import re

from ocigc.times import INT64_MAX, SECOND, instant_of, parse_duration, parse_go_duration, zone_offset

_FRACTION_LIMIT = 20  # digits, as docker 29 allows
_FROM_YEAR_ONE = 62_135_596_800  # seconds from the year 1, where Go's time.Time begins, to 1970
_INTEGER = re.compile(r"[+-]?[0-9]+")

# The elements of Go's layouts that moby uses, in the order of `instant_of`, and the text that Go accepts for each.
_TIME_ELEMENTS = {
    "2006": re.compile(r"([0-9]{4})"),
    "01": re.compile(r"([0-9]{2})"),
    "02": re.compile(r"([0-9]{2})"),
    "15": re.compile(r"([0-9]{1,2})"),
    "04": re.compile(r"([0-9]{2})"),
    "05": re.compile(r"([0-9]{2})(?:[.,]([0-9]+))?"),  # Go accepts a fraction wherever there are seconds
}
_ELEMENTS = {**_TIME_ELEMENTS, ".999999999": re.compile(""), "Z07:00": re.compile(r"(Z|[+-][0-9]{2}:[0-9]{2})")}
_ABSENT: dict[str, tuple[str | None, ...]] = {"15": ("0",), "04": ("0",), "05": ("0", None), "Z07:00": (None,)}
_LAYOUT = re.compile("|".join(map(re.escape, _ELEMENTS)) + "|.")


def parse_until(text: str, now: int, local_offset: int) -> int:
    """The instant that the seed's `until` means: a Go duration before `now`, an RFC 3339 time or one of its shorter
    forms, or Unix seconds. A time without a zone is in the local one, `local_offset` seconds east of UTC. A duration
    counts whole seconds. Raises ValueError.
    """
    before = _before(text, now)
    if before is not None:
        return before // SECOND * SECOND
    try:
        return _parse_date(text, local_offset)
    except ValueError:
        if "-" in text:  # it was meant as a date
            raise
    try:
        seconds, point, digits = text.partition(".")
        nanoseconds = int(float(_parse_int64(digits)) * 10.0 ** (9 - len(digits))) if point else 0
        return _unix(_parse_int64(seconds), nanoseconds)
    except ValueError:
        raise ValueError(f"failed to parse value as time or duration: {_quoted(text)}") from None


def parse_until_29(text: str, now: int, local_offset: int) -> int:
    """The same as docker 29 parses it: durations keep fractions of a second. A fraction of Unix seconds has 1 to 20
    digits, or none after the point. Raises ValueError.
    """
    if not text.strip():
        raise ValueError("failed to parse value as time or duration: value is empty")
    before = _before(text, now)
    if before is not None:
        return before
    try:
        return _parse_date(text, local_offset)
    except ValueError:
        if "-" in text:
            raise
    try:
        return _parse_unix_29(text)
    except ValueError as error:
        raise ValueError(f"failed to parse value as time or duration: {error}") from None


def _before(text: str, now: int) -> int | None:
    """The instant that lies a duration before `now`; None where the text is not a duration."""
    if text == "0":
        return None
    try:
        return now - parse_go_duration(text)
    except ValueError:
        pass
    try:
        return now - parse_duration(text)
    except ValueError:
        return None


def _parse_date(text: str, local_offset: int) -> int:
    """The instant of a time, in the layout that moby chooses by the characters in it. Raises ValueError."""
    local = not any(mark in text for mark in "zZ+") and text.count("-") != 3
    colons = text.count(":")
    if not local and "z" not in text and "Z" not in text:
        colons -= 1  # that of the zone's offset
    if "." in text:
        layout = "2006-01-02T15:04:05.999999999"
    elif "T" in text:
        layout = "2006-01-02T15" + ("" if colons <= 0 else ":04" if colons == 1 else ":04:05")
    else:
        layout = "2006-01-02"
    return _parse_layout(layout if local else f"{layout}Z07:00", text, local_offset)


def _parse_layout(layout: str, text: str, local_offset: int) -> int:
    """Go's `time.ParseInLocation`. Raises ValueError."""
    found = []
    position = 0
    for element in _LAYOUT.findall(layout):
        match = _ELEMENTS.get(element, re.compile(re.escape(element))).match(text, position)
        if match is None:
            raise ValueError(
                f"parsing time {_quoted(text)} as {_quoted(layout)}: "
                f"cannot parse {_quoted(text[position:])} as {_quoted(element)}"
            )
        found.append((element, match.groups()))
        position = match.end()
    if position < len(text):
        raise ValueError(f"parsing time {_quoted(text)}: extra text: {_quoted(text[position:])}")
    fields = _ABSENT | dict(found)
    (zone,) = fields["Z07:00"]
    try:
        offset = local_offset if not zone else 0 if zone == "Z" else zone_offset(zone)
        return instant_of([each for element in _TIME_ELEMENTS for each in fields[element]], offset)
    except ValueError as error:
        raise ValueError(f"parsing time {_quoted(text)}: {error}") from None


def _parse_unix_29(text: str) -> int:
    seconds, _, fraction = text.partition(".")
    try:
        whole = _parse_int64(seconds)
    except ValueError as error:
        raise ValueError(f"invalid seconds {_quoted(seconds)}: {error}") from None
    if len(fraction.encode()) > _FRACTION_LIMIT:
        raise ValueError(f"invalid nanoseconds: length {len(fraction.encode())} exceeds maximum {_FRACTION_LIMIT}")
    for position, character in enumerate(fraction):
        if character not in "0123456789":
            raise ValueError(f"invalid nanoseconds: invalid character {character!r} at position {position}")
    return _unix(whole, int(fraction[:9].ljust(9, "0")))


def _parse_int64(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("invalid syntax")
    if not -(2**63) <= int(text) <= INT64_MAX:
        raise ValueError("value out of range")
    return int(text)


def _unix(seconds: int, nanoseconds: int) -> int:
    """Go's `time.Unix`, which wraps around: a time too far in the future lies in the past, and then nothing goes."""
    if seconds > INT64_MAX - _FROM_YEAR_ONE:
        seconds -= 1 << 64
    return seconds * SECOND + nanoseconds


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

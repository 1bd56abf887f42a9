"""Instants and durations as Go and moby write them. An instant is an int: nanoseconds since 1970 UTC; a duration is an
int of nanoseconds.

Sources: Go's `time.ParseDuration` and `time.Parse`; moby `api/types/time/timestamp.go` for `parse_until`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

SECOND = 1_000_000_000
_INT64_MAX = 2**63 - 1

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_LONG_UNITS = _UNITS | {"d": 86_400 * SECOND, "w": 7 * 86_400 * SECOND}
_DURATION_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]+)")

_DATE = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
_HOUR = r"T(?P<hour>[0-9]{1,2})"
_MINUTE = r":(?P<minute>[0-9]{2})"
_SECOND = r":(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?"
_ZONE = r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})"
_RFC3339 = re.compile(_DATE + _HOUR + _MINUTE + _SECOND + _ZONE)
_INTEGER = re.compile(r"[+-]?[0-9]+")


def nanoseconds(duration: int | timedelta) -> int:
    """A duration in nanoseconds."""
    if isinstance(duration, int):
        return duration
    return ((duration.days * 86_400 + duration.seconds) * 1_000_000 + duration.microseconds) * 1_000


def instant(moment: int | datetime) -> int:
    """Nanoseconds since 1970 UTC; a datetime without a zone is in the local one."""
    if isinstance(moment, int):
        return moment
    from datetime import UTC, datetime  # noqa: PLC0415

    return nanoseconds(moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC))


def _parse_duration(text: str, units: dict[str, int]) -> int:
    rest = text
    negative = rest.startswith("-")
    if rest[:1] in ("-", "+"):
        rest = rest[1:]
    if rest == "0":
        return 0
    total = 0
    position = 0
    while position < len(rest):
        part = _DURATION_PART.match(rest, position)
        if part is None or part[3] not in units or not (part[1] or part[2]):
            raise ValueError(f"invalid duration {text!r}")
        unit = units[part[3]]
        total += int(part[1] or "0") * unit
        if part[2]:
            total += int(part[2]) * unit // 10 ** len(part[2])
        position = part.end()
    if position == 0 or total > _INT64_MAX:
        raise ValueError(f"invalid duration {text!r}")
    return -total if negative else total


def parse_go_duration(text: str) -> int:
    """Nanoseconds of a Go duration such as `1h30m`. Raises ValueError."""
    return _parse_duration(text, _UNITS)


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration, not negative: Go's units, and `d` and `w` besides. Raises ValueError."""
    duration = _parse_duration(text, _LONG_UNITS)
    if duration < 0:
        raise ValueError(f"negative duration {text!r}")
    return duration


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the proleptic Gregorian calendar, which Go knows from the year 0 on."""
    february = 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    lengths = (31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not 1 <= month <= 12 or not 1 <= day <= lengths[month - 1]:
        raise ValueError("day out of range")
    before = year - 1
    leap_days = before // 4 - before // 100 + before // 400
    return 365 * year + leap_days + sum(lengths[: month - 1]) + day - 1 - (365 * 1970 + 477)


def _instant(match: re.Match[str], offset: int) -> int:
    """The instant of a match of the patterns above; `offset` is seconds east of UTC where it names no zone."""
    fields = match.groupdict()
    hour, minute, second = (int(fields.get(name) or 0) for name in ("hour", "minute", "second"))
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("time of day out of range")
    zone = fields.get("zone")
    if zone == "Z":
        offset = 0
    elif zone:
        hours, minutes = int(zone[1:3]), int(zone[4:6])
        if hours > 24 or minutes > 60:
            raise ValueError("zone offset out of range")
        offset = (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)
    days = _days(int(fields["year"]), int(fields["month"]), int(fields["day"]))
    fraction = (fields.get("fraction") or "")[:9].ljust(9, "0")
    return (days * 86_400 + hour * 3600 + minute * 60 + second - offset) * SECOND + int(fraction)


def parse_rfc3339(text: str) -> int:
    """The instant of an RFC 3339 time. Raises ValueError."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"no RFC 3339 time: {text!r}")
    return _instant(match, 0)


def format_rfc3339(instant: int) -> str:
    """RFC 3339 in UTC, to the second."""
    from datetime import UTC, datetime  # noqa: PLC0415

    try:
        return datetime.fromtimestamp(instant // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"@{instant // SECOND}"


def _parse_int64(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) <= _INT64_MAX:
        raise ValueError(f"no integer: {text!r}")
    return int(text)


def _parse_unix(text: str) -> int:
    """`seconds[.nanoseconds]`, the digits behind the point padded or cut to nine (moby's ParseTimestamps)."""
    seconds, point, digits = text.partition(".")
    nanoseconds = 0
    if point:
        nanoseconds = int(float(_parse_int64(digits)) * 10.0 ** (9 - len(digits)))
    return _parse_int64(seconds) * SECOND + nanoseconds


def parse_until(text: str, now: int, local_offset: int) -> int:
    """The instant that moby's `until` filter means by `text`: a Go duration before `now`, an RFC 3339 time or one of
    its shorter forms (in the local zone, `local_offset` seconds east of UTC, where it names none), or Unix seconds.

    Raises ValueError. Source: moby `GetTimestamp` and `ParseTimestamps`.
    """
    if text != "0":
        try:
            return (now - parse_go_duration(text)) // SECOND * SECOND
        except ValueError:
            pass
    local = not any(mark in text for mark in "zZ+") and text.count("-") != 3
    colons = text.count(":")
    if not local and "z" not in text and "Z" not in text and colons:
        colons -= 1  # that of the zone's offset
    if "." in text:
        pattern = _DATE + _HOUR + _MINUTE + _SECOND
    elif "T" in text:
        pattern = _DATE + _HOUR + ("" if colons == 0 else _MINUTE if colons == 1 else _MINUTE + _SECOND)
    else:
        pattern = _DATE
    match = re.fullmatch(pattern if local else pattern + _ZONE, text)
    if match is not None:
        try:
            return _instant(match, local_offset)
        except ValueError as error:
            raise ValueError(f"cannot parse {text!r} as a time: {error}") from None
    if "-" in text:
        raise ValueError(f"cannot parse {text!r} as a time")
    try:
        return _parse_unix(text)
    except ValueError:
        raise ValueError(f"failed to parse value as time or duration: {text!r}") from None

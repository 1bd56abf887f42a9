"""Instants and durations as Go and moby write them. An instant is an int: nanoseconds since 1970 UTC. A duration is an
int of nanoseconds.

Source: Go's `time.ParseDuration` and `time.Parse`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime, timedelta

Duration: TypeAlias = "int | timedelta"
"""Nanoseconds, or a `timedelta`."""

SECOND = 1_000_000_000
_DAY = 86_400  # seconds
INT64_MAX = 2**63 - 1

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
_LONG_UNITS = _UNITS | {"d": _DAY * SECOND, "w": 7 * _DAY * SECOND}
_DURATION_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]+)")

_USUAL = len("2026-11-26T15:04:05Z")  # of two digits for the hour, no fraction, and no zone
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?(?:Z|([+-][0-9]{2}:[0-9]{2}))"
)


def nanoseconds(duration: Duration) -> int:
    """A duration in nanoseconds."""
    if isinstance(duration, int):
        return duration
    return ((duration.days * _DAY + duration.seconds) * 1_000_000 + duration.microseconds) * 1_000


def instant(moment: int | datetime) -> int:
    """Nanoseconds since 1970 UTC. A datetime without a zone is in the local one."""
    if isinstance(moment, int):
        return moment
    from datetime import UTC, datetime

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
    if position == 0 or total > INT64_MAX:
        raise ValueError(f"invalid duration {text!r}")
    return -total if negative else total


def parse_go_duration(text: str) -> int:
    """Nanoseconds of a Go duration such as `1h30m`. Raises ValueError."""
    return _parse_duration(text, _UNITS)


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration that is not negative, in Go's units or in `d` and `w`. Raises ValueError."""
    duration = _parse_duration(text, _LONG_UNITS)
    if duration < 0:
        raise ValueError(f"negative duration {text!r}")
    return duration


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar. Go accepts years from 0 on."""
    february = 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    lengths = (31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not 1 <= day <= lengths[month - 1]:
        raise ValueError("day out of range")
    before = year - 1
    leap_days = before // 4 - before // 100 + before // 400
    return 365 * year + leap_days + sum(lengths[: month - 1]) + day - 1 - (365 * 1970 + 477)


def instant_of(fields: Sequence[str | None], zone: int) -> int:
    """The instant of year, month, day, hour, minute, second and fraction, `zone` seconds east of UTC."""
    year, month, day, hour, minute, second = [int(field or 0) for field in fields[:6]]
    if not 1 <= month <= 12:
        raise ValueError("month out of range")
    for value, limit, name in ((hour, 24, "hour"), (minute, 60, "minute"), (second, 60, "second")):
        if value >= limit:
            raise ValueError(f"{name} out of range")
    seconds = _days(year, month, day) * _DAY + hour * 3600 + minute * 60 + second - zone
    return seconds * SECOND + (int(fields[6][:9].ljust(9, "0")) if fields[6] else 0)


def zone_offset(text: str) -> int:
    """Seconds east of UTC of `+hh:mm` or `-hh:mm`."""
    hours, minutes = int(text[1:3]), int(text[4:6])
    # Go allows 24 hours and 60 minutes, as some people write them.
    if hours > 24:
        raise ValueError("time zone offset hour out of range")
    if minutes > 60:
        raise ValueError("time zone offset minute out of range")
    return (hours * 3600 + minutes * 60) * (-1 if text[0] == "-" else 1)


@lru_cache(maxsize=4096)
def _midnight(date: str) -> int:
    """Seconds since 1970 at the beginning of a day, as in `2026-11-26`."""
    return instant_of((*date.split("-"), None, None, None, None), 0) // SECOND


def parse_rfc3339(text: str) -> int:
    """The instant of an RFC 3339 time. Raises ValueError."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    if len(text) == _USUAL and text[-1] == "Z":
        hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
        if hour < 24 and minute < 60 and second < 60:
            return (_midnight(text[:10]) + hour * 3600 + minute * 60 + second) * SECOND
    return instant_of(match.groups(), zone_offset(match[8]) if match[8] else 0)


_TWO_DIGITS = tuple(f"{number:02}" for number in range(60))  # formatting each takes twice as long


def format_rfc3339(instant: int) -> str:
    """RFC 3339 in UTC, to the second. A time that RFC 3339 cannot express is `@` and the seconds since 1970."""
    seconds = instant // SECOND
    day, second = divmod(seconds, _DAY)
    date = _date(day)
    if not date:
        return f"@{seconds}"
    return f"{date}T{_TWO_DIGITS[second // 3600]}:{_TWO_DIGITS[second // 60 % 60]}:{_TWO_DIGITS[second % 60]}Z"


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    """The date of a day since 1970, as in `2026-11-26`. Empty if the year does not have four digits."""
    try:
        year, month, number, *_ = time.gmtime(day * _DAY)
    except (OverflowError, ValueError, OSError):
        return ""
    return f"{year:04}-{month:02}-{number:02}" if 0 < year < 10_000 else ""

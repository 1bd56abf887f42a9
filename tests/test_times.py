"""Times and durations as Go and moby read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocigc.times import SECOND, format_rfc3339, parse_duration, parse_go_duration, parse_rfc3339

HOUR = 3600 * SECOND
NOW = 1_700_000_000 * SECOND


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("5s", 5 * SECOND),
        ("1h30m", 90 * 60 * SECOND),
        ("-1.5h", -5400 * SECOND),
        ("+.5s", SECOND // 2),
        ("1.s", SECOND),
        ("1us2ns", 1002),
        ("1µs", 1000),
        ("1μs", 1000),
        ("0.3333333333s", 333_333_333),
    ],
)
def test_go_durations(text: str, nanoseconds: int) -> None:
    assert parse_go_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "3", "-", "s", ".", "1", "24 h", "1d", "1h ", "1x", "-.s", "9999999h", "1.5.5s"])
def test_what_is_no_go_duration(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_go_duration(text)


def test_our_durations_know_days_and_weeks_and_are_not_negative() -> None:
    assert parse_duration("1w2d") == 9 * 24 * HOUR
    with pytest.raises(ValueError, match="negative"):
        parse_duration("-1h")


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)), st.integers(-23 * 60, 23 * 60))
def test_rfc3339_agrees_with_datetime(naive: datetime, offset: int) -> None:
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    moment = naive.replace(tzinfo=UTC)
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000 - offset * 60 * SECOND
    assert parse_rfc3339(naive.isoformat(timespec="microseconds") + zone) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00",
        "2024-01-01T00:00:00z",
        "2024-01-01 00:00:00Z",
        "2024-01-01T00:00:00+25:00",
        "2024-01-01T00:00:00Z ",
        "٢٠٢٤-01-01T00:00:00Z",
        "",
    ],
)
def test_what_is_no_rfc3339_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_rfc3339(text)


def test_format_goes_back_and_forth() -> None:
    assert format_rfc3339(parse_rfc3339("2024-02-29T12:34:56+01:00")) == "2024-02-29T11:34:56Z"
    assert format_rfc3339(10**30) == f"@{10**21}"
    assert format_rfc3339(parse_rfc3339("0001-01-01T00:00:00Z")) == "0001-01-01T00:00:00Z"
    assert format_rfc3339(253_402_300_800 * SECOND) == "@253402300800"  # the year 10,000

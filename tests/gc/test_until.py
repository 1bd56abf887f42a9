"""The `until` filter's values, as moby's two versions read them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from ocigc.gc.until import parse_until, parse_until_29
from ocigc.times import SECOND

HOUR = 3600 * SECOND
NOW = 1_700_000_000 * SECOND + 123_456_789
BOTH = pytest.mark.parametrize("parse", [parse_until, parse_until_29])
Parse = Callable[[str, int, int], int]


@BOTH
@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("0", 0),
        ("+1136073600", 1136073600 * SECOND),
        ("1136073600", 1136073600 * SECOND),
        ("1136073600.000000001", 1136073600 * SECOND + 1),
        ("1136073600.5", 1136073600 * SECOND + SECOND // 2),
        ("1136073600.1234567891", 1136073600 * SECOND + 123_456_789),
        ("2006-01-02T15:04:05.999999999+01:00", (1136214245 - 3600) * SECOND + 999_999_999),
        ("2006-01-02T15:04:05.5", (1136214245 - 7200) * SECOND + SECOND // 2),
        ("2006-01-02T15:04:05+07:00", (1136214245 - 7 * 3600) * SECOND),
        ("2006-01-02T15:04:05", (1136214245 - 7200) * SECOND),
        ("2006-01-02T15:04-01:00", (1136214240 + 3600) * SECOND),
        ("2006-01-02T15:04Z", 1136214240 * SECOND),
        ("2006-01-02T15:04", (1136214240 - 7200) * SECOND),
        ("2006-01-02T15Z", 1136214000 * SECOND),
        ("2006-01-02T15", (1136214000 - 7200) * SECOND),
        ("2006-01-02T5", (1136178000 - 7200) * SECOND),
        ("2006-01-02Z", 1136160000 * SECOND),
        ("2006-01-02+03:00", (1136160000 - 3 * 3600) * SECOND),
        ("2006-01-02", (1136160000 - 7200) * SECOND),
    ],
)
def test_times_that_both_read_alike(parse: Parse, text: str, instant: int) -> None:
    assert parse(text, NOW, 7200) == instant


@pytest.mark.parametrize(
    ("text", "duration"),
    [("24h", 24 * HOUR), ("-24h", -24 * HOUR), ("1.5s", 3 * SECOND // 2), ("30d", 720 * HOUR), ("1w2d3h", 219 * HOUR)],
)
def test_durations_are_counted_to_the_second_by_the_seed_and_whole_by_docker_29(text: str, duration: int) -> None:
    assert parse_until(text, NOW, 0) == (NOW - duration) // SECOND * SECOND
    assert parse_until_29(text, NOW, 0) == NOW - duration


@BOTH
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("soon", "failed to parse value as time or duration"),
        ("24 h", "failed to parse value as time or duration"),
        ("nan", "failed to parse value as time or duration"),
        ("1.2.3", "failed to parse value as time or duration"),
        ("99999999999999999999", "failed to parse value as time or duration"),
        ("2022-01", 'parsing time "2022-01" as "2006-01-02": cannot parse "" as "-"'),
        ("2022-1-01", 'parsing time "2022-1-01" as "2006-01-02": cannot parse "1-01" as "01"'),
        ("2022-01-01x", 'parsing time "2022-01-01x": extra text: "x"'),
        ("2022-13-01", 'parsing time "2022-13-01": month out of range'),
        ("2022-02-29", 'parsing time "2022-02-29": day out of range'),
        ("2022-01-01T24", 'parsing time "2022-01-01T24": hour out of range'),
        (
            "2006-01-02T15:04:0Z",
            'parsing time "2006-01-02T15:04:0Z" as "2006-01-02T15:04:05Z07:00": cannot parse "0Z" as "05"',
        ),
        ("2006-01-02T", 'parsing time "2006-01-02T" as "2006-01-02T15": cannot parse "" as "15"'),
        ("2006-01-02Z+0", 'parsing time "2006-01-02Z+0": extra text: "+0"'),
        ("-30d", 'parsing time "-30d" as "2006-01-02": cannot parse "-30d" as "2006"'),
        ("", "failed to parse value as time or duration"),
    ],
)
def test_what_both_refuse_in_the_words_of_moby(parse: Parse, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse(text, NOW, 0)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1672531200.", 1672531200 * SECOND),
        ("1672531200.000000000", 1672531200 * SECOND),
        ("1672531200.12345678901234567890", 1672531200 * SECOND + 123_456_789),
    ],
)
def test_fractions_of_unix_seconds_that_docker_29_reads_and_the_seed_does_not(text: str, instant: int) -> None:
    assert parse_until_29(text, NOW, 0) == instant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  ", "value is empty"),
        ("1e9", 'invalid seconds "1e9": invalid syntax'),
        ("99999999999999999999", 'invalid seconds "99999999999999999999": value out of range'),
        ("1.+5", "invalid nanoseconds: invalid character '+' at position 0"),
        ("1.000000000000000000001", "invalid nanoseconds: length 21 exceeds maximum 20"),
    ],
)
def test_what_docker_29_refuses(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"failed to parse value as time or duration: {re.escape(words)}"):
        parse_until_29(text, NOW, 0)


@BOTH
def test_what_is_too_far_in_the_future_for_go_lies_in_the_past(parse: Parse) -> None:
    assert parse(str(2**63 - 1), NOW, 0) < 0


def test_the_seed_wants_digits_after_the_point() -> None:
    with pytest.raises(ValueError, match="failed to parse"):
        parse_until("1672531200.", NOW, 0)

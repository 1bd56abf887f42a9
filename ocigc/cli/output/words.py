"""Sizes, ages, counts, dates and media types in a few characters."""

from __future__ import annotations

import re
from bisect import bisect_right

from ocigc.times import SECOND, format_rfc3339

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_FACTORS = tuple(1000**unit for unit in range(len(_UNITS)))
_FIRST_OF_UNIT = tuple(999.5 * 1000**unit for unit in range(len(_UNITS) - 1))
"""What is not written with the unit before: 999.5 would be rounded to 1000."""
_SIZE = r"([0-9]{1,18})(?:\.([0-9]{1,18}))?\s*([kmgtpe]?)(i?)b?"


def human_size(size: int) -> str:
    """Bytes in decimal units with three significant digits: `1.23 MB`."""
    unit = bisect_right(_FIRST_OF_UNIT, size)
    return f"{size / _FACTORS[unit]:.3g} {_UNITS[unit]}"


def parse_size(text: str) -> int:
    """Bytes of `200GB`, `1.5GiB` or `4096`. Raises ValueError."""
    match = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(f"invalid size {text!r}: expected a number and a unit, as in 200GB")
    digits = match[2] or ""
    power = " kmgtpe".index(match[3].lower() or " ")
    unit: int = (1024 if match[4] else 1000) ** power
    scale: int = 10 ** len(digits)
    return int(match[1] + digits) * unit // scale


def percent(part: int, whole: int) -> str:
    """`59 %`. Less than one percent is not shown as nothing, and more than 99 not as all."""
    if part <= 0 or whole <= 0:
        return "0 %"
    rounded = round(100 * part / whole)
    if part < whole:
        rounded = min(rounded, 99)
    return f"{rounded} %" if rounded else "<1 %"


_AGES = ((120, 1, "s"), (120 * 60, 60, "m"), (48 * 3600, 3600, "h"), (730 * 86400, 86400, "d"))


def age(seconds: int) -> str:
    """How long ago: `90s`, `30m`, `36h`, `41d`, `3y`."""
    for limit, unit, name in _AGES:
        if seconds < limit:
            return f"{max(seconds, 0) // unit}{name}"
    return f"{seconds // (365 * 86400)}y"


def count(number: int, what: str, verb: str = "") -> str:
    """`1 image`, `1,234 images`; with a verb `1 image stays`, `2 images stay`."""
    one = number == 1
    thing = what if one else f"{what}s"
    return " ".join(filter(None, (f"{number:,}", thing if what else "", agree(number, verb))))


def agree(number: int, verb: str) -> str:
    """The verb in the form for a number: `stay` becomes `stays`, `go` becomes `goes`."""
    if number != 1 or not verb:
        return verb
    return f"{verb}es" if verb.endswith("o") else f"{verb}s"


def short_date(instant: int | None) -> str:
    """The day, in UTC; empty if it is unknown."""
    return "" if instant is None else format_rfc3339(instant)[:10]


def full_date(instant: int | None) -> str:
    """RFC 3339 in UTC; empty if it is unknown."""
    return "" if instant is None else format_rfc3339(instant)


def age_of(instant: int | None, now: int) -> str:
    """How long ago an instant was; empty if it is unknown."""
    return "" if instant is None else age((now - instant) // SECOND)


_MEDIA = {
    "application/vnd.oci.image.index.v1+json": "index",
    "application/vnd.oci.image.manifest.v1+json": "manifest",
    "application/vnd.oci.image.config.v1+json": "config",
    "application/vnd.oci.empty.v1+json": "empty",
    "application/vnd.docker.distribution.manifest.list.v2+json": "docker index",
    "application/vnd.docker.distribution.manifest.v2+json": "docker manifest",
    "application/vnd.docker.container.image.v1+json": "docker config",
}
_LAYERS = {
    "application/vnd.oci.image.layer.v1.tar": "layer",
    "application/vnd.oci.image.layer.nondistributable.v1.tar": "foreign layer",
    "application/vnd.docker.image.rootfs.diff.tar": "docker layer",
    "application/vnd.docker.image.rootfs.foreign.diff.tar": "docker foreign layer",
}


def media_words(media_type: str) -> str:
    """`layer gzip` for `application/vnd.oci.image.layer.v1.tar+gzip`. An unknown type only loses its
    `application/vnd.`.
    """
    if media_type in _MEDIA:
        return _MEDIA[media_type]
    for beginning, words in _LAYERS.items():
        if media_type.startswith(beginning):
            return f"{words} {media_type.removeprefix(beginning).lstrip('+.')}".rstrip()
    return media_type.removeprefix("application/").removeprefix("vnd.")

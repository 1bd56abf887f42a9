"""Plain text tables, as docker prints them: three spaces between columns, no lines.

Where the output is not a terminal, a table is whole and its form does not depend on anything. On a terminal it fits:
columns that say so are left out below 100 and below 80 columns, then names are shortened in the middle.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

_GAP = 3  # columns
_SHORTEST = 12  # columns: no name is made shorter than this

Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `right` aligns numbers; on a terminal with fewer columns than `below`, it is left out; with `name`
    its cells may be shortened in the middle; with `cut`, at their end.
    """

    title: str
    right: bool = False
    below: int = 0
    name: bool = False
    cut: bool = False


def table(
    columns: Sequence[Column], rows: Iterable[Row], *, width: int | None = None, header: bool = True
) -> list[str]:
    """The lines of a table, `width` columns wide (None: as wide as it takes)."""
    known = list(rows)
    return list(lines(columns, lambda: known, width=width, header=header))


def lines(
    columns: Sequence[Column], rows: Callable[[], Iterable[Row]], *, width: int | None = None, header: bool = True
) -> Iterator[str]:
    """The same, a line at a time. It asks for the rows twice, so that they need not all be there at once."""
    shown = [number for number, each in enumerate(columns) if width is None or width >= each.below]
    picked = [columns[number] for number in shown]
    widths = [measure(each.title) if header else 0 for each in picked]
    for row in rows():
        for place, number in enumerate(shown):
            if (length := measure(row[number])) > widths[place]:
                widths[place] = length
    if width is not None:
        _fit(picked, widths, width)
    if header:
        yield _line(picked, widths, [each.title for each in picked])
    for row in rows():
        yield _line(picked, widths, [row[number] for number in shown])


def _fit(columns: Sequence[Column], widths: list[int], width: int) -> None:
    """Makes columns narrower until a line fits: the widest first, of those that may be."""
    excess = sum(widths) + _GAP * (len(widths) - 1) - width
    flexible = [place for place, each in enumerate(columns) if each.name or each.cut]
    while excess > 0 and flexible:
        widest = max(flexible, key=lambda place: widths[place])
        if widths[widest] <= _SHORTEST:
            return
        widths[widest] -= 1
        excess -= 1


def _line(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str]) -> str:
    parts = []
    for column, width, cell in zip(columns, widths, cells, strict=True):
        fitting = cell if measure(cell) <= width else _shortened(cell, width) if column.name else _cut(cell, width)
        padding = " " * (width - measure(fitting))
        parts.append(padding + fitting if column.right else fitting + padding)
    return (" " * _GAP).join(parts).rstrip()


def _shortened(text: str, width: int) -> str:
    """The beginning and, as that is what tells names apart, more of the end."""
    head = (width - 1) // 3
    tail = width - 1 - head
    return f"{text[:head]}…{text[-tail:]}"


def _cut(text: str, width: int) -> str:
    return text[: width - 1] + "…"


def measure(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # noqa: PLC0415

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def terminal_width(stream: TextIO | None) -> int | None:
    """The columns of the terminal that a stream leads to, None where it is no terminal. COLUMNS has the last word."""
    if stream is None or not stream.isatty():
        return None
    with suppress(KeyError, ValueError):
        if (stated := int(os.environ["COLUMNS"])) > 0:
            return stated
    with suppress(ValueError, OSError):
        return os.get_terminal_size(stream.fileno()).columns or 80
    return 80


_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_SIZE = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?\s*([kmgtpe]?)(i?)b?", re.IGNORECASE)


def human_size(size: int) -> str:
    """Bytes in decimal units with three significant digits: `1.23 MB`."""
    scaled = float(size)
    unit = 0
    while scaled >= 999.5 and unit < len(_UNITS) - 1:
        scaled /= 1000
        unit += 1
    return f"{scaled:.3g} {_UNITS[unit]}"


def parse_size(text: str) -> int:
    """Bytes of `200GB`, `1.5GiB` or `4096`. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"invalid size {text!r}: expected a number and a unit, as in 200GB")
    digits = match[2] or ""
    power = " kmgtpe".index(match[3].lower() or " ")
    unit: int = (1024 if match[4] else 1000) ** power
    scale: int = 10 ** len(digits)
    return int(match[1] + digits) * unit // scale


def percent(part: int, whole: int) -> str:
    """`59 %`; less than one percent is not nothing, and more than 99 not all."""
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
    """The verb as it goes with so many: `stay` becomes `stays`, `go` `goes`."""
    if number != 1 or not verb:
        return verb
    return f"{verb}es" if verb.endswith("o") else f"{verb}s"

"""Plain text tables, as docker prints them: three spaces between columns, no lines.

Where the output is not a terminal, a table is complete and always has the same form. On a terminal it fits: columns
that say so are left out below 100 and below 80 columns, and where they would leave little room for names; then names
are shortened in the middle.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TextIO

from ocigc.values import frozen

_BATCH = 1024  # rows
_GAP = 3  # columns
_READABLE = 24  # columns: other columns are left out before names are made shorter than this
_SHORTEST = 3  # columns: nothing is made shorter than this

Row = Sequence[str]


@frozen
class Column:
    """One column. `right` aligns numbers. A terminal narrower than `below` leaves the column out, and so does a wider
    one that has no room for it; the largest `below` goes first. Cells may be shortened in the middle with `name`, and
    at their end with `cut`. With `time` they are RFC 3339, and are shown to the minute on a terminal.
    """

    title: str
    right: bool = False
    below: int = 0
    name: bool = False
    cut: bool = False
    time: bool = False


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

    def cells(row: Row) -> Row:
        return [
            _minute(cell) if width is not None and column.time else cell
            for column, cell in zip(columns, row, strict=True)
        ]

    def each_row() -> Iterable[Row]:
        timed = width is not None and any(each.time for each in columns)
        return map(cells, rows()) if timed else rows()

    widths = [measure(each.title) if header else 0 for each in columns]
    remaining = iter(each_row())
    while batch := list(islice(remaining, _BATCH)):
        widths = list(map(max, widths, map(_widest, zip(*batch, strict=True))))
    shown = list(range(len(columns))) if width is None else _with_room(columns, widths, width)
    picked = [columns[number] for number in shown]
    widths = [widths[number] for number in shown]
    cut = width is not None and _fit(picked, widths, width)
    # Most rows need no more than this.
    template = (" " * _GAP).join(
        f"{{{number}:{'>' if column.right else '<'}{wide}}}"
        for number, column, wide in zip(shown, picked, widths, strict=True)
    )
    if header:
        yield _line(picked, widths, [each.title for each in picked])
    for row in each_row():
        line = template.format(*row)
        plain = not cut and line.isascii()
        yield line.rstrip() if plain else _line(picked, widths, [row[number] for number in shown])


def _widest(cells: Sequence[str]) -> int:
    return max(map(len if "".join(cells).isascii() else measure, cells))


def _minute(text: str) -> str:
    """`2026-11-26 15:04` for what RFC 3339 says in UTC."""
    return f"{text[:10]} {text[11:16]}" if len(text) == 20 and text.endswith("Z") else text


def _with_room(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """The positions of the columns that a terminal has room for."""
    shown = [place for place, each in enumerate(columns) if width >= each.below]
    while optional := [place for place in shown if columns[place].below]:
        least = (min(widths[place], _READABLE) if _flexible(columns[place]) else widths[place] for place in shown)
        if sum(least) + _GAP * (len(shown) - 1) <= width:
            break
        shown.remove(max(optional, key=lambda place: columns[place].below))
    return shown


def _flexible(column: Column) -> bool:
    return column.name or column.cut


def _fit(columns: Sequence[Column], widths: list[int], width: int) -> bool:
    """Makes columns narrower until a line fits, the widest first of those that may be shortened. Returns whether it
    changed any.
    """
    excess = sum(widths) + _GAP * (len(widths) - 1) - width
    flexible = [place for place, each in enumerate(columns) if _flexible(each)]
    before = list(widths)
    while excess > 0 and flexible:
        widest = max(flexible, key=lambda place: widths[place])
        if widths[widest] <= _SHORTEST:
            break
        widths[widest] -= 1
        excess -= 1
    return widths != before


def _line(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str]) -> str:
    parts = []
    for column, width, cell in zip(columns, widths, cells, strict=True):
        fitting, length = cell, measure(cell)
        if length > width:
            fitting = _shortened(cell, width) if column.name else _cut(cell, width)
            length = measure(fitting)
        padding = " " * (width - length)
        parts.append(padding + fitting if column.right else fitting + padding)
    return (" " * _GAP).join(parts).rstrip()


def _shortened(text: str, width: int) -> str:
    """The beginning of a name, and more of its end, as names differ most at the end."""
    head = (width - 1) // 3
    return f"{_first(text, head)}…{_first(text[::-1], width - 1 - head)[::-1]}"


def _cut(text: str, width: int) -> str:
    return _first(text, width - 1) + "…"


def _first(text: str, width: int) -> str:
    """As many characters as so many columns have room for."""
    if text.isascii():
        return text[:width]
    taken = 0
    for place, character in enumerate(text):
        taken += measure(character)
        if taken > width:
            return text[:place]
    return text


def measure(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def terminal_width(stream: TextIO | None) -> int | None:
    """The columns of the terminal that a stream writes to; None if it is not a terminal. COLUMNS takes precedence."""
    if stream is None or not stream.isatty():
        return None
    with suppress(KeyError, ValueError):
        if (stated := int(os.environ["COLUMNS"])) > 0:
            return stated
    with suppress(ValueError, OSError):
        return os.get_terminal_size(stream.fileno()).columns or 80
    return 80

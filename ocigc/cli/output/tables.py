"""Plain text tables, as docker prints them: left-aligned columns, three spaces between, no lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    return columns(lambda: (header, *rows))


def columns(rows: Callable[[], Iterable[Sequence[str]]]) -> Iterator[str]:
    """The same without a header. Asks for the rows twice, so that they need not all be there at once."""
    widths: list[int] = []
    for row in rows():
        widths = list(map(max, widths, map(len, row))) if widths else list(map(len, row))
    for row in rows():
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "   ".join(cells).rstrip()


_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_SIZE = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?\s*([kmgtpe]?)(i?)b?", re.IGNORECASE)


def human_size(size: int) -> str:
    """Bytes in decimal units with four significant digits: `1.234MB`."""
    scaled = float(size)
    unit = 0
    while scaled >= 1000 and unit < len(_UNITS) - 1:
        scaled /= 1000
        unit += 1
    return f"{scaled:.4g}{_UNITS[unit]}"


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

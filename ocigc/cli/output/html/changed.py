"""What the page says of the difference to an earlier report."""

from __future__ import annotations

from ocigc.cli.output.html.words import TOLD, as_day, as_text
from ocigc.cli.output.report_json import Circumstances
from ocigc.cli.output.words import human_size
from ocigc.inspect.compare import Change, Changes
from ocigc.reference import familiar_name
from ocigc.times import format_rfc3339


def changed(changes: Changes | None, made: Circumstances) -> str:
    """What is different since an earlier report; empty where none was given."""
    if changes is None:
        return ""
    since = changes.since
    other = "" if since.path == made.path else f" of <bdi>{as_text(since.path)}</bdi>"
    counts = ", ".join(
        f"{len(each):,} {what}"
        for each, what in ((changes.added, "new"), (changes.removed, "gone"), (changes.moved, "moved to other content"))
    )
    parts = [
        f'<section id="changes" class="long" aria-labelledby="changes-title"><div class="title">'
        f'<h2 id="changes-title">Since {as_day(since.time)}</h2></div>'
        f"<p>Compared with the report{other} of {format_rfc3339(since.time)}: {human_size(since.size)} then, "
        f"{human_size(since.size + changes.grown)} now; images: {counts}.</p>"
    ]
    tables = []
    if changes.repositories:
        rows = "".join(
            f'<tr><td class="name" data-label="Repository">{as_text(name) or "without a repository"}</td>'
            f'<td class="number {"plus" if by > 0 else "minus"}" data-label="Grown by">{_signed(by)}</td></tr>'
            for name, by in changes.repositories[:TOLD]
        )
        tables.append(_table(("Repository", "Grown by"), rows, len(changes.repositories)))
    lists = [("new", changes.added), ("gone", changes.removed), ("moved", changes.moved)]
    told = [(what, change) for what, each in lists for change in each]
    told.sort(key=lambda one: -one[1].weight)
    if told:
        rows = "".join(_row(what, change) for what, change in told[:TOLD])
        tables.append(_table(("Image", "", "Then", "Now"), rows, len(told)))
    parts.append(f'<div class="pair">{"".join(tables)}</div>')
    return "".join(parts) + "</section>"


def _signed(size: int) -> str:
    return f"{'+' if size > 0 else chr(0x2212)}{human_size(abs(size))}"


def _table(heads: tuple[str, ...], rows: str, there: int) -> str:
    numbers = ("Grown by", "Then", "Now")
    head = "".join(
        f'<th scope="col"{" class=number" if title in numbers else ""}>{title or "Change"}</th>' for title in heads
    )
    more = f'<p class="help">and {there - TOLD:,} more</p>' if there > TOLD else ""
    return f'<div><table class="cards"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}</div>'


def _row(what: str, change: Change) -> str:
    familiar = familiar_name(change.name)
    name = f"{change.layout}: {familiar}" if change.layout else familiar
    look = {"new": "more", "gone": "less", "moved": ""}[what]
    sizes = "".join(
        f'<td class="number" data-label="{label}">{"" if size is None else human_size(size)}</td>'
        for label, size in (("Then", change.before), ("Now", change.after))
    )
    return (
        f'<tr><td class="name" data-label="Image">{as_text(name)}</td>'
        f'<td data-label="Change"><span class="badge {look}">{what}</span></td>{sizes}</tr>'
    )

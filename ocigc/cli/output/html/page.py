"""A store as one web page that needs nothing else: no network, no server, no build."""

from __future__ import annotations

import base64
import hashlib
import html
from dataclasses import replace
from importlib import resources
from string import Template

from ocigc.cli.output.html import headline
from ocigc.cli.output.html.growth_chart import history_until
from ocigc.cli.output.html.headline import TOLD, as_day, as_text
from ocigc.cli.output.html.page_data import document
from ocigc.cli.output.report_json import Circumstances
from ocigc.cli.output.words import human_size
from ocigc.errors import printable
from ocigc.inspect.compare import Change, Changes
from ocigc.inspect.growth import Fit
from ocigc.inspect.overview_values import Overview
from ocigc.reference import familiar_name
from ocigc.times import format_rfc3339

BEGINNING = b"<!doctype html>\n<!-- ocigc report -->\n"
"""The first bytes of every such page."""

_LIBRARIES = ("d3.min.js", "uPlot.min.js")
_SCRIPTS = (
    "values.js",
    "store.js",
    "whatif.js",
    "tree.js",
    "treemap.js",
    "growth.js",
    "ages.js",
    "tables.js",
    "panel.js",
    "page.js",
)


def as_page(overview: Overview, made: Circumstances, fit: Fit | None, changes: Changes | None) -> bytes:
    """The page. `changes` are those since an earlier report, None where none was given."""
    overview = replace(overview, units=list(overview.units), groups=list(overview.groups))  # asked for many times
    style = _asset("vendor", "uPlot.min.css") + _asset("static", "page.css")
    libraries = "".join(_asset("vendor", name) for name in _LIBRARIES)
    script = f"(() => {{\n{libraries}\n{''.join(_asset('static', name) for name in _SCRIPTS)}}})();\n"
    points = len(history_until(overview, made.now))
    page = Template(_asset("static", "page.html")).substitute(
        csp=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        data=document(overview, made, fit),
        version=html.escape(made.version),
        layout=html.escape(printable(made.layout)),
        host=html.escape(printable(made.host)),
        made=format_rfc3339(made.now),
        made_words=format_rfc3339(made.now).replace("T", " ").replace("Z", " UTC"),
        lead=headline.lead(overview, made),
        stored=headline.stored(overview, changes),
        frees=headline.frees(overview),
        health=headline.health(overview, made.now),
        health_look="bad" if not overview.health.sound else "good" if overview.health.verified is not None else "",
        findings=headline.findings(overview, made),
        changes=changed(changes, made),
        growth=headline.growth(overview, fit, points),
        growth_table="" if points > 1 else "hidden",
        about=headline.about(overview, made, len(overview.history)),
    )
    return BEGINNING + page.encode()


def _asset(folder: str, name: str) -> str:
    return resources.files("ocigc.cli.output.html").joinpath(folder, name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The hash by which the page's policy allows an inline part: a script that a name smuggled in would not run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def changed(changes: Changes | None, made: Circumstances) -> str:
    """What has changed since an earlier report; empty where none was given."""
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

"""A store as one web page that needs nothing else: no network, no server, no build."""

from __future__ import annotations

import base64
import hashlib
import html
from importlib import resources
from string import Template

from ocigc.cli.output.html import words
from ocigc.cli.output.html.changed import changed
from ocigc.cli.output.html.document import document
from ocigc.cli.output.html.growth_chart import history_until
from ocigc.cli.output.report_json import Circumstances
from ocigc.errors import printable
from ocigc.inspect.compare import Changes
from ocigc.inspect.growth import Fit
from ocigc.inspect.summary import Overview
from ocigc.times import format_rfc3339

MARK = b"<!doctype html>\n<!-- ocigc report -->\n"
"""How every such page begins."""

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
        lead=words.lead(overview, made),
        stored=words.stored(overview, changes),
        frees=words.frees(overview),
        health=words.health(overview, made.now),
        health_look="bad" if not overview.health.sound else "good" if overview.health.verified is not None else "",
        findings=words.findings(overview, made),
        changes=changed(changes, made),
        growth=words.growth(overview, fit, points),
        growth_table="" if points > 1 else "hidden",
        about=words.about(overview, made, len(overview.history)),
    )
    return MARK + page.encode()


def _asset(folder: str, name: str) -> str:
    return resources.files("ocigc.cli.output.html").joinpath(folder, name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What the page's policy knows an inline part by: what a name could smuggle in would not run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

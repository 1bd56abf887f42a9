"""A layout as one web page that needs nothing else: no network, no server, no build."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator
from importlib import resources
from string import Template

from ocigc.cli.output.tables import human_size
from ocigc.image import Media
from ocigc.inspect.summary import Blob, Bundle, Freed, ImageSummary, Overview, WouldGo
from ocigc.printable import printable
from ocigc.times import SECOND, format_rfc3339

MARK = b"<!doctype html>\n<!-- ocigc report -->\n"
"""How every such page begins."""

_SCRIPTS = ("values.js", "squarify.js", "tree.js", "treemap.js", "ages.js", "images.js", "page.js")
_KINDS = {Media.MANIFEST: "manifest", Media.INDEX: "index", Media.CONFIG: "config", None: "blob"}
_DIGEST = 12  # hex digits of a blob's digest: the full ones would be most of the page


def as_page(overview: Overview, layout: str, now: int) -> bytes:
    """The page. `layout` is how the user names it, `now` an instant."""
    style = _asset("page.css")
    script = "(() => {\n" + "".join(map(_asset, _SCRIPTS)) + "})();\n"
    shown = printable(layout)
    page = Template(_asset("page.html")).substitute(
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        data=_inert(json.dumps(_document(overview, shown, now), separators=(",", ":"))),
        layout=html.escape(shown),
        made=format_rfc3339(now),
        images=f"{len(overview.images):,}",
        blobs=f"{overview.blobs:,}",
        size=human_size(overview.size),
    )
    return MARK + page.encode()


def _asset(name: str) -> str:
    return resources.files("ocigc.cli.output.html").joinpath("static", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What the page's policy knows an inline part by: what a name could smuggle in would not run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _inert(text: str) -> str:
    """JSON in which a parser of HTML finds no tag, no comment and no entity."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _document(overview: Overview, layout: str, now: int) -> dict[str, object]:
    """What `page/values.js` reads."""
    return {
        "layout": layout,
        "now": now // SECOND,
        "blobs": overview.blobs,
        "size": overview.size,
        "prune": _freed(overview.prune),
        "pruneAll": _freed(overview.prune_all),
        "images": [_image(entry) for entry in overview.images],
        "places": [
            [None if place.repository is None else printable(place.repository), place.target, _bundle(bundle)]
            for place, bundle in overview.places.items()
        ],
        "others": _bundle(overview.others),
    }


def _freed(freed: Freed) -> list[int]:
    return [freed.images, freed.blobs, freed.bytes]


def _fate(fate: WouldGo) -> int:
    return fate.prune + 2 * fate.prune_all


def _image(entry: ImageSummary) -> list[object]:
    image = entry.usage.image
    return [
        "" if image.dangling else printable(image.familiar),
        image.target.digest,
        printable(entry.repository),
        None if image.created is None else image.created // SECOND,
        entry.usage.size,
        entry.usage.unique,
        [state for state, holds in _states(entry) if holds],
        _fate(entry.fate),
    ]


def _states(entry: ImageSummary) -> Iterator[tuple[str, bool]]:
    yield "dangling", entry.usage.dangling
    yield "referrer", entry.usage.referrer
    yield "in use", entry.usage.in_use
    yield "leased", entry.usage.leased


def _bundle(bundle: Bundle) -> list[object]:
    return [
        [_blob(blob) for blob in bundle.largest],
        [[count, size, _fate(fate)] for fate, (count, size) in bundle.rest.items()],
    ]


def _blob(blob: Blob) -> list[object]:
    algorithm, encoded = blob.digest.parts
    return [f"{algorithm}:{encoded[:_DIGEST]}", blob.size, _KINDS.get(blob.media, "layer"), _fate(blob.fate)]

"""What the page says before any script runs: its first sentence, the tiles, what is wrong, and how it was made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from ocigc.cli.output.report_json import Circumstances
from ocigc.cli.output.words import human_size
from ocigc.errors import printable
from ocigc.inspect.compare import Changes
from ocigc.inspect.growth import DAY, Fit
from ocigc.inspect.health import Health
from ocigc.inspect.overview_values import Overview
from ocigc.times import format_rfc3339

TOLD = 12
"""Lines of one list."""
_NAME = 300  # characters; no reference is longer, and what is longer is cut in the middle


def _size(size: float) -> str:
    return f"<strong>{human_size(round(size))}</strong>"


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole if whole else 0
    return "<1 %" if 0 < share < 1 else f"{share:.0f} %"


def as_text(text: str) -> str:
    """A text from outside, for HTML."""
    return escape(printable(text))


def shown(name: str) -> str:
    """A name with special characters escaped, and cut in the middle where it is too long."""
    shown = printable(name)
    return shown if len(shown) <= _NAME else f"{shown[: _NAME // 2]}\u2026{shown[-_NAME // 2 :]}"


def as_day(instant: int) -> str:
    """The date of an instant."""
    return format_rfc3339(instant)[:10]


def ago(instant: int, now: int) -> str:
    """How long ago, in the largest unit that fits."""
    days = max(now - instant, 0) // DAY
    if days < 1:
        return "today"
    if days < 60:
        return f"{_count(days, 'day')} ago"
    return f"{_count(days // 30, 'month')} ago" if days < 730 else f"{_count(days // 365, 'year')} ago"


def lead(overview: Overview, made: Circumstances) -> str:
    """The first sentence."""
    if not overview.blobs and not overview.images:
        return "The store is empty: it has no image and no blob."
    what = f"{_size(overview.size)} in {_count(len(overview.images), 'image')}"
    if made.recursive:
        what += f" of {_count(len(made.layouts), 'layout')}"
    return f"This store has {what}. {_would_free(overview, made)} {_verified(overview, made.now)}"


def _would_free(overview: Overview, made: Circumstances) -> str:
    if overview.health.refused:
        return "A prune would be refused, because something is damaged."
    now, everything = overview.prune.bytes, overview.prune_all.bytes
    if not everything:
        return "A prune would free nothing, not even with --all."
    some = f"A prune would free {_size(now)} ({_percent(now, overview.size)})" if now else "A prune would free nothing"
    link = " and " if now else ", "
    said = f"{some}{link}<code>prune --all</code> {_size(everything)} ({_percent(everything, overview.size)})."
    return (
        said if made.in_use else f"{said} No list of what is in use was given, so --all treats every image as unused."
    )


def _verified(overview: Overview, now: int) -> str:
    health = overview.health
    if not health.sound:
        return f"<strong>{_trouble(overview)}.</strong>"
    if health.verified is None:
        return "It has never been verified, as far as its history says."
    return f"It was verified {ago(health.verified, now)} and is sound."


def _trouble(overview: Overview) -> str:
    health = overview.health
    counts = (
        (health.corrupt, "corrupt blob"),
        (len(health.damaged), "damaged manifest"),
        (health.incomplete, "incomplete image"),
    )
    found = [_count(number, what) for number, what in counts if number]
    return ", ".join(found) or "Something is damaged"


def stored(overview: Overview, changes: Changes | None) -> str:
    """The first tile."""
    where = _count(len(overview.repositories), "repository", "repositories")
    images, blobs = _count(len(overview.images), "image"), _count(overview.blobs, "blob")
    lines = [f"<b>{images}</b> in {where}, <b>{blobs}</b>"]
    if overview.on_disk < overview.size:
        lines.append(f"{human_size(overview.on_disk)} on the disk: some blobs are hard-linked")
    if overview.leftovers:
        lines.append(
            f"Leftovers of other tools: {_count(overview.leftovers, 'file')}, {human_size(overview.leftovers_size)}, "
            f"of which a prune frees {human_size(overview.leftovers_freed)}"
        )
    meter = ""
    if (disk := overview.disk) is not None:
        lines.append(f"Its disk has {human_size(disk.free)} free of {human_size(disk.total)}")
        used = max(disk.total - disk.free - overview.on_disk, 0)
        parts = (("stays", overview.on_disk), ("other", used))
        meter = _meter(parts, disk.total, "this store, all else, and what is free on its disk")
    return _tile("Stored", human_size(overview.size), lines, meter, changes)


def frees(overview: Overview) -> str:
    """The second tile."""
    if overview.health.refused:
        lines = ["A prune would be refused until the damage is repaired, or the damaged images are removed"]
        return _tile("Would free", "nothing", lines, "")
    now, everything = overview.prune, overview.prune_all
    lines = [
        f"now, by <b>prune</b>: {_count(now.images, 'image')}, {_count(now.blobs, 'blob')}",
        f"<b>{human_size(everything.bytes)}</b> with <b>--all</b>: {_count(everything.images, 'image')}, "
        f"{_count(everything.blobs, 'blob')}",
    ]
    more = max(everything.bytes - now.bytes, 0)
    parts = (("goes", now.bytes), ("goes-all", more), ("stays", max(overview.size - now.bytes - more, 0)))
    meter = _meter(parts, overview.size, "what would go, and what stays")
    return _tile("Would free", human_size(now.bytes), lines, meter)


def health(overview: Overview, now: int) -> str:
    """The third tile."""
    found = overview.health
    figure = _condition(overview.health)
    lines = []
    if found.verified is None:
        lines.append("No run of <b>ocigc verify</b> is in its history")
    else:
        lines.append(f"Verified <b>{ago(found.verified, now)}</b> ({as_day(found.verified)})")
    lines.append(f"{found.corrupt:,} corrupt, {len(found.damaged):,} damaged, {found.incomplete:,} incomplete")
    if found.runs:
        lines.append(f"Trash: <b>{human_size(found.trashed)}</b> of {_count(found.runs, 'run')}, to be restored")
    else:
        lines.append("The trash is empty")
    return _tile("Health", figure, lines, "")


def _condition(found: Health) -> str:
    if found.corrupt or found.damaged:
        return "Damaged"
    if found.incomplete:
        return "Incomplete"
    if found.refused:
        return "Would be refused"
    return "Sound" if found.verified is not None else "Not verified"


def _tile(title: str, figure: str, lines: list[str], meter: str, changes: Changes | None = None) -> str:
    delta = ""
    if changes is not None:
        grown = changes.grown
        look, sign = ("more", "+") if grown > 0 else ("less", "\u2212" if grown < 0 else "\u00b1")
        delta = f'<p class="delta {look}">{sign}{human_size(abs(grown))} since {as_day(changes.since.time)}</p>'
    said = "".join(f"<p>{line}</p>" for line in lines)
    return f'<h2>{title}</h2><p class="figure">{figure}</p>{delta}{meter}{said}'


def _meter(parts: Iterable[tuple[str, int]], whole: int, label: str) -> str:
    # The policy of the page allows no style in an attribute: an SVG needs none.
    if whole <= 0:
        return ""
    at = 0.0
    drawn = []
    for look, size in parts:
        width = 100 * size / whole
        drawn.append(f'<rect class="fill-{look}" x="{at:.3f}" y="0" width="{width:.3f}" height="1"></rect>')
        at += width
    return (
        f'<svg class="meter" role="img" aria-label="{label}" viewBox="0 0 100 1" preserveAspectRatio="none">'
        f"{''.join(drawn)}</svg>"
    )


def findings(overview: Overview, made: Circumstances) -> str:
    """What is wrong; empty where nothing is."""
    lines = [f"Not read: {error}" for error in made.errors]
    if overview.health.refused:
        lines.append(f"A prune would be refused: {overview.health.refused}")
    troubled = {number: unit.troubles for number, unit in enumerate(overview.units) if unit.troubles}
    for image in overview.images if troubled else ():
        if image.unit in troubled:
            troubles = troubled[image.unit]
            where = f"{image.layout}: " if image.layout else ""
            lines.append(f"{where}{image.usage.image.familiar}: {troubles[0]}")
    if not lines:
        return ""
    more = f"<li>and {len(lines) - TOLD:,} more: the table of images has them</li>" if len(lines) > TOLD else ""
    told = "".join(f"<li>{as_text(line)}</li>" for line in dict.fromkeys(lines[:TOLD]))
    return f'<div class="alert" role="note" id="findings"><h2>What is wrong</h2><ul>{told}{more}</ul></div>'


def growth(overview: Overview, fit: Fit | None, points: int) -> str:
    """What the history says, in a sentence or two."""
    if points < 2:
        return (
            "There is no history yet: each run that changes or verifies the store adds a line to "
            "<code>.ocigc/history.jsonl</code>."
        )
    if fit is None:
        return "Too few points, or too short a time, to say how fast it grows."
    if abs(fit.slope) < max(overview.size * 1e-5, 1):
        return f"It has hardly changed since {as_day(fit.since)} ({fit.points:,} points)."
    how = "grows" if fit.slope > 0 else "shrinks"
    line = f"a straight line through {fit.points:,} points since {as_day(fit.since)}"
    said = f"It {how} by about {_size(abs(fit.slope))} a day ({line})."
    if overview.disk is None or fit.slope <= 0:
        return said
    disk = f"its disk of {human_size(overview.disk.total)}, with {human_size(overview.disk.free)} free,"
    if fit.full is None:
        return f"{said} At that rate {disk} lasts for more than ten years."
    return f"{said} At that rate {disk} is full around <strong>{as_day(fit.full)}</strong>: an estimate."


def about(overview: Overview, made: Circumstances, points: int) -> str:
    """Where the page comes from, as terms and their descriptions."""
    return "".join(f"<dt>{term}</dt><dd>{fact}</dd>" for term, fact in _circumstances(overview, made, points))


def _circumstances(overview: Overview, made: Circumstances, points: int) -> Iterator[tuple[str, str]]:
    yield "Tool", f"ocigc {as_text(made.version)}"
    yield "Store", f"<code>{as_text(made.path)}</code>"
    yield "Host", as_text(made.host)
    yield "Made", format_rfc3339(made.now)
    if made.recursive:
        yield "Layouts", f"{len(made.layouts):,} read, {len(made.errors):,} not read"
    used = ", ".join("standard input" if name == "-" else as_text(name) for name in made.in_use)
    yield "In use", used or "no list was given (<code>--in-use</code>)"
    if made.mirrors:
        yield "Mirrors", as_text(", ".join(made.mirrors))
    yield "Rules", as_text(made.rules)
    if made.repository:
        yield "Repository", as_text(made.repository)
    policy = f"<pre>{_lines(overview.policy)}</pre>" if overview.policy else "no ocigc.toml in the store"
    yield "Policy", policy
    yield "History", f"{_count(points, 'point')} in .ocigc/history.jsonl" if points else "none"
    yield (
        "Libraries",
        "d3-hierarchy, d3-scale and d3-shape (ISC), uPlot (MIT): all in this file, which loads nothing from anywhere",
    )


def _lines(text: str) -> str:
    return "\n".join(as_text(line) for line in text.splitlines())

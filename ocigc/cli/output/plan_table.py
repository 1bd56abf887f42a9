"""What a prune would do, or did, for a person: what goes, how much that frees, and how to undo it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ocigc.cli.output.tables import Column, table, terminal_width
from ocigc.cli.output.words import age, agree, count, human_size, percent
from ocigc.errors import printable
from ocigc.inspect.plan_summary import Loss, PlanSummary
from ocigc.pruning.prune_options import PruneOptions
from ocigc.times import SECOND, format_rfc3339, nanoseconds
from ocigc.values import frozen, replace

if TYPE_CHECKING:
    from ocigc.gc.explain import Explanation

SHOWN = 20
"""How many images are listed, and how many repositories and layouts."""

_LEFTOVERS_SHOWN = 3

_LAYOUT = Column("LAYOUT", name=True)
_LOSSES = (
    Column("IMAGE", name=True),
    Column("AGE", right=True),
    Column("SIZE", right=True, below=80),
    Column("FREES", right=True),
    Column("WHY", cut=True),
)
_LOSSES_IN_TREE = tuple(replace(each, below=100) if each.title == "SIZE" else each for each in _LOSSES)
_REPOSITORIES = (Column("REPOSITORY", name=True), Column("IMAGES", right=True), Column("FREES", right=True))
_LAYOUTS = (
    _LAYOUT,
    Column("GO", right=True),
    Column("STAY", right=True),
    Column("ORPHANS", right=True, below=80),
    Column("FREES", right=True),
)
_EXPLANATIONS = (
    Column("IMAGE", name=True),
    Column("DIGEST", below=100),
    Column("DECISION"),
    Column("RULE", cut=True),
)


@frozen
class Context:
    """The run that a plan belongs to. `path` is as the user gave it. `now`, and `expires` of the trash, are instants.
    `width` is that of the terminal; None if there is none.
    """

    path: str
    now: int
    expires: int | None
    recursive: bool
    width: int | None


def context(path: str, wanted: PruneOptions, *, recursive: bool = False) -> Context:
    """The context of a run with these options."""
    now = wanted.request.now
    expires = None if wanted.trash is None else now + nanoseconds(wanted.trash)
    return Context(path, now, expires, recursive, terminal_width(sys.stdout))


def plan_lines(summary: PlanSummary, run: Context, *, dry_run: bool, first: Iterable[str] = ()) -> Iterator[str]:
    """The plan, before it is carried out; below its title come the `first` lines."""
    if summary.empty:
        yield from _in_grace(summary)
        yield _nothing(summary, run)
        return
    yield f"Plan for {printable(run.path)}{', a dry run' if dry_run else ''}:"
    yield from first
    yield from _details(summary, run)
    frees = summary.frees
    if run.expires is None:
        yield _total("Frees", frees + summary.leftover_bytes, "go", summary, run)
    else:
        yield _total("Moves", frees, "go", summary, run)
    if (linked := summary.bytes - frees) > 0:
        yield f"{human_size(linked)} more are freed only when other names of the files (hard links) go, too."
    if run.expires is not None:
        yield f"The trash keeps them until {format_rfc3339(run.expires)}; the next prune after that frees the space."


def done_lines(
    summary: PlanSummary, run: Context, *, size: int, kept: int, shown: bool, first: Iterable[str] = ()
) -> Iterator[str]:
    """What was done: `size` bytes that went, `kept` blobs that came into use meanwhile, and how to undo it. The plan
    comes before it unless it was `shown`.
    """
    if summary.empty:
        yield from _in_grace(summary)
        yield _nothing(summary, run)
        return
    if not shown:
        yield f"Removed from {printable(run.path)}:"
        yield from first
        yield from _details(summary, run)
    if kept:
        yield f"{count(kept, 'blob')} came into use meanwhile and were kept."
    if run.expires is None:
        yield _total("Freed", size, "", summary, run)
    else:
        yield _total("Moved", size, "", summary, run)
        from shlex import quote

        restore = f"ocigc restore {'--recursive ' if run.recursive else ''}{quote(run.path)}"
        yield f"To undo it until {format_rfc3339(run.expires)}: {restore}"


def _nothing(summary: PlanSummary, run: Context) -> str:
    return f"{printable(run.path)}: nothing to remove; {count(summary.staying, 'image', 'stay')}."


def _details(summary: PlanSummary, run: Context) -> Iterator[str]:
    """A table of images, a line for each other kind of thing."""
    yield ""
    yield from _images(summary, run)
    if summary.orphans:
        yield f"Orphans: {count(summary.orphans, 'blob')}, {human_size(summary.orphan_bytes)}, that nothing refers to."
    if summary.leftovers:
        names = printable(", ".join(summary.leftovers[:_LEFTOVERS_SHOWN]))
        more = ", …" if len(summary.leftovers) > _LEFTOVERS_SHOWN else ""
        size = human_size(summary.leftover_bytes)
        yield f"Leftovers: {count(len(summary.leftovers), 'file')}, {size}, left by other tools: {names}{more}"
    yield from _in_grace(summary)
    if summary.labels:
        yield f"Labels: {count(summary.labels, 'snapshot label')} of configs that no image has any more."
    if summary.renamed:
        yield f"Names: {count(summary.renamed, 'image', 'lose')} a name and {agree(summary.renamed, 'keep')} others."
    if summary.unnamed:
        yield f"In use: {count(summary.unnamed, 'image', 'stay')} without their name."


def _in_grace(summary: PlanSummary) -> Iterator[str]:
    if summary.in_grace:
        yield f"In grace: {count(summary.in_grace, 'orphan', 'stay')}, younger than --grace."


def _total(verb: str, size: int, what: str, summary: PlanSummary, run: Context) -> str:
    """`Frees 1.34 GB of 2.27 GB (59 %): 347 images go, 142 stay.`"""
    whole = summary.disk
    share = human_size(size) if whole is None else f"{human_size(size)} of {human_size(whole)} ({percent(size, whole)})"
    to_trash = "" if run.expires is None else " to the trash"
    images = count(summary.images - summary.unnamed, "image", what)
    images += "" if what else " removed"
    if referrers := summary.images - summary.count:
        images += f" ({referrers:,} of them referrers)"
    return f"{verb} {share}{to_trash}: {images}, {count(summary.staying, '', 'stay')}."


def _images(summary: PlanSummary, run: Context) -> Iterator[str]:
    shown = summary.losses
    if not summary.count:
        return
    if run.recursive and not all(_says_where(loss) for loss in shown):
        lines = ((loss.layout, number, row) for loss in shown for number, row in enumerate(_rows(loss, run.now)))
        rows = [("" if number else layout, *row) for layout, number, row in lines]
        yield from table((_LAYOUT, *_LOSSES_IN_TREE), rows, width=run.width)
    else:
        yield from table(_LOSSES, [row for loss in shown for row in _rows(loss, run.now)], width=run.width)
    if (more := summary.count - len(shown)) > 0:
        yield f"… and {more:,} more (-v lists all)"
    yield ""
    if more > SHOWN and len(summary.repositories) > 1:
        yield from _by_repository(summary, run)
        yield ""


def _says_where(loss: Loss) -> bool:
    """Whether the name of an image says which layout it is in, as where repositories are paths."""
    return bool(loss.layout) and f"/{loss.name}".rpartition(":")[0].endswith(f"/{loss.layout}")


def _rows(loss: Loss, now: int) -> Iterator[tuple[str, ...]]:
    name = printable(loss.name) or f"<none>@{loss.digest.short}"
    old = "" if loss.created is None else age((now - loss.created) // SECOND)
    yield name, old, human_size(loss.size), human_size(loss.frees), printable(loss.why)
    number, frees = loss.referrers
    if number:
        yield f"  + {count(number, 'referrer')}", "", "", human_size(frees), "with their image"


def _by_repository(summary: PlanSummary, run: Context) -> Iterator[str]:
    ordered = sorted(summary.repositories.items(), key=lambda item: (-item[1][1], item[0]))
    rows = [(printable(name) or "<none>", f"{images:,}", human_size(frees)) for name, (images, frees) in ordered]
    yield from table(_REPOSITORIES, rows[:SHOWN], width=run.width)
    if len(rows) > SHOWN:
        yield f"… and {len(rows) - SHOWN:,} more"


def layout_lines(
    summaries: Sequence[tuple[str, PlanSummary, int]], run: Context, most: int | None = None
) -> Iterator[str]:
    """A line per layout, with its path and what it frees; if there are many, only for those that free the most."""
    more = 0 if most is None else max(0, len(summaries) - most)
    if more:
        largest = sorted(range(len(summaries)), key=lambda place: (-summaries[place][2], place))[:most]
        summaries = [summaries[place] for place in sorted(largest)]
    rows = [
        (name, f"{each.images - each.unnamed:,}", f"{each.staying:,}", f"{each.orphans:,}", human_size(frees))
        for name, each, frees in summaries
    ]
    yield from table(_LAYOUTS, rows, width=run.width)
    if more:
        yield f"… and {more:,} more (-v lists all)"


def explanation_lines(explained: Iterable[tuple[str, Explanation]], width: int | None) -> list[str]:
    """A line per image: the rule that kept or took it. Each comes with its layout, empty if there is only one."""
    rows = []
    for layout, each in explained:
        image = each.image
        name = "<none>" if image.dangling else printable(image.familiar)
        by = f" ({printable(each.by)})" if each.by else ""
        rows.append((layout, name, image.target.digest.short, each.decision.value, each.rule + by))
    if any(row[0] for row in rows):
        return table((Column("LAYOUT", name=True, below=80), *_EXPLANATIONS), rows, width=width)
    return table(_EXPLANATIONS, [row[1:] for row in rows], width=width)

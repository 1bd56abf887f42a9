"""`ocigc ls`: the images of layouts and their sizes."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import compress
from itertools import count as counter
from operator import attrgetter
from typing import TYPE_CHECKING

from ocigc.cli import in_use_files, options, several, targets
from ocigc.cli.command import Command, OptionGroup
from ocigc.cli.output import listing
from ocigc.cli.output.listing import Field, Predicate
from ocigc.cli.output.tables import Column, terminal_width
from ocigc.cli.output.words import age_of, count, full_date, human_size, media_words, short_date
from ocigc.errors import UsageError, printable
from ocigc.gc.in_use import InUse
from ocigc.inspect.usage import Usage, images
from ocigc.layout.layout import Layout
from ocigc.progress import Watcher
from ocigc.reference import familiar_name
from ocigc.sequences import Joined, Mapped
from ocigc.strict_json import json_pieces
from ocigc.times import SECOND, format_rfc3339
from ocigc.values import frozen, replace

if TYPE_CHECKING:
    from ocigc.cluster.trees import Spread
    from ocigc.layout.discover import Found


_WIDE = 100  # columns


@frozen
class Row:
    """An image, and the layout that it is in."""

    layout: str
    usage: Usage

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it is found by: in full and in their familiar form."""
        image = self.usage.image
        return () if image.dangling else (*image.names, *image.familiar_names)

    @property
    def states(self) -> list[str]:
        """Its states, as the STATE column shows them."""
        return list(compress(_STATES, _holds(self.usage)))


_STATES = ("dangling", "referrer", "orphaned", "in use", "leased", "damaged", "incomplete")
_holds = attrgetter("dangling", "referrer", "orphaned", "in_use", "leased", "damaged", "missing")


def _name(listed: Row) -> str:
    image = listed.usage.image
    return "<none>" if image.dangling else printable(", ".join(map(familiar_name, image.names)))


def _short_name(listed: Row) -> str:
    """The same on a terminal, which may have no room for the digest."""
    narrow = (terminal_width(sys.stdout) or _WIDE) < _WIDE
    return _name_or_digest(listed) if narrow else _name(listed)


def _name_or_digest(listed: Row) -> str:
    image = listed.usage.image
    return f"<none>@{image.target.digest.short}" if image.dangling else _name(listed)


def _age(listed: Row) -> str:
    return age_of(listed.usage.image.created, time.time_ns())


FIELDS: dict[str, Field[Row]] = {
    "layout": Field(Column("LAYOUT", name=True), lambda each: each.layout, lambda each: each.layout),
    "image": Field(Column("IMAGE", name=True), _name, lambda each: each.usage.image.sort_key, _short_name),
    "digest": Field(
        Column("DIGEST", below=_WIDE),
        lambda each: each.usage.image.target.digest,
        lambda each: each.usage.image.target.digest,
        lambda each: each.usage.image.target.digest.short,
    ),
    "type": Field(
        Column("TYPE", below=80),
        lambda each: printable(each.usage.image.target.media_type),
        lambda each: each.usage.image.target.media_type,
        lambda each: printable(media_words(each.usage.image.target.media_type)),
    ),
    "created": Field(
        Column("CREATED", below=80),
        lambda each: full_date(each.usage.image.created),
        lambda each: each.usage.image.created or 0,
        lambda each: short_date(each.usage.image.created),
        falling=True,
    ),
    "age": Field(Column("AGE", right=True), _age, lambda each: each.usage.image.created or 0),
    "size": Field(
        Column("SIZE", right=True), lambda each: human_size(each.usage.size), lambda each: each.usage.size, falling=True
    ),
    "shared": Field(
        Column("SHARED", right=True, below=100),
        lambda each: human_size(each.usage.shared),
        lambda each: each.usage.shared,
        falling=True,
    ),
    "unique": Field(
        Column("UNIQUE", right=True),
        lambda each: human_size(each.usage.unique),
        lambda each: each.usage.unique,
        falling=True,
    ),
    "state": Field(Column("STATE"), lambda each: ", ".join(each.states), lambda each: each.states),
}
DEFAULT = ("image", "digest", "created", "size", "shared", "unique", "state")


def _older(text: str) -> Predicate[Row]:
    now = time.time_ns()
    local_offset = time.localtime(now // SECOND).tm_gmtoff
    from ocigc.gc.filters import parse_filters

    (limit,) = parse_filters([f"until={text}"], prune_all=True, now=now, local_offset=local_offset).until
    return lambda each: each.usage.image.created is not None and each.usage.image.created < limit


FILTERS: dict[str, Callable[[str], Predicate[Row]]] = {
    "reference": listing.pattern(lambda each: each.names),
    "dangling": listing.boolean(lambda each: each.usage.dangling),
    "referrer": listing.boolean(lambda each: each.usage.referrer),
    "orphaned": listing.boolean(lambda each: each.usage.orphaned),
    "in-use": listing.boolean(lambda each: each.usage.in_use),
    "leased": listing.boolean(lambda each: each.usage.leased),
    "damaged": listing.boolean(lambda each: each.usage.damaged),
    "incomplete": listing.boolean(lambda each: bool(each.usage.missing)),
    "until": _older,
    "larger": listing.larger(lambda each: each.usage.size),
}


@frozen
class ListImages:
    """Lists the images of a layout of a tree; the repository is a prefix for its path."""

    in_use: InUse
    repository: str | None
    wait: int

    def __call__(self, layout: Layout, found: Found, watch: Watcher) -> Sequence[Usage]:
        repository = found.repository(self.repository, watch.note)
        return images(layout, in_use=self.in_use, repository=repository, wait=self.wait, watch=watch)


def _rows(layouts: Sequence[tuple[str, Sequence[Usage]]]) -> Sequence[Row]:
    return Joined([Mapped(partial(Row, name), usages) for name, usages in layouts])


def _spread(work: ListImages) -> Spread[Sequence[Usage]]:
    from ocigc.cluster.trees import same

    return same(work, Sequence[Usage])


def run(args: argparse.Namespace) -> int:
    """Lists the given layouts, or a tree of them."""
    in_use = in_use_files.read(args)
    wanted = listing.parse_filters(args.filter, FILTERS)
    listing.check_columns(args, FIELDS)
    wait = args.wait
    if args.recursive:
        work = ListImages(in_use, args.repository, wait)
        results = several.each_layout(args, work, in_use=in_use, spread=lambda _: _spread(work))
    elif args.cluster is not None:
        raise UsageError("--cluster is for trees: give --recursive, too")
    else:
        repository = targets.repository(args)
        results = several.each_given(
            args,
            lambda layout, watch: images(layout, in_use=in_use, repository=repository, wait=wait, watch=watch),
            in_use=in_use,
        )
    many = args.recursive or len(args.layouts) > 1
    found = listing.ordered(_rows(results.values), wanted, FIELDS, args)
    if args.format == "json":
        sys.stdout.writelines(
            json_pieces(usage_as_json(each.usage) | ({"Layout": each.layout} if many else {}) for each in found)
        )
        print()
    elif args.quiet:
        for each in found:
            image = each.usage.image
            print(image.target.digest if image.dangling else printable(image.familiar))
    else:
        # Beside LAYOUT there is rarely room for the digest.
        fields = {**FIELDS, "image": replace(FIELDS["image"], short=_name_or_digest)} if many else FIELDS
        lines = listing.listed(found, fields, (*(["layout"] if many else []), *DEFAULT), args.columns)
        numbers = counter(-1)  # without the header
        sys.stdout.writelines(f"{line}\n" for line, _ in zip(lines, numbers, strict=False))
        if args.recursive:
            skipped = f"; {len(results.errors):,} skipped" if results.errors else ""
            print(f"{count(len(results.values), 'layout')}, {count(next(numbers), 'image')}{skipped}")
    return options.FAILED if results.errors else 0


def usage_as_json(entry: Usage) -> dict[str, object]:
    """One image, as the array of --format json has it."""
    image = entry.image
    return {
        "Name": None if image.dangling else image.name,
        "Aliases": list(image.aliases),
        "Digest": image.target.digest,
        "MediaType": image.target.media_type,
        "Created": None if image.created is None else format_rfc3339(image.created),
        "Size": entry.size,
        "Shared": entry.shared,
        "Unique": entry.unique,
        "Dangling": entry.dangling,
        "Referrer": entry.referrer,
        "Orphaned": entry.orphaned,
        "InUse": entry.in_use,
        "Leased": entry.leased,
        "Damaged": entry.damaged,
        "Incomplete": bool(entry.missing),
        "Missing": [each.digest for each in entry.missing],
    }


def usage_lines(found: Sequence[Usage]) -> Iterator[str]:
    """A line per image, with what of it is reclaimable."""
    reclaimable: Field[Row] = Field(
        Column("WITH --all", right=True),
        lambda each: human_size(each.usage.reclaimable),
        lambda each: each.usage.reclaimable,
    )
    fields = {**FIELDS, "reclaimable": reclaimable}
    columns = (*DEFAULT[:-1], "reclaimable", "state")
    return listing.listed((Row("", each) for each in found), fields, columns)


COMMAND = Command(
    "Lists images with their sizes; UNIQUE is what no other image of the layout has. On a terminal the table fits the "
    "window: DIGEST and SHARED are left out below 100 columns, CREATED below 80, and sooner if names need the room; "
    "then names are shortened in the middle. Piped output is complete.",
    (
        options.LAYOUTS,
        options.RECURSIVE,
        options.CLUSTER,
        OptionGroup(
            "what to list",
            listing.filter_option(
                "only images that match: reference=PATTERN (as in 'app:1.*'), dangling=BOOL, referrer=BOOL, "
                "orphaned=BOOL, in-use=BOOL, leased=BOOL, damaged=BOOL, incomplete=BOOL, until=TIME (created before "
                "TIME, or longer ago than 30d), larger=SIZE; may be repeated: values of one key are "
                "alternatives, and every key has to match"
            ),
            listing.sort_option(FIELDS),
            listing.REVERSE,
            listing.columns_option(FIELDS),
            listing.QUIET,
            options.FORMAT,
        ),
        in_use_files.group(),
        options.SHARED_BLOBS,
        options.WAIT,
    ),
    run,
    examples=(
        ("ocigc ls mirror", "a table"),
        ("ocigc ls --sort size --columns image,size,age mirror", "the largest first"),
        ("ocigc ls -q --filter until=90d mirror", "the names of images older than 90 days"),
        ("ocigc ls --in-use used.json mirror", "mark what the containers in used.json use"),
        ("ocigc ls --format json mirror", "one JSON array, with whole digests and sizes in bytes"),
        ("ocigc ls --recursive --repository registry.example zot", "all layouts below a directory"),
    ),
)

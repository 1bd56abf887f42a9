"""Writes the manual pages: `man.py DIRECTORY`.

Section 1 is made from the parser that also prints --help, section 5 from pages of `docs/`. Their date is that of the
newest release.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import roff

from ocigc.cli.command import parsers
from ocigc.cli.commands import GROUPS, SUMMARIES, make_parser

ROOT = Path(__file__).parents[1]
CHANGELOG = ROOT / "CHANGELOG.md"
FORMATS = {"ocigc-policy": "policy.md", "ocigc-in-use": "in-use.md", "ocigc-layout": "format.md"}


def main() -> None:
    directory = Path(sys.argv[1])
    for section in ("man1", "man5"):
        (directory / section).mkdir(parents=True, exist_ok=True)
    for name, source in FORMATS.items():
        text = (ROOT / "docs" / source).read_text()
        (directory / "man5" / f"{name}.5").write_text(roff.page(text, name, _date()))
    program = make_parser()
    pages = [program, *_commands(program)]
    for page in pages:
        others = [other.prog.replace(" ", "-") for other in pages if other is not page]
        name = page.prog.replace(" ", "-")
        (directory / "man1" / f"{name}.1").write_text("\n".join([*_page(page, name), *_see_also(others)]) + "\n")


def _commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return list(dict.fromkeys(action.choices.values()))
    return []


def _page(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    """The sections of a page; subcommands of a command stand on its page."""
    yield f'.TH {_escaped(name.upper())} 1 "{_date()}" "ocigc" "User Commands"'
    yield ".SH NAME"
    yield f"{_escaped(name)} \\- {_text(_summary(parser))}"
    yield ".SH SYNOPSIS"
    nested = [each for each in parsers(parser) if each.get_default("run")] if " " in parser.prog else []
    for number, each in enumerate(nested or [parser]):
        yield from [".br"] if number else []
        yield _usage(each)
    yield ".SH DESCRIPTION"
    yield _text(parser.description or "")
    remarks = list(_remarks(parser.epilog or ""))
    yield from (line for title, lines in remarks if not title for line in [".PP", *lines])
    commands = _commands(parser)
    if commands and not nested:
        yield ".SH COMMANDS"
        for title, names in GROUPS.items():
            yield f'.SS "{title}"'
            for each, summary in names.items():
                yield from [".TP", f".BR {_escaped(f'ocigc-{each}')} (1)", _text(summary)]
    for each in nested if commands else []:
        yield f'.SH "{_escaped(each.prog.partition(" ")[2].upper())}"'
        yield _text(each.description or "")
        yield from _options(each)
    if not commands or not nested:
        yield ".SH OPTIONS"
        yield from _options(parser)
    for title, lines in remarks:
        if title:
            yield f'.SH "{title.upper()}"'
            yield from lines


def _date() -> str:
    """The day of the last release, or the one that a reproducible build is told to take."""
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        return datetime.fromtimestamp(int(epoch), UTC).date().isoformat()
    released = re.search(r"^## .* (\d{4}-\d{2}-\d{2})$", CHANGELOG.read_text(), re.MULTILINE)
    return released[1] if released else ""


def _see_also(names: list[str]) -> list[str]:
    return [".SH SEE ALSO", *(f".BR {_escaped(name)} (1)" + ("" if name == names[-1] else ",") for name in names)]


def _summary(parser: argparse.ArgumentParser) -> str:
    """What the list of commands says of it."""
    if " " not in parser.prog:
        return "prune, verify and understand OCI image layouts"
    return SUMMARIES[parser.prog.split(" ")[1]]


def _usage(parser: argparse.ArgumentParser) -> str:
    """The line that --help begins with: the words in capitals are to be replaced."""
    usage = (parser.usage or f"{parser.prog} COMMAND [OPTION]...").removeprefix(parser.prog)
    values = re.sub(r"[A-Z][A-Z|]*", lambda match: f"\\fI{match[0]}\\fP", _escaped(usage))
    return f"\\fB{_escaped(parser.prog)}\\fP{values}"


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for group in parser._action_groups:
        titled = group not in (parser._positionals, parser._optionals)
        yield from [f'.SS "{group.title}"'] if titled else []
        yield from _group(group._group_actions, parser)


def _group(actions: list[argparse.Action], parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in actions:
        if isinstance(action, argparse._SubParsersAction) or action.help == argparse.SUPPRESS:
            continue
        names = ", ".join(f"\\fB{_escaped(name)}\\fP" for name in action.option_strings)
        value = _value(action) if action.nargs != 0 else ""
        yield ".TP"
        yield f"{names} {value}".strip()
        yield _text((action.help or "") % {**vars(action), "prog": parser.prog})


def _value(action: argparse.Action) -> str:
    if action.metavar is None and action.choices is not None:
        return "{" + ",".join(f"\\fB{_escaped(str(choice))}\\fP" for choice in action.choices) + "}"
    return f"\\fI{_escaped(str(action.metavar or action.dest.upper()))}\\fP"


def _remarks(epilog: str) -> Iterator[tuple[str, list[str]]]:
    """The paragraphs below --help: those with a title and examples as they stand, all else as text."""
    for paragraph in filter(None, epilog.strip().split("\n\n")):
        title, colon, rest = paragraph.partition(":")
        if not colon or "\n" in title or "`" in title:
            yield "", [_text(paragraph)]
        elif rest.startswith("\n"):
            yield title, [".nf", *(_escaped(line[2:]) for line in rest[1:].split("\n")), ".fi"]
        else:
            yield title, [_text(rest)]


def _text(text: str) -> str:
    """Text to be filled; what stands in backquotes is bold."""
    return re.sub(r"`([^`]*)`", r"\\fB\1\\fP", _escaped(" ".join(text.split())))


def _escaped(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    main()

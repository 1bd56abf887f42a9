"""What a command is: each file of a subcommand declares one `Command`, and a parser is made of it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn, Protocol

from ocigc.cli.output.tables import terminal_width
from ocigc.errors import UsageError, printable

# Messages are in English, and looking for translations takes longer than parsing.
argparse._ = str  # type: ignore[attr-defined]

Example = tuple[str, str]
"""A command line, and what it does."""

_WIDTH = 79  # columns that examples may take
_FEW = 3  # options to suggest
_SHORT = 4  # characters: a shorter beginning of an option says nothing


class Item(Protocol):
    """An item in the list of a command's options."""

    def add(self, parser: argparse._ActionsContainer) -> None:
        """Adds it to a parser or a group."""


class Option:
    """One option or argument: what argparse's `add_argument` takes."""

    def __init__(self, *flags: str, **settings: Any) -> None:
        self.flags = flags
        self.settings = settings

    def add(self, parser: argparse._ActionsContainer) -> None:
        """Adds it to a parser or a group."""
        parser.add_argument(*self.flags, **self.settings)

    def but(self, **settings: object) -> Option:
        """The same with other settings."""
        return Option(*self.flags, **{**self.settings, **settings})


class OptionGroup:
    """Options below a title in the help."""

    def __init__(self, title: str, *options: Item) -> None:
        self.title = title
        self.options = options

    def add(self, parser: argparse._ActionsContainer) -> None:
        """Adds the group to a parser."""
        group = parser.add_argument_group(self.title)
        for each in self.options:
            each.add(group)


class OneOf:
    """Options of which a command line may have at most one."""

    def __init__(self, *options: Option) -> None:
        self.options = options

    def add(self, parser: argparse._ActionsContainer) -> None:
        """Adds them to a parser or a group."""
        group = parser.add_mutually_exclusive_group()
        for each in self.options:
            each.add(group)


class Command:
    """A subcommand: `run` takes the parsed arguments and gives the exit code.

    `failure` makes the `--format json` answer of a run that failed with a message; its arguments may be incomplete.
    `commands` are its own subcommands, by name, each with a one-line summary; such a command has no `run`.
    `defaults` are further attributes of the parsed arguments.
    """

    def __init__(
        self,
        description: str,
        options: Sequence[Item] = (),
        run: Callable[[argparse.Namespace], int] | None = None,
        *,
        examples: Sequence[Example] = (),
        notes: str = "",
        exit_status: str = "",
        failure: Callable[[str, argparse.Namespace], str] | None = None,
        commands: Mapping[str, tuple[str, Command]] | None = None,
        **defaults: object,
    ) -> None:
        self.description = description
        self.options = options
        self.run = run
        self.examples = examples
        self.notes = notes
        self.exit_status = exit_status and f"exit status: {exit_status}"
        self.failure = failure
        self.commands = commands or {}
        self.defaults = defaults

    def fill(self, parser: argparse.ArgumentParser) -> None:
        """Adds the options of this command to a parser."""
        parser.description = self.description
        parser.epilog = (
            "\n\n".join(filter(None, ("\n".join(self._example_lines()), self.notes, self.exit_status))) or None
        )
        parser._positionals.title = "arguments"
        parser.usage = self._usage(parser.prog)
        for each in self.options:
            each.add(parser)
        if self.commands:
            subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
            for name, (summary, command) in self.commands.items():
                command.fill(subparsers.add_parser(name, help=summary))
        else:
            LOG_FORMAT.add(parser)
            parser.set_defaults(run=self.run, **self.defaults)
        # The command's own options come before those that all commands have.
        parser._action_groups.append(parser._action_groups.pop(parser._action_groups.index(parser._optionals)))

    def _usage(self, prog: str) -> str:
        """Short: the options are listed below it."""
        words = [prog, "[OPTION]..."]
        for each in self.options:
            if isinstance(each, Option) and not each.flags[0].startswith("-"):
                name = each.settings["metavar"]
                several = "..." if each.settings.get("nargs") in ("+", "*") else ""
                words.append(f"[{name}{several}]" if each.settings.get("nargs") in ("?", "*") else name + several)
        return " ".join(words + (["COMMAND ..."] if self.commands else []))

    def _example_lines(self) -> Iterator[str]:
        if self.examples:
            yield "examples:"
        indent = max((len(line) for line, _ in self.examples), default=0) + 2
        aligned = all(2 + indent + len(meaning) <= _WIDTH for _, meaning in self.examples)
        for line, meaning in self.examples:
            if aligned:
                yield f"  {line:{indent}}{meaning}".rstrip()
            else:
                yield f"  {line}"
                yield from [f"      {meaning}"] if meaning else []


LOG_FORMAT = Option(
    "--log-format",
    choices=("text", "json"),
    default="text",
    help="format of notes and errors on standard error: text (default) or json (one object per line)",
)


PROGRAM = "program"
"""The argument that is another program with its own arguments."""


class Parser(argparse.ArgumentParser):
    """argparse answers wrong usage with a page; here it is one line."""

    def __init__(self, **settings: Any) -> None:
        # argparse makes a formatter for every option, and its own loads shutil.
        # No abbreviations: `ls --all` would be read as --allow-none-in-use, and scripts would break with a new option.
        super().__init__(formatter_class=Formatter, allow_abbrev=False, **settings)

    def parse_args(self, args: Any = None, namespace: object = None) -> Any:
        words = sys.argv[1:] if args is None else list(args)
        # Before Python 3.12.5, argparse removes a second `--` from the words after the first, which ends the options.
        takes_program = any(each.dest == PROGRAM for each in self._actions)
        end = words.index("--") + 2 if takes_program and "--" in words else len(words)
        parsed, unknown = self.parse_known_args(words[:end], namespace)
        if takes_program:
            getattr(parsed, PROGRAM).extend(words[end:])
        if unknown:
            self.error(self._not_known(unknown[0]))
        return parsed

    def _not_known(self, word: str) -> str:
        if word.startswith("-"):
            return f"unknown option {word}{self._near(word)}"
        options = self._option_string_actions
        if os.path.isdir(word) and "--recursive" in options:
            return f"only one LAYOUT at a time, and {word} is another; --recursive works on all below one directory"
        return f"unknown argument {word}"

    def _near(self, word: str) -> str:
        """The options that were probably meant, if any are similar."""
        name = word.partition("=")[0]
        names = list(self._option_string_actions)
        if name.startswith("--"):
            near = [each for each in names if len(name) > _SHORT and each.startswith(name)]
        else:
            near = [each for each in names if each.startswith(f"--{name[1:2].lower()}")]
        if not near:
            from difflib import get_close_matches

            near = get_close_matches(name, names, 1)
        return f": did you mean {' or '.join(near)}?" if near and len(near) <= _FEW else ""

    def error(self, message: str) -> NoReturn:
        message = message.replace("the following arguments are required: ", "missing: ")
        raise UsageError(f"{printable(message)} (see {self.prog} --help)")


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps examples as they are, and fills descriptions."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(_columns() - 2, 100), max_help_position=28)

    def _split_lines(self, text: str, width: int) -> list[str]:
        import textwrap

        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.split("\n\n")
        return "\n\n".join(
            super(argparse.RawDescriptionHelpFormatter, self)._fill_text(each, width, indent)
            if "\n" not in each
            else "".join(indent + line for line in each.splitlines(keepends=True))
            for each in paragraphs
        )


@cache
def _columns() -> int:
    """What shutil.get_terminal_size says, without loading it."""
    with suppress(KeyError, ValueError):
        if (stated := int(os.environ["COLUMNS"])) > 0:
            return stated
    return terminal_width(sys.__stdout__) or 80


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of all commands below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in dict.fromkeys(action.choices.values()):
                yield from parsers(command)

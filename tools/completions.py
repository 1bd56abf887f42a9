"""Writes the completions for bash, zsh and fish, made from the parser that also prints --help:
`completions.py DIRECTORY`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import shtab

from ocigc.cli.command import parsers
from ocigc.cli.commands import make_parser

# Where a shell looks for it.
_NAMES = {"bash": "ocigc", "zsh": "_ocigc", "fish": "ocigc.fish"}
_WHAT: dict[object, Any] = {"LAYOUT": shtab.DIRECTORY, "FILE": shtab.FILE}


def main() -> None:
    for shell, name in _NAMES.items():
        directory = Path(sys.argv[1], shell)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(shtab.complete(_program(), shell) + "\n")


def _program() -> argparse.ArgumentParser:
    """The parser, made to say what its arguments are, and each command in few words."""
    program = make_parser()
    for parser in parsers(program):
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for choice in action._choices_actions:
                    action.choices[choice.dest].description = choice.help
            elif action.metavar in _WHAT:
                action.complete = _WHAT[action.metavar]  # type: ignore[attr-defined]
    return program


if __name__ == "__main__":
    main()

"""The commands: which there are, what each does in a line, and which one a command line means."""

from __future__ import annotations

import os

from ocigc.errors import UsageError, printable

TYPE_CHECKING = False  # loading typing takes longer than printing the help
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterable, Sequence

    from ocigc.cli.command import Command

# Each is in the module of its name; in the order of the help.
GROUPS = {
    "Look": {
        "ls": "list images with their sizes",
        "du": "show what takes the space, and what a prune would free",
        "tree": "show what an image is made of",
        "why": "show what keeps a blob",
        "diff": "compare two layouts, or archives of layouts",
        "report": "show a layout as one web page",
    },
    "Check": {
        "check": "check that a layout is consistent, without hashing layers",
        "verify": "check every blob against its digest",
        "merge": "merge the shards of a verification",
        "bench": "measure how close verify comes to the limits of the machine",
    },
    "Clean up": {
        "prune": "remove images by rules, and all blobs that nothing reaches",
        "rm": "remove images by name",
        "apply": "carry out a saved plan",
    },
    "Undo": {
        "history": "list the runs that changed or verified a layout",
        "trash": "list what can be brought back",
        "restore": "bring back what a prune removed",
    },
    "For scripts": {
        "run": "run a program that writes to a layout, and let no prune start",
        "lease": "keep blobs from being pruned while a script copies",
        "synth": "write a sample layout",
    },
}
SUMMARIES = {name: summary for commands in GROUPS.values() for name, summary in commands.items()}

DESCRIPTION = "Prune, verify and understand OCI image layouts, directories of container images."
EXIT_STATUS = """\
exit status: 0 done and sound, 1 done and something was found, 2 wrong usage or
not a layout, 3 refused or failed with nothing lost"""

# What people type who come from docker, podman, skopeo, restic or git.
_ELSEWHERE = {
    "images": "ls",
    "image": "ls",
    "list": "ls",
    "tags": "ls",
    "list-tags": "ls",
    "snapshots": "ls",
    "catalog": "ls",
    "rmi": "rm",
    "remove": "rm",
    "delete": "rm",
    "untag": "rm",
    "df": "du",
    "system": "du",
    "size": "du",
    "stats": "du",
    "info": "du",
    "gc": "prune",
    "garbage-collect": "prune",
    "clean": "prune",
    "cleanup": "prune",
    "forget": "prune",
    "fsck": "check",
    "scrub": "verify",
    "validate": "verify",
    "compare": "diff",
    "inspect": "tree",
    "manifest": "tree",
    "show": "tree",
    "find": "why",
    "undo": "restore",
    "undelete": "restore",
    "rollback": "restore",
    "log": "history",
    "logs": "history",
    "leases": "lease",
}
_COPIES = ("pull", "push", "copy", "cp", "save", "load", "export", "import", "sync", "tag")
_OTHERWISE = dict.fromkeys(_COPIES, "ocigc does not copy or tag images; skopeo, oras and crane do") | {
    "version": "did you mean `ocigc --version`?",
    "repair": "did you mean `ocigc verify --repair-from OTHER LAYOUT`?",
    "dedup": "a layout has each blob once; `ocigc du` shows what images share",
    "unlock": "a lock ends with the process that has it; --wait waits for that",
}


def load(name: str) -> Command:
    """The command of that name."""
    from importlib import import_module

    command: Command = import_module(f"ocigc.cli.{name}").COMMAND
    return command


def find(words: Sequence[str]) -> tuple[str, Command, list[str]]:
    """The name of the command that a command line begins with, the command, and its words. Raises UsageError."""
    name = words[0]
    if name.startswith("-"):
        if name in ("-v", "-V"):
            raise UsageError(f"unknown option {name}: did you mean --version?")
        raise UsageError(f"expected a COMMAND before the option {printable(name)} (see ocigc --help)")
    if name not in SUMMARIES:
        raise UsageError(f"{printable(name)!r} is not a command: {_suggestion(name, words[1:])}")
    command = load(name)
    rest = list(words[1:])
    while command.commands and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            near = _near(rest[0], command.commands)
            meant = f"did you mean `ocigc {name} {near}`?" if near else f"choose from {', '.join(command.commands)}"
            raise UsageError(f"`ocigc {name}` has no command {printable(rest[0])!r}: {meant}")
        name += " " + rest[0]
        command = command.commands[rest.pop(0)][1]
    if command.commands and not rest:
        raise UsageError(f"expected a COMMAND of `ocigc {name}`: {', '.join(command.commands)}")
    return name, command, rest


def _suggestion(name: str, others: Sequence[str]) -> str:
    if name in _OTHERWISE:
        return _OTHERWISE[name]
    if os.path.exists(name):
        command = next((each for each in others if each in SUMMARIES), "ls")
        return f"the command comes first, as in `ocigc {command} {printable(name)}`"
    known = _ELSEWHERE.get(name) or _near(name, [*SUMMARIES, *_ELSEWHERE])
    if known is None:
        return "`ocigc help` lists all commands"
    known = _ELSEWHERE.get(known, known)
    return f"did you mean `ocigc {known}`, to {SUMMARIES[known]}?"


def _near(word: str, words: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(words), 1)), None)


def parser_of(name: str, command: Command) -> ArgumentParser:
    """The parser of one command."""
    from ocigc.cli.command import Parser

    parser = Parser(prog=f"ocigc {name}")
    command.fill(parser)
    return parser


def make_parser() -> ArgumentParser:
    """The parser of the whole command line, for the manual pages and completions."""
    from ocigc.cli.command import Parser

    parser = Parser(prog="ocigc", description=DESCRIPTION, epilog=EXIT_STATUS)
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in SUMMARIES.items():
        load(name).fill(subparsers.add_parser(name, help=summary))
    return parser


def overview() -> str:
    """The help of the whole: the commands in groups."""
    lines = [DESCRIPTION, "", "usage: ocigc COMMAND [OPTION]... LAYOUT...", ""]
    for title, commands in GROUPS.items():
        lines += [f"{title}:", *(f"  {name:9} {summary}" for name, summary in commands.items()), ""]
    lines += ["`ocigc help COMMAND` explains one, with examples.", "", EXIT_STATUS]
    return "\n".join(lines) + "\n"


def help_of(words: Sequence[str]) -> str:
    """What `ocigc help` says of a command, or of all. Raises UsageError."""
    if not words or words[0] in ("help", "-h", "--help"):
        return overview()
    name, command, _ = find([*words, "--help"])
    return parser_of(name, command).format_help()

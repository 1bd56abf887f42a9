"""Writes the completions for bash, zsh and fish, made from the parser that also prints --help:
`completions.py DIRECTORY`. What only the store knows (names of images, leases, runs), `ocigc _complete` tells.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import shtab

from ocigc.cli.command import parsers
from ocigc.cli.commands import SUMMARIES, make_parser

# Where a shell looks for it.
_NAMES = {"bash": "ocigc", "zsh": "_ocigc", "fish": "ocigc.fish"}


def _asked(kind: str) -> dict[str, str]:
    """A function of each shell that asks for words of that kind."""
    return {
        "bash": f"_ocigc_{kind}",
        "zsh": f"_ocigc_{kind}",
        "fish": f"(ocigc _complete {kind} (commandline -opc) 2>/dev/null)",
    }


_WHAT: dict[object, Any] = {
    "LAYOUT": shtab.DIRECTORY,
    "FILE": shtab.FILE,
    "A": shtab.FILE,
    "B": shtab.FILE,
    "REF": _asked("images"),
    "REF|DIGEST": _asked("images"),
    "DIGEST|REF": _asked("images"),
    "ID": _asked("leases"),
    "RUN": _asked("runs"),
    "KEY=VALUE": _asked("filters"),
    "KEY[!]=VALUE": _asked("filters"),
}
_KINDS = ("images", "leases", "runs", "filters")

_BASH = """\
# bash splits words at colons and equal signs, and names of images have them: the words are taken from the line itself,
# and what bash has set apart is taken off the answers.
_ocigc() {
  local line="${COMP_LINE:0:COMP_POINT}" current
  if [[ "$line" != *[\\"\\'\\\\\\\\]* ]]; then
    local -a words
    read -ra words <<< "$line"
    [[ "$line" == *" " ]] && words+=("")
    local COMP_WORDS=("${words[@]}") COMP_CWORD=$(( ${#words[@]} - 1 ))
  fi
  current="${COMP_WORDS[COMP_CWORD]}"
  _shtab_ocigc
  if [[ "$current" == *[:=]* ]]; then
    local apart="${current%"${current##*[:=]}"}"
    COMPREPLY=("${COMPREPLY[@]#"$apart"}")
  fi
  [[ "${COMPREPLY[*]}" == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}

_ocigc_ask() {
  local each
  while IFS= read -r each; do
    [[ "$each" == "$2"* ]] && printf '%s\\n' "$each"
  done < <(ocigc _complete "$1" "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)
}
"""
_ZSH = """\
_ocigc_ask() {
  local -a found
  found=("${(@f)$(ocigc _complete $1 "${words[@]}" 2>/dev/null)}")
  if [[ $1 == filters ]]; then
    compadd -S '' -a found
  else
    compadd -a found
  fi
}
"""
_PREAMBLES = {
    "bash": _BASH + "".join(f'_ocigc_{kind}() {{ _ocigc_ask {kind} "$1"; }}\n' for kind in _KINDS),
    "zsh": _ZSH + "".join(f"_ocigc_{kind}() {{ _ocigc_ask {kind} }}\n" for kind in _KINDS),
    "fish": "",
}


def main() -> None:
    for shell, name in _NAMES.items():
        directory = Path(sys.argv[1], shell)
        directory.mkdir(parents=True, exist_ok=True)
        text = shtab.complete(_program(), shell, preamble={shell: _PREAMBLES[shell]})
        text = text.replace("complete -o bashdefault -F _shtab_ocigc ocigc", "complete -o bashdefault -F _ocigc ocigc")
        (directory / name).write_text(text.rstrip() + "\n")


def _program() -> argparse.ArgumentParser:
    """The parser, made to say what its arguments are, and each command in few words."""
    program = make_parser()
    for parser in parsers(program):
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for choice in action._choices_actions:
                    action.choices[choice.dest].description = choice.help
            elif action.metavar in _WHAT:
                takes_archive = action.metavar == "LAYOUT" and "archive" in (action.help or "")
                what = shtab.FILE if takes_archive else _WHAT[action.metavar]
                action.complete = what  # type: ignore[attr-defined]
    subparsers = next(action for action in program._actions if isinstance(action, argparse._SubParsersAction))
    helping = subparsers.add_parser("help", help="tell more of a command", description="tell more of a command")
    helping.add_argument("command", metavar="COMMAND", choices=tuple(SUMMARIES), nargs="?", help="the command")
    return program


if __name__ == "__main__":
    main()

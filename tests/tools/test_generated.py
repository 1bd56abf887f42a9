"""The manual pages and the shell completions: as the parser is today, sound, and working in real shells."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

from ocigc.cli.commands import load
from ocigc.cli.complete import FILTERS
from ocigc.gc.filters import ACCEPTED
from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter

ROOT = Path(__file__).parents[2]
MAN = sorted((ROOT / "man").glob("man?/*"))
BASH, ZSH, FISH = (ROOT / "completions" / name for name in ("bash/ocigc", "zsh/_ocigc", "fish/ocigc.fish"))

SEARCHED = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def output(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    process = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    assert (process.returncode, process.stderr) == (0, ""), process
    return process.stdout


@pytest.mark.parametrize(("tool", "committed"), [("man.py", "man"), ("completions.py", "completions")])
def test_they_are_up_to_date(tmp_path: Path, tool: str, committed: str) -> None:
    output(sys.executable, ROOT / "tools" / tool, tmp_path)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    there = ROOT / committed
    assert {path.relative_to(there): path.read_text() for path in there.rglob("*") if path.is_file()} == made, (
        "the help has changed: run `make generated`"
    )


def test_they_are_installed_with_the_package() -> None:
    installed = files("ocigc")
    assert installed is not None
    names = [str(path) for path in installed]
    for wanted in (
        "ocigc/py.typed",
        "share/man/man1/ocigc-prune.1",
        "share/man/man5/ocigc-policy.5",
        "share/bash-completion/completions/ocigc",
        "share/zsh/site-functions/_ocigc",
        "share/fish/vendor_completions.d/ocigc.fish",
    ):
        assert any(name.endswith(wanted) for name in names), wanted


@needs("man")
@pytest.mark.parametrize("page", MAN, ids=lambda path: path.name)
def test_man_has_nothing_to_say_against_a_page(page: Path) -> None:
    shown = output("man", "--warnings=all", "-l", page, MANWIDTH="100", LC_ALL="C.UTF-8", MANPAGER="cat")
    assert "NAME" in shown
    assert page.stem in shown


@needs("mandoc")
@pytest.mark.parametrize("page", MAN, ids=lambda path: path.name)
def test_mandoc_finds_no_error(page: Path) -> None:
    assert output("mandoc", "-T", "lint", "-W", "error", page) == ""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    layout = LayoutWriter(tmp_path / "mirror")
    for name in (
        "registry.example:5000/team/app:1.0",
        "registry.example:5000/team/app:1.1",
        "docker.io/library/alpine:3",
    ):
        layout.tag(layout.image(name), name)
    layout.lease("pull-in-progress", [])
    (tmp_path / "mirror.txt").touch()
    return tmp_path


APPS = {"registry.example:5000/team/app:1.0", "registry.example:5000/team/app:1.1"}
CASES = [
    (("pru",), {"prune"}),
    (("prune", "--dr"), {"--driver", "--dry-run"}),
    (("prune", "--format", ""), {"text", "json"}),
    (("prune", "mirr"), {"mirror"}),
    (("prune", "--in-use", "mirror.t"), {"mirror.txt"}),
    (("verify", "--log-format", "j"), {"json"}),
    (("lease", "cr"), {"create"}),
    (("help", "pru"), {"prune"}),
    (("rm", "mirror", "alp"), {"alpine:3"}),
    (("tree", "mirror", "registry.example:5000/team/app:1"), APPS),
    (("why", "mirror", "registry.example:5000/team/app:1.1"), {"registry.example:5000/team/app:1.1"}),
    (("lease", "release", "mirror", "pu"), {"pull-in-progress"}),
    (("ls", "--filter", "dangling=t"), {"dangling=true"}),
    (("prune", "--filter", "label!"), {"label!="}),
    (("du", "--sort", "recl"), {"reclaimable"}),
]


@needs("bash")
@pytest.mark.parametrize(("words", "expected"), CASES)
def test_bash_completes(directory: Path, words: tuple[str, ...], expected: set[str]) -> None:
    script = """
        source "$1"; shift
        complete -p ocigc | grep -q -- '-F _ocigc ' || exit 1
        COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
        # As bash splits it.
        read -ra COMP_WORDS <<< "$(sed 's/[:=]/ & /g' <<< "$COMP_LINE")"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _ocigc ocigc "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    shown = output("bash", "-c", script, "bash", BASH, "ocigc", *words, cwd=directory, PATH=SEARCHED)
    apart = re.sub(r"[^:=]*$", "", words[-1])  # bash keeps what stands before its last break
    assert {apart + word for word in shown.split()} == expected


@needs("fish")
@pytest.mark.parametrize(("words", "expected"), CASES)
def test_fish_completes(directory: Path, words: tuple[str, ...], expected: set[str]) -> None:
    script = "source $argv[1]; complete -C (string join -- ' ' $argv[2..])"
    shown = output(
        "fish", "--no-config", "-c", script, FISH, "ocigc", *words, cwd=directory, HOME=str(directory), PATH=SEARCHED
    )
    assert {line.split("\t")[0].rstrip("/") for line in shown.splitlines()} == expected


@needs("zsh")
@pytest.mark.parametrize(("words", "expected"), [case for case in CASES if len(case[1]) == 1])
def test_zsh_completes(directory: Path, words: tuple[str, ...], expected: set[str]) -> None:
    # Completion needs a line editor and so a terminal: Tab is pressed, and the command tells what it is called with.
    ours, theirs = pty.openpty()
    typed = f"""
        PS1=; fpath=({ZSH.parent} $fpath); autoload -U compinit; compinit -u -D
        ocigc() {{ [[ $1 == _complete ]] && {{ command ocigc "$@"; return }}; print -rl -- "$@" > called }}
        ocigc {" ".join(words)}\t
        exit
    """
    os.write(ours, "\n".join(line.strip(" ") for line in typed.strip().split("\n")).encode() + b"\n")
    environment = {**os.environ, "TERM": "dumb", "HOME": str(directory), "PATH": SEARCHED}
    process = subprocess.Popen(
        ["zsh", "-f", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=directory, env=environment
    )
    os.close(theirs)
    try:
        while os.read(ours, 1 << 16):
            pass
    except OSError:  # EIO: zsh has gone
        pass
    finally:
        os.close(ours)
        process.wait(timeout=120)
    called = (directory / "called").read_text().split("\n")[:-1]
    assert [word.rstrip("/") for word in called] == [*words[:-1], *expected]


def test_completion_knows_the_keys_that_filters_have() -> None:
    from ocigc.cli import du, ls

    assert set(FILTERS["prune"]) == set(ACCEPTED)
    assert set(FILTERS["ls"]) == set(ls.FILTERS)
    assert set(FILTERS["du"]) == set(du.FILTERS)
    assert all(load(name) for name in FILTERS)


def test_completion_says_nothing_where_something_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "oci-layout").write_text("{}")
    for content in (
        None,
        "",
        "[]",
        '{"manifests": [1]}',
        '{"manifests": [{"annotations": {"org.opencontainers.image.ref.name": 7}}]}',
    ):
        if content is not None:
            (tmp_path / "index.json").write_text(content)
        for kind in ("images", "leases", "runs", "unknown"):
            assert ocigc("_complete", kind, tmp_path) == ocigc("_complete")

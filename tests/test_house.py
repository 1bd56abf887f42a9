"""Arrows point down: no package imports one above it, and no two modules import each other. `gc/` does no I/O."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "ocigc"

# What each may import besides itself and the values.
BELOW = {
    "values": set[str](),
    "gc": set[str](),
    "native": {"gc"},
    "layout": {"gc", "native"},
    "inuse": {"gc", "layout"},
    "pruning": {"gc", "native", "layout"},
    "verification": {"gc", "native", "layout", "pruning"},
    "inspect": {"gc", "native", "layout", "pruning", "verification"},
    "synth": {"gc", "native", "layout"},
    "cluster": {"gc", "native", "layout"},
    "cli": {"cluster", "gc", "native", "layout", "inuse", "pruning", "verification", "inspect", "synth"},
}
FILES = sorted(SOURCE.rglob("*.py"))


def package(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else "values"


def imported(path: Path) -> Iterator[str]:
    """What a module imports of ours, at its head or anywhere else."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name for name in names if name.startswith("ocigc."))


def imported_packages(path: Path) -> set[str]:
    first = {name.split(".")[1] for name in imported(path)}
    return {name if (SOURCE / name).is_dir() else "values" for name in first}


def module(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_arrow_points_up(path: Path) -> None:
    own = package(path)
    if path.name == "__main__.py":
        return  # it starts the command line
    assert imported_packages(path) - {own, "values"} <= BELOW[own]


def test_no_modules_import_each_other() -> None:
    """Not even in a function, or for the type checker alone."""
    modules = {module(path) for path in FILES}
    arrows = {
        module(path): {name if name in modules else name.rpartition(".")[0] for name in imported(path)} - {module(path)}
        for path in FILES
    }
    TopologicalSorter(arrows).prepare()


@pytest.mark.parametrize("path", [path for path in FILES if package(path) == "gc"], ids=lambda path: path.name)
def test_the_rules_touch_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    modules = {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert not (names | modules) & {"os", "io", "pathlib", "time", "subprocess", "socket", "shutil", "tempfile"}
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"open", "print", "input"}


# Commands of ours in data that we write, which is no advice to anybody.
RECORDED = {"restore --interrupted", "verify --repair-from"}


def literals(path: Path) -> Iterator[str]:
    """The texts in a module, but for docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, documented)]
    docs = {id(statement.value) for body in bodies for statement in body if isinstance(statement, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


OTHER_TOOLS = re.compile(r"`(?!ocigc )[^`]*`|use --no-trunc")


@pytest.mark.parametrize(
    "path", [path for path in FILES if package(path) != "cli"], ids=lambda path: str(path.relative_to(SOURCE))
)
def test_no_message_of_the_library_names_an_option_or_a_command(path: Path) -> None:
    texts = [OTHER_TOOLS.sub("", text) for text in literals(path) if text not in RECORDED]
    assert [text for text in texts if re.search(r"--[a-z]|`ocigc [a-z]", text)] == []


def test_every_class_has_a_name_of_its_own() -> None:
    """Also where one of two is private to its module."""
    nodes = [node for path in FILES for node in ast.parse(path.read_text()).body]
    classes = [node.name.removeprefix("_") for node in nodes if isinstance(node, ast.ClassDef)]
    assert [name for name, count in Counter(classes).items() if count > 1] == []


# index.json and the ledger, as the core reads them and as a layout has them.
SAME_THING = {"index", "ledger"}


def test_every_module_has_a_name_of_its_own() -> None:
    """A command is named like the module that does its work."""
    modules = Counter(path.stem for path in FILES if package(path) != "cli" and not path.stem.startswith("__"))
    assert {name for name, count in modules.items() if count > 1} <= SAME_THING


def test_the_design_names_files_that_exist() -> None:
    text = (SOURCE.parent / "docs" / "design.md").read_text()
    names = re.findall(r"`([a-z_]+/[a-z_/0-9]+\.(?:py|c|h))`", text)
    assert len(names) > 50
    assert [name for name in names if not any((top / name).is_file() for top in (SOURCE, SOURCE.parent))] == []

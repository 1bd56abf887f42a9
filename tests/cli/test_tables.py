"""Tables: whole where they are piped, and fitting the terminal where a person reads them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ocigc.cli.output.tables import Column, measure, table
from ocigc.cli.output.words import age, count, human_size, media_words, percent
from ocigc.strict_json import json_pieces
from tests.cli.test_terminal import converse
from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter

LONG = "registry.example.com:5000/a/rather/long/path/to/some/team/application:1.2.3"


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("small", ["s"], created="2024-05-01T00:00:00Z"), "app:1.0")
    writer.tag(writer.image("large", ["l" * 50_000], created="2023-05-01T00:00:00Z"), "app:2.0")
    writer.tag(writer.image("other", ["o" * 500], created="2025-05-01T00:00:00Z"), LONG)
    writer.tag(writer.image("dangling"))
    return writer


def on_terminal(columns: int, *arguments: str | Path) -> list[str]:
    """The lines of a command on a terminal of that width."""
    code, shown = converse(*arguments, answer="", COLUMNS=str(columns))
    assert code == 0
    return shown.replace("\r", "").splitlines()


def test_piped_output_is_whole(layout: LayoutWriter) -> None:
    lines = ocigc("ls", layout.path, env={"COLUMNS": "40"}).out.splitlines()
    assert re.split(r" {3,}", lines[0]) == ["IMAGE", "DIGEST", "CREATED", "SIZE", "SHARED", "UNIQUE", "STATE"]
    (line,) = [line for line in lines if line.startswith(LONG)]
    assert layout.entries[2]["digest"] in line
    assert "2025-05-01T00:00:00Z" in line


@pytest.mark.parametrize(
    ("columns", "header"),
    [
        (160, ["IMAGE", "DIGEST", "CREATED", "SIZE", "SHARED", "UNIQUE", "STATE"]),
        (99, ["IMAGE", "CREATED", "SIZE", "UNIQUE", "STATE"]),
        (79, ["IMAGE", "SIZE", "UNIQUE", "STATE"]),
    ],
)
def test_a_terminal_gets_what_fits(layout: LayoutWriter, columns: int, header: list[str]) -> None:
    lines = on_terminal(columns, "ls", layout.path)
    assert re.split(r" {3,}", re.sub(r" +(?=[A-Z]+)", "   ", lines[0])) == header
    assert max(map(len, lines)) <= columns
    assert [line for line in lines if line.startswith("registry.ex") and "application:1.2.3 " in line]
    if "CREATED" in header:
        assert any(" 2025-05-01 " in line for line in lines)


def test_columns_that_are_asked_for_are_there_on_any_terminal(layout: LayoutWriter) -> None:
    lines = on_terminal(60, "ls", "--columns", "type,image,shared", layout.path)
    assert lines[0].split() == ["TYPE", "IMAGE", "SHARED"]
    assert lines[1].startswith("manifest ")
    for command in ("ls", "du"):
        wrong = ocigc(command, "--columns", "image,colour", layout.path)
        refused(wrong, 2, "is not a column", "choose from")
        assert wrong.out == ""


def test_ls_sorts_and_filters(layout: LayoutWriter) -> None:
    def names(*arguments: str) -> list[str]:
        return ocigc("ls", "-q", *arguments, layout.path).out.splitlines()

    digest = layout.entries[3]["digest"]
    assert names("--sort", "size")[0] == "app:2.0"
    assert names("--sort", "size", "--reverse")[-1] == "app:2.0"
    assert names("--sort", "created", "--filter", "dangling=false") == [LONG, "app:1.0", "app:2.0"]
    assert names("--filter", "reference=app:*") == ["app:1.0", "app:2.0"]
    assert names("--filter", "reference=app:1*", "--filter", "reference=registry*") == ["app:1.0", LONG]
    assert names("--filter", "larger=10kB", "--filter", "reference=app:*") == ["app:2.0"]
    assert names("--filter", "dangling=true") == [digest]
    assert names("--filter", "until=2024-01-01") == ["app:2.0"]
    listed = ocigc("ls", "--sort", "size", "--filter", "until=2024-06-01", "--format", "json", layout.path).json
    assert [each["Name"].rpartition("/")[2] for each in listed] == ["app:2.0", "app:1.0"]
    for wrong in ("colour=red", "dangling", "dangling=maybe", "larger=much", "until=soon"):
        refused(ocigc("ls", "--filter", wrong, layout.path), 2, wrong.partition("=")[2] or wrong)


def test_several_layouts_at_once(layout: LayoutWriter, tmp_path: Path) -> None:
    other = LayoutWriter(tmp_path / "other")
    other.tag(other.image("x"), "x:1")
    listed = ocigc("ls", "--format", "json", layout.path, other.path).json
    assert {each["Layout"] for each in listed} == {str(layout.path), str(other.path)}
    assert "Layout" not in ocigc("ls", "--format", "json", other.path).json[0]
    partly = ocigc("ls", other.path, tmp_path / "nowhere", "-q")
    assert (partly.code, partly.out) == (3, "x:1\n")
    assert "nowhere" in partly.err
    both = ocigc("du", "--format", "json", layout.path, other.path).json
    sizes = [ocigc("du", "--format", "json", each.path).json["Size"] for each in (layout, other)]
    assert both["Size"] == sum(sizes)
    assert [each["Size"] for each in both["Layouts"]] == sizes


def test_du_tells_each_kind_of_thing_with_its_share(layout: LayoutWriter) -> None:
    layout.blob("orphan" * 100)
    ocigc("rm", "--force", "--trash", "7d", layout.path, "app:1.0")
    text = ocigc("du", layout.path).out
    rows = {line.split()[0]: re.split(r" {3,}", line) for line in text.splitlines() if line}
    assert rows["Images"][1] == "3"
    assert re.fullmatch(r"[\d.]+ B \(<?\d+ %\)", rows["Images"][3])
    assert rows["Trash"][1] == "1"
    document = ocigc("du", "--format", "json", layout.path).json
    assert document["Trash"]["Runs"] == 1
    assert document["Trash"]["Size"] > 0
    assert ocigc("du", "-q", "--sort", "size", layout.path).out.splitlines()[0] == "app"
    assert ocigc("du", "-q", "--filter", "repository=reg*", layout.path).out == LONG.rpartition(":")[0] + "\n"


def test_tables_align_and_fit() -> None:
    columns = (Column("NAME", name=True), Column("SIZE", right=True), Column("GONE", below=50), Column("WHY", cut=True))
    rows = [("x" * 40 + "tail", "1 B", "g", "w" * 40), ("名前", "1,000 B", "g", "")]
    lines = table(columns, rows, width=49)
    assert max(map(measure, lines)) <= 49
    assert "GONE" not in lines[0]
    assert lines[1].index("…") < lines[1].index("tail")
    assert measure(lines[1].partition("1 B")[0]) + len("1 B") == measure(lines[2].partition("1,000 B")[0]) + 7
    assert table(columns, rows)[1] == f"{rows[0][0]}       1 B   g      {'w' * 40}"


def test_names_come_before_columns_that_can_be_spared() -> None:
    columns = (Column("LAYOUT", name=True), Column("IMAGE", name=True), Column("DIGEST", below=100), Column("SIZE"))
    rows = [("l" * 30, "i" * 30, "d" * 40, "1 MB")]
    assert table(columns, rows, width=130)[0].split() == ["LAYOUT", "IMAGE", "DIGEST", "SIZE"]
    assert table(columns, rows, width=100)[0].split() == ["LAYOUT", "IMAGE", "SIZE"]
    for width in range(20, 130):
        assert max(map(measure, table(columns, rows, width=width))) <= width


def test_wide_characters_are_measured_where_names_are_shortened() -> None:
    columns = (Column("NAME", name=True), Column("WHY", cut=True))
    rows = [("日本語のとても長い名前" * 3, "理由" * 20), ("한국어/이미지:버전", "")]
    for width in range(20, 100):
        assert max(map(measure, table(columns, rows, width=width))) <= width


@pytest.mark.usefixtures("layout")
def test_a_tree_fits(tmp_path: Path) -> None:
    other = LayoutWriter(tmp_path / "a/rather/deep/path/to-a-layout-of-a-team")
    other.tag(other.image("x"), LONG)
    other.tag(other.image("dangling"))
    for columns in (60, 80, 100, 120):
        lines = on_terminal(columns, "ls", "--recursive", tmp_path)
        assert max(map(len, lines)) <= columns
        assert any(line.endswith("dangling") and "<no" in line for line in lines)
    assert "DIGEST" not in lines[0]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (human_size(0), "0 B"),
        (human_size(999), "999 B"),
        (human_size(1_340_000_000), "1.34 GB"),
        (human_size(999_600), "1 MB"),
        (percent(0, 5), "0 %"),
        (percent(1, 1000), "<1 %"),
        (percent(9_999, 10_000), "99 %"),
        (percent(5, 5), "100 %"),
        (age(-5), "0s"),
        (age(40 * 3600), "40h"),
        (age(41 * 86400), "41d"),
        (age(900 * 86400), "2y"),
        (count(1, "image"), "1 image"),
        (count(2000, "image", "go"), "2,000 images go"),
        (count(1, "image", "go"), "1 image goes"),
        (media_words("application/vnd.oci.image.layer.v1.tar+gzip"), "layer gzip"),
        (media_words("application/vnd.docker.image.rootfs.diff.tar.gzip"), "docker layer gzip"),
        (media_words("application/vnd.oci.image.index.v1+json"), "index"),
        (media_words("application/vnd.cncf.helm.config.v1+json"), "cncf.helm.config.v1+json"),
    ],
)
def test_figures_in_words(said: str, expected: str) -> None:
    assert said == expected


def test_wide_characters_align_among_others() -> None:
    columns = (Column("NAME", name=True), Column("SIZE", right=True), Column("STATE"))
    lines = table(columns, [("app", "1 B", ""), ("名前", "22 B", "in use"), ("ümläut", "333 B", "")])
    assert lines == ["NAME      SIZE   STATE", "app        1 B", "名前      22 B   in use", "ümläut   333 B"]


def test_braces_in_a_cell_are_text() -> None:
    assert table((Column("{0}"), Column("B{}")), [("{}", "{x}")]) == ["{0}   B{}", "{}    {x}"]


@pytest.mark.parametrize("document", [{"a": [{"b": "ü"}, 2], "c": None}, {"a": [], "c": 1}, {"a": [1]}, {}])
def test_a_document_in_pieces_is_that_of_json(document: dict[str, object]) -> None:
    streamed = {key: iter(each) if isinstance(each, list) else each for key, each in document.items()}
    assert "".join(json_pieces(streamed)) == json.dumps(document)
    assert "".join(json_pieces(iter([document, document]))) == json.dumps([document, document])


def test_json_is_not_changed_by_the_terminal(layout: LayoutWriter) -> None:
    assert (
        json.loads("\n".join(on_terminal(60, "ls", "--format", "json", layout.path)))
        == ocigc("ls", "--format", "json", layout.path).json
    )

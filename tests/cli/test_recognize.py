"""What somebody gave in place of a layout, a command or a name is recognised, and one line says what helps."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import LayoutWriter


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "mirror")
    writer.tag(writer.image("one"), "app:1.0")
    writer.tag(writer.image("two"), "app:1.1")
    writer.tag(writer.image("three"), "registry.example/team/web:3")
    return writer


def archive(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


@pytest.mark.parametrize("command", ["prune", "ls", "verify", "du", "check"])
def test_directories_that_are_something_else(layout: LayoutWriter, tmp_path: Path, command: str) -> None:
    sync = tmp_path / "sync" / "quay.io" / "team:app"
    sync.mkdir(parents=True)
    (sync / "version").write_text("Directory Transport Version: 1.1\n")
    (sync / "manifest.json").write_text("{}")
    (tmp_path / "registry" / "docker" / "registry" / "v2" / "repositories").mkdir(parents=True)
    (tmp_path / "root" / "v2" / "repositories").mkdir(parents=True)
    (tmp_path / "root" / "v2" / "blobs").mkdir(parents=True)
    (tmp_path / "containerd" / "io.containerd.content.v1.content" / "blobs").mkdir(parents=True)
    (tmp_path / "podman" / "overlay-images").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "pool" / "sha256").mkdir(parents=True)
    for path, words in (
        (tmp_path, ("layouts below it", "mirror", "--recursive")),
        (layout.path / "blobs", ("inside the layout", str(layout.path))),
        (layout.path / "blobs" / "sha256", ("inside the layout", str(layout.path))),
        (layout.path / "index.json", ("give that directory", str(layout.path))),
        (sync, ("skopeo's dir:", f"skopeo copy dir:{sync}")),
        (tmp_path / "sync", ("skopeo sync", f"skopeo copy dir:{sync}")),
        (tmp_path / "registry", ("registry garbage-collect",)),
        (tmp_path / "root" / "v2", ("registry garbage-collect",)),
        (tmp_path / "containerd", ("containerd", "ctr content prune")),
        (tmp_path / "containerd" / "io.containerd.content.v1.content", ("containerd", "ctr content prune")),
        (tmp_path / "podman", ("podman image prune",)),
        (tmp_path / "empty", ("empty",)),
        (tmp_path / "pool", ("no index.json",)),
        (tmp_path / "mirro", ("did you mean", str(layout.path))),
    ):
        refused(ocigc(command, path), 2, str(path), *words)


def test_archives(tmp_path: Path) -> None:
    oci = archive(tmp_path / "oci.tar", "oci-layout", "index.json")
    saved = archive(tmp_path / "saved.tar", "manifest.json", "repositories")
    (tmp_path / "packed.tgz").write_bytes(gzip.compress(oci.read_bytes()))
    refused(ocigc("prune", oci), 2, "archive of a layout", f"tar -xf {oci}")
    refused(ocigc("prune", saved), 2, "docker save", f"skopeo copy docker-archive:{saved}")
    refused(ocigc("prune", f"docker-archive:{saved}:app:1"), 2, f"skopeo copy docker-archive:{saved} ")
    refused(ocigc("prune", tmp_path / "packed.tgz"), 2, "gzip", "gzip -dk")


@pytest.mark.parametrize("command", ["ls", "verify", "check"])
def test_files_that_are_not_archives(tmp_path: Path, command: str) -> None:
    for content in (b"hello\n", b"x" * 300, b"{" + b" " * 600):
        (tmp_path / "file").write_bytes(content)
        refused(ocigc(command, tmp_path / "file"), 2, "neither the directory of an image layout nor a tar archive")
    (tmp_path / "file").write_bytes(b"")
    empty = ocigc(command, tmp_path / "file")
    assert empty.code in (1, 2)
    assert "it is empty" in empty.out + empty.err


def test_other_tools_ways_to_name_things(layout: LayoutWriter) -> None:
    refused(ocigc("ls", f"oci:{layout.path}"), 2, f"give the directory alone: {layout.path}")
    refused(ocigc("tree", f"oci:{layout.path}:app:1.0", "x"), 2, f"{layout.path}, and the image 'app:1.0' by itself")
    refused(ocigc("ls", f"{layout.path}:app:1.0"), 2, f"{layout.path}, and the image 'app:1.0' by itself")
    refused(ocigc("ls", ""), 2, "its name is empty")
    (layout.path.parent / "image").mkdir()
    (layout.path.parent / "image" / "version").write_text("Directory Transport Version: 1.1\n")
    (layout.path.parent / "image" / "manifest.json").write_text("{}")
    refused(ocigc("ls", f"dir:{layout.path.parent / 'image'}"), 2, "skopeo copy dir:")
    refused(ocigc("ls", "docker://quay.io/team/app:1"), 2, "registry", "skopeo copy docker://quay.io/team/app:1")
    refused(ocigc("ls", "https://quay.io"), 2, "registry")
    refused(ocigc("prune", "docker-daemon:app:1"), 2, "docker image prune")
    refused(ocigc("prune", "containers-storage:app:1"), 2, "podman image prune")
    refused(ocigc("rm", "app:1.0", layout.path), 2, "the layout comes first", str(layout.path))


def test_words_of_other_programs() -> None:
    for word, command in (("images", "ls"), ("rmi", "rm"), ("df", "du"), ("gc", "prune"), ("system", "du")):
        refused(ocigc(word), 2, word, f"`ocigc {command}`")
    refused(ocigc("prnue", "x"), 2, "did you mean `ocigc prune`")
    refused(ocigc("frobnicate"), 2, "`ocigc help` lists")
    refused(ocigc("prune", "--dryrun", "x"), 2, "--dryrun", "did you mean --dry-run?")
    refused(ocigc("lease", "creat", "x"), 2, "creat", "did you mean `ocigc lease create`")
    refused(ocigc("help", "prnue"), 2, "did you mean `ocigc prune`")
    refused(ocigc("version"), 2, "did you mean `ocigc --version`?")
    refused(ocigc("repair"), 2, "`ocigc verify --repair-from OTHER LAYOUT`")
    for word in ("pull", "push", "cp"):
        refused(ocigc(word), 2, "ocigc does not copy or tag images; skopeo, oras and crane do")


def test_words_in_another_order(layout: LayoutWriter) -> None:
    refused(ocigc(str(layout.path), "du"), 2, f"the command comes first, as in `ocigc du {layout.path}`")
    refused(ocigc(str(layout.path)), 2, f"as in `ocigc ls {layout.path}`")
    refused(ocigc("-V"), 2, "did you mean --version?")
    refused(ocigc("prune", "-n", layout.path, layout.path.parent), 2, "one LAYOUT at a time", "--recursive")


def test_an_option_is_written_out(layout: LayoutWriter) -> None:
    """Else `ls --all` would be read as --allow-none-in-use."""
    refused(ocigc("ls", "--all", layout.path), 2, "unknown option --all: did you mean --allow-none-in-use?")
    refused(
        ocigc("ls", "-r", layout.path), 2, "unknown option -r: did you mean --recursive or --reverse or --repository?"
    )
    refused(ocigc("prune", "--recurs", layout.path), 2, "did you mean --recursive?")


def test_help_in_all_its_forms() -> None:
    alone = ocigc()
    assert alone.code == 2
    for group in ("Look:", "Check:", "Clean up:", "Undo:"):
        assert f"\n{group}\n" in alone.out
    assert ocigc("help").out == ocigc("--help").out == ocigc("help", "help").out == alone.out
    assert ocigc("help", "prune").out == ocigc("prune", "--help").out
    assert ocigc("help", "lease", "create").out == ocigc("lease", "create", "--help").out
    assert ocigc("help", "prune").code == ocigc("help").code == 0
    assert ocigc("--version").out.startswith("ocigc ")


def test_names_that_are_not_there_are_answered_with_candidates(layout: LayoutWriter) -> None:
    for command in (("tree",), ("why",), ("rm", "-n"), ("lease", "create")):
        refused(ocigc(*command, layout.path, "app:9"), 2, str(layout.path), "'app:9'", "app:1.0, app:1.1")
        refused(ocigc(*command, layout.path, "team/web"), 2, "registry.example/team/web:3")
        refused(ocigc(*command, layout.path, layout.entries[0]["digest"][:10]), 2, "needs at least 7 digits")
        refused(ocigc(*command, layout.path, "regstry.example/team/web:3"), 2, "registry.example/team/web:3")
        refused(ocigc(*command, layout.path, "nothing:*"), 2, "no image matches 'nothing:*'")


def test_patterns_name_several_images(layout: LayoutWriter) -> None:
    removed = ocigc("rm", "-n", "--format", "json", layout.path, "app:1.*").json["ImagesDeleted"]
    assert [each["Untagged"] for each in removed if "Untagged" in each] == ["app:1.0", "app:1.1"]
    trees = ocigc("tree", "--format", "json", layout.path, "app:*").json
    assert [each["Depth"] for each in trees].count(0) == 2
    refused(ocigc("why", layout.path, "app:*"), 2, "matches several images", "app:1.0, app:1.1")
    assert ocigc("why", layout.path, "*/team/web:?").code == 0
    lease = ocigc("lease", "create", layout.path, "app:*").out.strip()
    (found,) = ocigc("lease", "ls", "--format", "json", layout.path).json
    assert (found["ID"], len(found["Resources"])) == (lease, 2)

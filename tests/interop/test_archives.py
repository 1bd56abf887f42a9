"""Archives as skopeo and `docker save` write them, and what skopeo makes of those that ocigc points it to."""

from __future__ import annotations

import re
import shlex
import tarfile
from pathlib import Path

import pytest

from tests.helpers.command import ocigc
from tests.helpers.layouts import LayoutWriter
from tests.interop.programs import call, needs
from tests.interop.test_docker_save import APP, NEXT, Saved, _layer


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    """Images that programs believe: layers are archives, and configs know their diff IDs."""
    writer = LayoutWriter(tmp_path / "mirror")
    saved = Saved(writer)
    writer.tag(saved.image("one", ["base", "own"]), "app:1")
    writer.tag(saved.image("two", ["base", "other"]), "app:2")
    return writer


@needs("skopeo")
def test_oci_archive(layout: LayoutWriter, tmp_path: Path) -> None:
    archive, copied = tmp_path / "app.tar", tmp_path / "copied"
    call("skopeo", "copy", "--preserve-digests", f"oci:{layout.path}:app:1", f"oci-archive:{archive}:app:1")
    assert ocigc("verify", archive).code == 0
    assert ocigc("verify", "--deep", archive).code == 0
    (image,) = ocigc("ls", "--format", "json", archive).json
    assert image["Name"].endswith("app:1")
    found = ocigc("diff", "--format", "json", archive, layout.path).json
    assert (found["OnlyInA"], found["Different"], found["Same"]) == ([], [], 1)
    assert [each["Name"] for each in found["OnlyInB"]] == ["app:2"]
    assert found["AToB"]["Blobs"] == 0
    assert found["BToA"]["Blobs"] == 3
    call("skopeo", "copy", "--preserve-digests", f"oci-archive:{archive}:app:1", f"oci:{copied}:app:1")
    assert ocigc("diff", "--exit-code", archive, copied).code == 0
    # A byte of its layer is turned around on the way.
    with tarfile.open(archive) as members:
        largest = max(members, key=lambda each: each.size)
    with archive.open("r+b") as file:
        file.seek(largest.offset_data)
        byte = file.read(1)[0]
        file.seek(largest.offset_data)
        file.write(bytes([byte ^ 1]))
    result = ocigc("verify", archive)
    assert result.code == 1
    assert largest.name.rpartition("/")[2][:12] in result.out


@needs("skopeo")
def test_archives_of_older_engines(layout: LayoutWriter, tmp_path: Path) -> None:
    """What is said of them helps."""
    archive = tmp_path / "old save.tar"
    call("skopeo", "copy", f"oci:{layout.path}:app:1", f"docker-archive:{archive}:app:1")
    result = ocigc("verify", archive)
    assert (result.code, len(result.err.splitlines())) == (2, 1)
    (advice,) = re.findall(r"`(skopeo [^`]*)`", result.err)
    call(*shlex.split(advice.replace("oci:DIRECTORY:TAG", f"oci:{tmp_path}/made:app:1")))
    assert ocigc("verify", tmp_path / "made").code == 0


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_docker_save(tmp_path: Path, form: int) -> None:
    """What docker 25 and newer write: a layout with manifest.json, directories first."""
    saved = Saved(LayoutWriter(tmp_path / "saved"))
    for seed, names in (("one", APP), ("two", NEXT)):
        image = saved.image(seed, ["base", seed])
        saved.name(image, *names)
        saved.list(image, *names)
    saved.layout.blob(_layer("unheard of"))
    saved.done()
    archive = tmp_path / "saved.tar"
    with tarfile.open(archive, "w", format=form) as members:
        for file in sorted(saved.layout.path.rglob("*")):
            members.add(file, str(file.relative_to(saved.layout.path)), recursive=False)
    assert ocigc("verify", "--deep", archive).code == 0
    names = [each["Name"] for each in ocigc("ls", "--format", "json", archive).json]
    assert names == sorted([*APP, *NEXT])
    assert ocigc("check", archive).out == ocigc("check", saved.layout.path).out
    assert ocigc("diff", "--exit-code", archive, saved.layout.path).code == 0

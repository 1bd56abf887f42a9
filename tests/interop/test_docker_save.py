"""What `docker save` writes, by its sources: there is no engine where these tests run.

- The classic image store: moby 29.7, daemon/internal/image/tarexport/save.go (`saveSession.save`, `saveConfig`).
- The containerd image store, and `ctr images export`: containerd 2.3, core/images/archive/exporter.go (`Export`,
  `manifestsRecord`), called by moby 29.7, daemon/containerd/image_exporter.go (`ExportImage`).
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.helpers.layouts import CONFIG, Descriptor, LayoutWriter, path_of
from tests.interop.programs import call, entries, needs, pruned

CREATED = "2024-05-01T00:00:00Z"
APP = ("docker.io/library/app:1", "docker.io/library/app:stable")
NEXT = ("docker.io/library/app:2",)
OTHER = ("registry.example/other:1",)
ABSENT = ("sha256:" + "1" * 64, "sha256:" + "2" * 64)


def _layer(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(name)
        archive.addfile(member, io.BytesIO(name.encode()))
    return buffer.getvalue()


def _familiar(name: str) -> str:
    return name.removeprefix("docker.io/library/")


@dataclass
class Saved:
    layout: LayoutWriter
    listed: list[dict[str, Any]] = field(default_factory=list)
    """manifest.json, which is what older engines load."""
    unheard_of: set[str] = field(default_factory=set)
    """Blobs that nothing refers to."""

    def image(self, seed: str, layers: list[str], architecture: str = "amd64") -> Descriptor:
        written = [self.layout.blob(_layer(layer)) for layer in layers]
        document = {
            "architecture": architecture,
            "config": {"Cmd": ["/bin/sh"], "Labels": {"seed": seed}},
            "created": CREATED,
            "history": [{"created": CREATED, "created_by": layer} for layer in layers],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in written]},
        }
        return self.layout.manifest(self.layout.json(document, CONFIG), written)

    def name(self, target: Descriptor, *names: str) -> None:
        """An entry for each name, as both write them."""
        for name in names:
            tag = name.rpartition(":")[2]
            self.layout.tag(target, tag, **{"io.containerd.image.name": name})

    def list(self, image: Descriptor, *names: str) -> None:
        manifest = json.loads(self.layout.blob_path(image).read_text())
        layers = [path_of(layer) for layer in manifest["layers"]]
        tags = [_familiar(name) for name in names]
        self.listed.append({"Config": path_of(manifest["config"]), "RepoTags": tags, "Layers": layers})

    def done(self) -> None:
        (self.layout.path / "manifest.json").write_text(json.dumps(self.listed))
        for file in self.layout.path.rglob("*"):
            os.utime(file, (0, 0))

    def loads(self, *tags: str) -> None:
        """What `docker load` reads of manifest.json (tarexport/load.go) is there: images with these tags, no others."""
        documents = json.loads((self.layout.path / "manifest.json").read_text())
        assert {tag for each in documents for tag in each["RepoTags"]} >= set(tags)
        assert all(set(each["RepoTags"]) & set(tags) for each in documents)
        assert all(
            (self.layout.path / path).is_file() for each in documents for path in (each["Config"], *each["Layers"])
        )


def classic(path: Path) -> Saved:
    """From the classic store: a configuration of each layer beside, as docker wrote them before 1.9."""
    saved = Saved(LayoutWriter(path))
    repositories: dict[str, dict[str, str]] = {}
    for names, layers in ((APP, ["base", "one"]), (NEXT, ["base", "two"]), (OTHER, ["other"])):
        image = saved.image(names[0], layers)
        for count in range(1, len(layers) + 1):
            chain = "-".join(layers[:count])
            document = {
                "id": chain,
                "created": "1970-01-01T00:00:00Z",
                "container_config": {"Cmd": None},
                "os": "linux",
            }
            saved.unheard_of.add(saved.layout.json(document, CONFIG)["digest"])
        saved.name(image, *names)
        saved.list(image, *names)
        for name in names:
            repository, _, tag = _familiar(name).rpartition(":")
            repositories.setdefault(repository, {})[tag] = saved.listed[-1]["Layers"][-1].rpartition("/")[2]
    for each in saved.listed:
        each["LayerSources"] = {"sha256:" + path.rpartition("/")[2]: {"digest": path} for path in each["Layers"]}
    (path / "repositories").write_text(json.dumps(repositories))
    saved.done()
    return saved


def containerd(path: Path) -> Saved:
    """From the containerd store, on amd64: an index whose other platform never was here, with its attestation."""
    saved = Saved(LayoutWriter(path))
    absent = iter(ABSENT)
    for names, layers in ((APP, ["base", "one"]), (NEXT, ["base", "two"])):
        image = saved.image(names[0], layers)
        statement = saved.layout.blob(f"of {names[0]}", "application/vnd.in-toto+json")
        attestation = saved.layout.manifest(saved.layout.config(names[0]), [statement])
        kind = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}
        platforms = [
            {**image, "platform": {"architecture": "amd64", "os": "linux"}},
            {**image, "digest": next(absent), "platform": {"architecture": "arm64", "os": "linux"}},
            {**attestation, "annotations": kind, "platform": {"architecture": "unknown", "os": "unknown"}},
        ]
        saved.name(saved.layout.index(platforms), *names)
        saved.list(image, *names)
    image = saved.image(OTHER[0], ["other"])
    saved.name(image, *OTHER)
    saved.list(image, *OTHER)
    sbom = saved.layout.manifest(saved.layout.config("sbom"), [saved.layout.blob("sbom")], subject=image)
    saved.layout.entry(
        sbom, **{"io.containerd.manifest.subject": image["digest"]}
    )  # as containerd 2.2 exports referrers
    saved.done()
    return saved


def test_classic_by_default_only_what_nothing_refers_to_goes(tmp_path: Path) -> None:
    saved = classic(tmp_path / "layout")
    report = pruned(saved.layout.path)
    assert report["ImagesDeleted"] == []
    assert set(report["Orphans"]) == saved.unheard_of
    assert entries(saved.layout.path) == saved.layout.entries
    saved.loads("app:1", "app:stable", "app:2", "registry.example/other:1")


def test_classic_an_image_goes_from_both_lists(tmp_path: Path) -> None:
    saved = classic(tmp_path / "layout")
    report = pruned(saved.layout.path, "--all", "--in-use", "-", stdin="app:2\n")
    untagged = [each["Untagged"] for each in report["ImagesDeleted"] if "Untagged" in each]
    assert untagged == ["app:1", "app:stable", "registry.example/other:1"]
    saved.loads("app:2")
    assert (saved.layout.path / "repositories").exists()


def test_classic_an_image_stays_in_the_list_as_long_as_it_has_a_name(tmp_path: Path) -> None:
    saved = classic(tmp_path / "layout")
    pruned(saved.layout.path, "--all", "--in-use", "-", stdin="app:stable\n")
    saved.loads("app:stable")


@needs("skopeo")
def test_classic_what_stays_is_read_in_both_forms(tmp_path: Path) -> None:
    saved = classic(tmp_path / "layout")
    read = (("oci", f"oci:{saved.layout.path}:2"), ("docker", f"docker-archive:{tmp_path / 'archive.tar'}:app:2"))

    def copies(to: str) -> dict[str, bytes]:
        call("tar", "-C", saved.layout.path, "-cf", tmp_path / "archive.tar", "manifest.json", "repositories", "blobs")
        for form, source in read:
            call("skopeo", "copy", source, f"dir:{tmp_path / to / form}")
        return {str(file.relative_to(tmp_path / to)): file.read_bytes() for file in (tmp_path / to).glob("*/*")}

    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    before = copies("before")
    pruned(saved.layout.path, "--all", "--in-use", "-", stdin="app:2\n")
    assert copies("after") == before


def test_containerd_nothing_goes_by_default(tmp_path: Path) -> None:
    saved = containerd(tmp_path / "layout")
    report = pruned(saved.layout.path, absent=ABSENT)
    assert (report["ImagesDeleted"], report["Orphans"]) == ([], [])
    assert entries(saved.layout.path) == saved.layout.entries
    saved.loads("app:1", "app:stable", "app:2", "registry.example/other:1")


def test_containerd_an_index_goes_with_its_attestation(tmp_path: Path) -> None:
    saved = containerd(tmp_path / "layout")
    report = pruned(
        saved.layout.path, "--all", "--in-use", "-", stdin="app:1\nregistry.example/other:1\n", absent=ABSENT
    )
    untagged = [each["Untagged"] for each in report["ImagesDeleted"] if "Untagged" in each]
    assert untagged == ["app:2", "app:stable"]
    assert [entry["digest"] for entry in entries(saved.layout.path)] == [
        saved.layout.entries[number]["digest"] for number in (0, 3, 4)
    ]
    saved.loads("app:1", "registry.example/other:1")


def test_containerd_a_referrer_goes_with_its_subject(tmp_path: Path) -> None:
    saved = containerd(tmp_path / "layout")
    pruned(saved.layout.path, "--all", "--in-use", "-", stdin="app:2\n", absent=ABSENT)
    assert len(entries(saved.layout.path)) == 1
    saved.loads("app:2")

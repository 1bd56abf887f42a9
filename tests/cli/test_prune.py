"""`ocigc prune` beyond moby's rules: guards, grace, referrers, labels, sizes, the command line."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import MANIFEST, LayoutWriter, snapshot

ALL = ("prune", "--all", "--force", "--grace", "0s", "--format", "json")


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    return LayoutWriter(tmp_path / "layout")


def in_use(*references: str) -> str:
    return json.dumps([{"Id": "c", "Image": "", "Config": {"Image": reference}} for reference in references])


def untagged(report: dict[str, list[dict[str, str]]]) -> list[str]:
    return [item["Untagged"] for item in report["ImagesDeleted"] if "Untagged" in item]


def test_dry_run_prints_what_a_real_run_does_and_changes_nothing(layout: LayoutWriter) -> None:
    layout.tag(layout.image("a", ["base", "a"]), "example.com/a:1")
    layout.tag(layout.image("b", ["base", "b"]))
    layout.blob("orphan")
    before = snapshot(layout.path)
    dry = ocigc("prune", "--dry-run", "--grace", "0s", "--format", "json", layout.path)
    assert dry.code == 0
    assert snapshot(layout.path) == before
    assert not (layout.path / ".ocigc").exists()
    real = ocigc("prune", "--force", "--grace", "0s", "--format", "json", layout.path)
    assert {**dry.json, "DryRun": False} == real.json
    assert dry.json["DryRun"] is True
    again = ocigc("prune", "--force", "--grace", "0s", "--format", "json", layout.path)
    assert again.json == {
        "ImagesDeleted": [],
        "SpaceReclaimed": 0,
        "SpaceTrashed": 0,
        "Unleased": [],
        "Orphans": [],
        "Leftovers": [],
        "DryRun": False,
        "Errors": [],
    }


def test_without_a_terminal_it_wants_force(layout: LayoutWriter) -> None:
    layout.tag(layout.image("a"))
    before = snapshot(layout.path)
    refused(ocigc("prune", "--allow-empty", layout.path), 2, "--force")
    assert snapshot(layout.path) == before


def test_the_last_image_goes_only_when_that_is_meant(layout: LayoutWriter) -> None:
    layout.tag(layout.image("only"))
    before = snapshot(layout.path)
    refused(ocigc("prune", "--force", layout.path), 3, "--allow-empty")
    assert snapshot(layout.path) == before
    dry = ocigc("prune", "--dry-run", layout.path)
    assert dry.code == 0
    assert "--allow-empty" in dry.err
    assert "1 image goes, 0 stay" in dry.out
    assert ocigc("prune", "--force", "--allow-empty", layout.path).code == 0
    assert layout.present() == set()


def test_a_layout_without_images_loses_only_orphans(layout: LayoutWriter) -> None:
    layout.blob("orphan")
    refused(ocigc(*ALL, layout.path), 3, "every blob")
    assert ocigc(*ALL, "--allow-empty", layout.path).code == 0
    assert layout.present() == set()


def test_young_orphans_stay(layout: LayoutWriter) -> None:
    layout.tag(layout.image("kept"), "example.com/kept:1")
    old_layer, old = layout.blob("reached by a young manifest"), layout.blob("old")
    time.sleep(5.1)
    young = layout.manifest(layout.config("young"), [old_layer])
    result = ocigc("prune", "--force", "--grace", "5s", "--format", "json", layout.path)
    assert result.json["Orphans"] == [old["digest"]]
    assert layout.has(young)
    assert layout.has(old_layer)


def test_grace_does_not_hold_back_what_a_pruned_image_held(layout: LayoutWriter) -> None:
    layout.tag(layout.image("kept", ["kept"]), "example.com/kept:1")
    gone = layout.image("gone", ["gone"])
    layout.tag(gone)
    result = ocigc("prune", "--force", "--format", "json", layout.path)
    assert len(result.json["ImagesDeleted"]) == 4
    assert not layout.has(gone)


def test_referrers_share_the_fate_of_their_subject(layout: LayoutWriter) -> None:
    subject, kept = layout.image("subject", ["s"]), layout.image("kept", ["k"])
    layout.tag(subject, "example.com/app:1")
    layout.tag(kept, "example.com/kept:1")
    signature = layout.manifest(layout.config("signature"), [layout.blob("sig")], subject=subject)
    layout.tag(signature)
    about_signature = layout.manifest(layout.config("sbom of the signature"), [], subject=signature)
    unlisted = layout.manifest(layout.config("listed nowhere"), [layout.blob("u")], subject=kept)
    fallback = layout.image("fallback", ["f"])
    layout.tag(fallback, "example.com/app:" + subject["digest"].replace(":", "-") + ".sig")
    family = (subject, signature, about_signature, fallback)

    first = ocigc("prune", "--force", "--grace", "0s", "--format", "json", layout.path)
    assert first.json["ImagesDeleted"] == [], "none of them is dangling"
    assert first.json["Orphans"] == []

    second = ocigc(*ALL, "--in-use", "-", layout.path, stdin=in_use("example.com/kept:1"))
    assert second.code == 0, second
    assert not any(map(layout.has, family))
    assert layout.has(unlisted)
    assert sorted(untagged(second.json)) == sorted(
        ["example.com/app:1", signature["digest"], "example.com/app:" + subject["digest"].replace(":", "-") + ".sig"]
    )
    left = json.loads((layout.path / "index.json").read_text())["manifests"]
    assert [entry["digest"] for entry in left] == [kept["digest"]]


def test_a_referrer_of_what_a_lease_keeps_stays(layout: LayoutWriter) -> None:
    subject, other = layout.image("subject"), layout.image("other", ["o"])
    layout.tag(subject, "example.com/app:1")
    layout.tag(other, "example.com/other:1")
    signature = layout.manifest(layout.config("signature"), [layout.blob("sig")], subject=subject)
    layout.tag(signature)
    layout.lease("hold", [subject], flat="true")
    result = ocigc(*ALL, layout.path)
    assert untagged(result.json) == ["example.com/app:1", "example.com/other:1"]
    assert layout.has(subject)
    assert layout.has(signature)


def test_an_image_whose_subject_is_absent_is_an_image_like_any_other(layout: LayoutWriter) -> None:
    layout.tag(layout.image("kept", ["k"]), "example.com/kept:1")
    subject = layout.image("absent")
    lone = layout.manifest(layout.config("lone"), [], subject=subject)
    layout.tag(lone)
    layout.blob_path(subject).unlink()
    result = ocigc("prune", "--force", "--grace", "0s", "--format", "json", layout.path)
    assert untagged(result.json) == [lone["digest"]]


def test_a_lease_keeps_its_resources_until_it_ends(layout: LayoutWriter) -> None:
    layout.tag(layout.image("kept", ["k"]), "example.com/kept:1")
    whole, flat, expired = (layout.image(name, [name]) for name in ("whole", "flat", "expired"))
    layout.lease("whole", [whole], expire="not a time")
    layout.lease("flat", [flat], flat="true", expire="2999-01-01T00:00:00Z")
    layout.lease("expired", [expired], expire="2020-01-01T00:00:00Z")
    assert ocigc("prune", "--force", "--grace", "0s", layout.path).code == 0
    assert layout.has(whole)
    assert layout.has(layout.blob("whole"))
    assert layout.has(flat)
    assert not layout.has(expired)
    assert (layout.path / "leases" / "expired.json").exists()


def test_sidecars_go_with_their_blobs(layout: LayoutWriter) -> None:
    kept, gone = layout.image("kept", ["k"]), layout.image("gone", ["g"])
    layout.tag(kept, "example.com/kept:1")
    layout.tag(gone)
    for target in (kept, gone):
        layout.labels(target, {"x": "y"})
    assert ocigc("prune", "--force", layout.path).code == 0
    assert layout.sidecar_path(kept).exists()
    assert not layout.sidecar_path(gone).exists()


def test_configs_that_no_image_has_lose_their_snapshot_label(layout: LayoutWriter) -> None:
    config = layout.config("shared")
    gone = layout.manifest(config, [layout.blob("g")])
    layout.tag(gone, "example.com/gone:1")
    layout.tag(layout.image("kept", ["k"]), "example.com/kept:1")
    label = "containerd.io/gc.ref.snapshot.native"
    layout.labels(config, {label: "key", "other": "stays", "containerd.io/gc.root": "1"})
    options = ("--in-use", "-", "--driver", "native")
    dry = ocigc(*ALL, *options, "--dry-run", layout.path, stdin=in_use("example.com/kept:1"))
    real = ocigc(*ALL, *options, layout.path, stdin=in_use("example.com/kept:1"))
    expected = [{"Digest": config["digest"], "Label": label, "Snapshot": "key"}]
    assert dry.json["Unleased"] == real.json["Unleased"] == expected
    assert json.loads(layout.sidecar_path(config).read_text()) == {"other": "stays", "containerd.io/gc.root": "1"}


def test_hard_links_free_nothing_until_the_last_one_goes(layout: LayoutWriter, tmp_path: Path) -> None:
    layout.tag(layout.image("kept", ["k"]), "example.com/kept:1")
    outside = layout.blob("x" * 1000)
    inside = layout.blob("y" * 500)
    os.link(layout.blob_path(outside), tmp_path / "elsewhere")
    copy = layout.path / "blobs" / "sha256" / ("c" * 64)
    os.link(layout.blob_path(inside), copy)
    result = ocigc(*ALL, "--in-use", "-", layout.path, stdin=in_use("example.com/kept:1"))
    assert result.json["SpaceReclaimed"] == 500
    assert (tmp_path / "elsewhere").read_text() == "x" * 1000


def test_bare_tags_and_the_repository(layout: LayoutWriter) -> None:
    for tag in ("3.18", "3.19"):
        layout.tag(layout.image(tag, [tag]), tag)
    options = ("--in-use", "-", "--dry-run")
    repository = ("--repository", "docker.io/library/alpine")
    result = ocigc(*ALL, *options, *repository, layout.path, stdin=in_use("alpine:3.18"))
    assert untagged(result.json) == ["alpine:3.19"]
    result = ocigc(*ALL, *options, "--repository", "quay.io/x/y", layout.path, stdin=in_use("alpine:3.18"))
    assert untagged(result.json) == ["quay.io/x/y:3.18", "quay.io/x/y:3.19"]
    result = ocigc(*ALL, *options, layout.path, stdin=in_use("alpine:3.18"))
    assert untagged(result.json) == ["3.19"], "whose tag it is, nobody said: it may be the one in use"


def test_names_in_use_are_compared_in_their_normal_form(layout: LayoutWriter) -> None:
    layout.tag(layout.image("short", ["s"]), "alpine:3.18")
    layout.tag(layout.image("long", ["l"]), "docker.io/library/busybox:latest")
    result = ocigc(*ALL, "--in-use", "-", layout.path, stdin=in_use("docker.io/library/alpine:3.18", "busybox"))
    assert untagged(result.json) == []


def test_entries_of_one_name_and_digest_are_one_image(layout: LayoutWriter) -> None:
    layout.tag(layout.image("kept", ["k"]), "example.com/kept:1")
    twice = layout.image("twice", ["t"])
    layout.entry(twice)
    layout.entry(twice)
    result = ocigc("prune", "--force", "--grace", "0s", "--format", "json", layout.path)
    assert untagged(result.json) == [twice["digest"]]
    assert len(json.loads((layout.path / "index.json").read_text())["manifests"]) == 1


def test_what_other_tools_wrote_into_the_index_stays_as_it_was(layout: LayoutWriter) -> None:
    kept, gone = layout.image("kept", ["k"]), layout.image("gone", ["g"])
    entry = '{"digest": "%s",\n   "size" : %d, "x-future": [1.50, "\\u00e9"], "mediaType": "%s", "annotations": {"org.opencontainers.image.ref.name":"a.example/k:1" } }'  # noqa: E501
    kept_text = entry % (kept["digest"], kept["size"], kept["mediaType"])
    text = '{\n  "x": {"z": 1e2, "a": null},\n  "manifests": [%s,\n  %s],\n "schemaVersion": 2\n}\n'
    gone_text = json.dumps(gone)
    (layout.path / "index.json").write_text(text % (gone_text, kept_text))
    os.chmod(layout.path / "index.json", 0o640)
    assert ocigc("prune", "--force", "--grace", "0s", layout.path).code == 0
    expected = (text % (gone_text, kept_text)).replace(gone_text + ",\n  ", "")
    assert (layout.path / "index.json").read_text() == expected
    assert (layout.path / "index.json").stat().st_mode & 0o777 == 0o640


def test_an_image_in_use_by_digest_loses_its_name_but_stays(layout: LayoutWriter) -> None:
    target = layout.image("used", ["u"])
    layout.tag(target, "example.com/used:1", note="kept")
    containers = json.dumps([{"Id": "c", "Image": target["digest"], "Config": {"Image": target["digest"][7:19]}}])
    result = ocigc(*ALL, "--in-use", "-", layout.path, stdin=containers)
    assert result.json["ImagesDeleted"] == [{"Untagged": "example.com/used:1"}]
    (entry,) = json.loads((layout.path / "index.json").read_text())["manifests"]
    assert entry == {**target, "annotations": {"note": "kept"}}


def test_in_use_that_names_nothing_is_refused(layout: LayoutWriter) -> None:
    layout.tag(layout.image("a"), "example.com/a:1")
    refused(ocigc(*ALL, "--allow-empty", "--in-use", "-", layout.path, stdin="[]"), 2, "--allow-none-in-use")
    assert ocigc(*ALL, "--allow-empty", "--allow-none-in-use", "--in-use", "-", layout.path, stdin="[]").code == 0


@pytest.mark.parametrize(
    "content", ["", "{", '{"a": 1}', '[{"Id": "x"}]', "\0", '[{"Config": {"Image": 1}, "Image": ""}]']
)
def test_in_use_that_nobody_understands(layout: LayoutWriter, content: str) -> None:
    layout.tag(layout.image("a"), "example.com/a:1")
    before = snapshot(layout.path)
    result = ocigc(*ALL, "--allow-empty", "--in-use", "-", layout.path, stdin=content)
    refused(result, 2, "--in-use")
    assert result.json["Errors"]
    assert snapshot(layout.path) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("--grace", "-1h"),
        ("--grace", "soon"),
        ("--format", "xml"),
        ("--repository", "UPPER"),
        ("--repository", "a:tag"),
        ("--in-use", "/nonexistent"),
        ("--filter", "until=tomorrow"),
        ("--no-such-option",),
    ],
)
def test_wrong_usage_changes_nothing(layout: LayoutWriter, arguments: tuple[str, ...]) -> None:
    before = snapshot(layout.path)
    refused(ocigc("prune", "--force", *arguments, layout.path), 2)
    assert snapshot(layout.path) == before


def test_a_second_run_is_refused_while_one_is_under_way(layout: LayoutWriter) -> None:
    import fcntl

    layout.tag(layout.image("a"), "example.com/a:1")
    (layout.path / ".ocigc").mkdir()
    with (layout.path / ".ocigc" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(ocigc("prune", "--force", layout.path), 3, "already running")
        refused(ocigc("prune", "--force", "--wait", "200ms", layout.path), 3, "already running")
    assert ocigc("prune", "--force", "--wait", "10s", layout.path).code == 0


def test_blake3_and_sha512_manifests(layout: LayoutWriter) -> None:
    from blake3 import blake3

    layer = layout.blob("layer under sha512", algorithm="sha512")
    manifest = json.dumps({"schemaVersion": 2, "config": layout.config("b"), "layers": [layer]}).encode()
    (layout.path / "blobs" / "blake3").mkdir()
    digest = f"blake3:{blake3(manifest).hexdigest()}"
    path = layout.path / "blobs" / digest.replace(":", "/")
    path.write_bytes(manifest)
    target = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": len(manifest)}
    layout.tag(target, "example.com/b3:1")
    used = in_use("example.com/b3:1")
    assert ocigc(*ALL, "--in-use", "-", layout.path, stdin=used).code == 0
    assert layout.has(layer)
    path.write_bytes(manifest + b" ")
    refused(ocigc("prune", "--force", layout.path), 3, digest)


@pytest.mark.parametrize("suffix", ["", ".att"])
def test_a_fallback_tag_of_a_sha512_is_cut_short(layout: LayoutWriter, suffix: str) -> None:
    document = json.dumps({"schemaVersion": 2, "config": layout.config("s"), "layers": []})
    kept, gone = (layout.blob(document + end, MANIFEST, "sha512") for end in ("", " "))
    layout.tag(kept, "example.com/kept:1")
    layout.tag(gone, "example.com/gone:1")
    tags = {
        subject["digest"]: f"example.com/kept:{subject['digest'].replace(':', '-')[:71]}{suffix}"
        for subject in (kept, gone)
    }
    for digest, tag in tags.items():
        layout.tag(layout.image(digest, [digest]), tag)
    result = ocigc(*ALL, "--in-use", "-", layout.path, stdin=in_use("example.com/kept:1"))
    assert untagged(result.json) == ["example.com/gone:1", tags[gone["digest"]]]


def test_very_many_entries_of_one_image(layout: LayoutWriter) -> None:
    layout.tag(layout.image("kept", ["k"]), "example.com/kept:1")
    many = layout.image("many", ["m"])
    layout.entries += [{**many, "annotations": {"number": str(number)}} for number in range(20_000)]
    layout.write_index()
    result = ocigc("prune", "--force", "--grace", "0s", "--format", "json", layout.path)
    assert untagged(result.json) == [many["digest"]]
    assert len(json.loads((layout.path / "index.json").read_text())["manifests"]) == 1


def test_a_suffix_in_capitals_is_looked_into_too(layout: LayoutWriter) -> None:
    held = layout.blob("held")
    layout.tag(
        layout.manifest(layout.config(), [layout.json({"x": held}, "application/vnd.example.x+JSON")]),
        "example.com/x:1",
    )
    assert ocigc("prune", "--force", "--grace", "0s", layout.path).code == 0
    assert layout.has(held)


@pytest.mark.parametrize("held", ["index.json.lock", ".ocigc/lock"])
def test_a_lock_that_another_program_has_is_one_clear_sentence(layout: LayoutWriter, held: str) -> None:
    layout.tag(layout.image("gone"), "example.com/gone:1")
    before = layout.present()
    (layout.path / ".ocigc").mkdir()
    with (layout.path / held).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = ocigc("prune", "--all", "--force", "--allow-empty", "--grace", "0s", layout.path)
    refused(done, 3, "; try again later, or give --wait to wait for it")
    what = "changing index.json; the run was rolled back: nothing was changed" if "index" in held else "already running"
    assert f"{what}; try again later" in done.err
    assert layout.present() == before

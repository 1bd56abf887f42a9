"""Referrers: signatures, attestations and bills of materials stay and go with what they refer to."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import ocigc, prune, refused
from tests.helpers.layouts import Descriptor, LayoutWriter

EMPTY = "application/vnd.oci.empty.v1+json"


@pytest.fixture
def layout(tmp_path: Path) -> LayoutWriter:
    writer = LayoutWriter(tmp_path / "layout")
    writer.tag(writer.image("kept"), "reg.example/kept:1")
    return writer


def about(layout: LayoutWriter, subject: Descriptor, seed: str) -> Descriptor:
    """A manifest that refers to a subject."""
    return layout.manifest(layout.json({}, EMPTY), [layout.blob(seed)], subject=subject, artifactType="example/sbom")


def fallback(subject: Descriptor, suffix: str = "") -> str:
    return "reg.example/app:" + subject["digest"].replace(":", "-") + suffix


def entries(layout: LayoutWriter) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((layout.path / "index.json").read_text())["manifests"]
    return found


def listed(layout: LayoutWriter) -> set[str]:
    return {entry["digest"] for entry in entries(layout)}


def states(layout: LayoutWriter) -> dict[str | None, tuple[bool, bool, bool]]:
    images = ocigc("ls", "--format", "json", layout.path).json
    return {image["Name"]: (image["Dangling"], image["Referrer"], image["Orphaned"]) for image in images}


NAMES = pytest.mark.parametrize("name", [None, "fallback", "fallback.sig", "reg.example/app:sig-1"])


def tag(layout: LayoutWriter, target: Descriptor, subject: Descriptor, name: str | None) -> None:
    if name is None:
        layout.entry(target)
    else:
        layout.tag(target, fallback(subject, name[8:]) if name.startswith("fallback") else name)


@NAMES
@pytest.mark.parametrize(
    "arguments", [[], ["-a"], ["-a", "--filter", "until=2030-01-01"], ["-a", "--filter", "label=x"]]
)
def test_it_stays_with_its_subject(layout: LayoutWriter, name: str | None, arguments: list[str]) -> None:
    app = layout.image("app", created="2024-01-01T00:00:00Z", labels={"x": "y"})
    layout.tag(app, "reg.example/app:1")
    tag(layout, about(layout, app, "sbom"), app, name)
    before = entries(layout)
    used = "reg.example/app:1\nreg.example/kept:1\n"
    assert prune(layout, *arguments, used=used) == []
    assert entries(layout) == before


@NAMES
def test_it_goes_with_its_subject(layout: LayoutWriter, name: str | None) -> None:
    app = layout.image("app")
    layout.tag(app, "reg.example/app:1")
    signature = about(layout, app, "sbom")
    tag(layout, signature, app, name)
    gone = prune(layout, "-a", used="reg.example/kept:1\n")
    assert len(gone) == 2
    assert not {app["digest"], signature["digest"]} & listed(layout)
    assert not layout.has(signature)


@NAMES
def test_rm_of_the_subject_takes_what_has_no_name_of_its_own(layout: LayoutWriter, name: str | None) -> None:
    app = layout.image("app")
    layout.tag(app, "reg.example/app:1")
    signature = about(layout, app, "sbom")
    tag(layout, signature, app, name)
    assert ocigc("rm", "-f", layout.path, "reg.example/app:1").code == 0
    own = name is not None and not name.startswith("fallback")
    assert layout.has(signature) == (signature["digest"] in listed(layout)) == own
    assert not layout.has(app)


def test_a_name_of_its_own_stays_as_a_root(layout: LayoutWriter) -> None:
    app = layout.image("app")
    layout.entry(app)
    signature = about(layout, app, "sbom")
    layout.tag(signature, "reg.example/app:sig-1")
    assert prune(layout) == [app["digest"]]
    assert layout.has(signature)
    assert states(layout)["reg.example/app:sig-1"] == (False, False, True)


def test_a_filter_keeps_a_name_of_its_own_when_the_subject_goes(layout: LayoutWriter) -> None:
    app = layout.image("app", created="2020-01-01T00:00:00Z")
    layout.tag(app, "reg.example/app:1")
    signature = about(layout, app, "sbom")
    layout.tag(signature, "reg.example/app:sig", **{"org.opencontainers.image.created": "2025-01-01T00:00:00Z"})
    used = "reg.example/kept:1\n"
    assert prune(layout, "-a", "--filter", "until=2024-01-01", used=used) == ["reg.example/app:1"]
    assert prune(layout, "-a", "--filter", "until=2026-01-01", used=used) == ["reg.example/app:sig"]


def test_a_referrer_of_a_part_stays_with_it(layout: LayoutWriter) -> None:
    part = layout.image("amd64")
    layout.entry(part)
    layout.tag(layout.index([part]), "reg.example/app:1")
    signature = about(layout, part, "sbom")
    layout.entry(signature)
    assert prune(layout) == []
    assert prune(layout, "-a", used="reg.example/kept:1\n")[-1] == "reg.example/app:1"
    assert not layout.has(signature)


def test_referrers_of_referrers_go_with_them(layout: LayoutWriter) -> None:
    app = layout.image("app")
    layout.tag(app, "reg.example/app:1")
    sbom = about(layout, app, "sbom")
    layout.entry(sbom)
    signature = about(layout, sbom, "signature of the sbom")
    layout.tag(signature, fallback(sbom, ".sig"))
    assert prune(layout) == []
    assert len(prune(layout, "-a", used="reg.example/kept:1\n")) == 3
    assert len(listed(layout)) == 1


def test_rm_of_its_own_name_takes_it_sooner(layout: LayoutWriter) -> None:
    app = layout.image("app")
    layout.tag(app, "reg.example/app:1")
    for name in (fallback(app, ".sig"), "reg.example/app:sbom"):
        signature = about(layout, app, name)
        layout.tag(signature, name)
        assert ocigc("rm", "-f", layout.path, name).code == 0
        assert not layout.has(signature)
    signature = about(layout, app, "nameless")
    layout.entry(signature)
    assert ocigc("rm", "-f", layout.path, signature["digest"]).code == 0
    assert not layout.has(signature)
    assert layout.has(app)


def test_in_use_it_stays_without_its_subject(layout: LayoutWriter) -> None:
    app = layout.image("app")
    layout.tag(app, "reg.example/app:1")
    signature = about(layout, app, "sbom")
    layout.tag(signature, fallback(app, ".sig"))
    used = f"reg.example/kept:1\n{fallback(app, '.sig')}\n"
    assert prune(layout, "-a", used=used) == ["reg.example/app:1"]
    assert layout.has(signature)


class TestASubjectThatOnlyTheReferrerReaches:
    """It does not stay by that, and is not pruned by that."""

    def test_the_config_of_the_image_itself(self, layout: LayoutWriter) -> None:
        config = layout.config("odd")
        odd = layout.manifest(config, [layout.blob("odd")])
        layout.tag(odd, fallback(config))
        assert states(layout)[fallback(config)] == (False, False, False)
        assert prune(layout) == []
        assert layout.has(odd)
        assert prune(layout, "-a", used="reg.example/kept:1\n") == [fallback(config)]
        assert not layout.has(odd)

    def test_a_layer_of_the_image_itself(self, layout: LayoutWriter) -> None:
        layer = layout.blob("layer")
        odd = layout.manifest(layout.config("odd"), [layer])
        layout.tag(odd, fallback(layer, ".sig"))
        assert prune(layout) == []
        assert layout.has(odd)

    def test_a_child_of_an_index(self, layout: LayoutWriter) -> None:
        child = layout.image("child")
        index = layout.index([child])
        layout.tag(index, fallback(child))
        assert prune(layout) == []
        assert layout.has(child)
        assert prune(layout, "-a", used="reg.example/kept:1\n") == [fallback(child)]
        assert not layout.has(child)

    def test_what_two_hold_of_each_other(self, layout: LayoutWriter) -> None:
        one, other = layout.image("one"), layout.image("other")
        layout.tag(layout.index([one]), fallback(other))
        layout.tag(layout.index([other]), fallback(one))
        assert prune(layout) == []
        assert layout.has(one)
        assert layout.has(other)
        assert len(prune(layout, "-a", used="reg.example/kept:1\n")) == 2
        assert not layout.has(one)

    def test_a_config_that_another_image_has_until_it_goes(self, layout: LayoutWriter) -> None:
        config = layout.config("shared")
        odd = layout.manifest(config, [layout.blob("odd")])
        layout.tag(odd, fallback(config))
        layout.entry(layout.manifest(config, [layout.blob("other")]))
        assert len(prune(layout)) == 1
        assert layout.has(odd)

    def test_a_fallback_tag_on_its_own_digest_is_an_image(self, layout: LayoutWriter) -> None:
        app = layout.image("app")
        layout.tag(app, fallback(app))
        assert prune(layout) == []
        assert layout.has(app)


class TestOrphaned:
    """Source: harbor#20184: the subject was deleted elsewhere."""

    @pytest.fixture
    def gone(self, layout: LayoutWriter) -> Descriptor:
        subject = layout.image("gone", ["gone"])
        layout.blob_path(subject).unlink()
        return subject

    @pytest.mark.parametrize("name", ["fallback", "fallback.sig", "reg.example/app:sig-1"])
    def test_what_has_a_name_stays_and_is_told(self, layout: LayoutWriter, gone: Descriptor, name: str) -> None:
        tag(layout, about(layout, gone, "sbom"), gone, name)
        assert prune(layout) == []
        shown = states(layout)
        own = next(each for each in shown if each and each.startswith("reg.example/app"))
        assert shown[own] == (False, False, True)
        assert "orphaned" in ocigc("ls", layout.path).out

    def test_a_fallback_tag_alone_tells(self, layout: LayoutWriter, gone: Descriptor) -> None:
        layout.tag(layout.index([]), fallback(gone))
        assert states(layout)[fallback(gone)] == (False, False, True)

    def test_without_a_name_it_is_dangling(self, layout: LayoutWriter, gone: Descriptor) -> None:
        signature = about(layout, gone, "sbom")
        layout.entry(signature)
        assert states(layout)[None] == (True, False, True)
        assert prune(layout) == [signature["digest"]]

    def test_listed_by_another_it_is_a_part(self, layout: LayoutWriter, gone: Descriptor) -> None:
        signature = about(layout, gone, "sbom")
        layout.entry(signature)
        layout.tag(layout.index([signature]), fallback(gone))
        assert prune(layout) == []
        assert len(listed(layout)) == 3

    def test_rm_takes_it(self, layout: LayoutWriter, gone: Descriptor) -> None:
        signature = about(layout, gone, "sbom")
        layout.tag(signature, fallback(gone))
        assert ocigc("rm", "-f", layout.path, fallback(gone)).code == 0
        assert not layout.has(signature)


def test_a_layout_of_nothing_but_a_dangling_image_and_its_referrer_is_not_emptied(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    app = layout.image("app")
    layout.entry(app)
    layout.entry(about(layout, app, "sbom"))
    refused(ocigc("prune", "-f", "--grace", "0s", layout.path), 3, "no image")


class TestCosign:
    """What `cosign save` and hauler write: entries whose `kind` says what they are, without a name of their own."""

    SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
    DSSE = "application/vnd.dsse.envelope.v1+json"

    def signature(self, layout: LayoutWriter, digest: str | None) -> Descriptor:
        image = {} if digest is None else {"image": {"docker-manifest-digest": digest}}
        payload = layout.json({"critical": {**image, "type": "cosign container image signature"}}, self.SIMPLE_SIGNING)
        return layout.manifest(layout.config("signature"), [payload])

    def attestation(self, layout: LayoutWriter, digest: str) -> Descriptor:
        algorithm, encoded = digest.split(":")
        statement = {"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"digest": {algorithm: encoded}}]}
        envelope = {"payload": base64.b64encode(json.dumps(statement).encode()).decode(), "signatures": []}
        return layout.manifest(layout.config("attestation"), [layout.json(envelope, self.DSSE)])

    @pytest.fixture(params=["dev.cosignproject.cosign/", "dev.hauler/"])
    def prefix(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_they_stay_and_go_with_their_image(self, layout: LayoutWriter, prefix: str) -> None:
        app = layout.image("app")
        layout.tag(app, "reg.example/app:1", kind=f"{prefix}image")
        made = [self.signature(layout, app["digest"]), self.attestation(layout, app["digest"])]
        for target, kind in zip(made, ("sigs", "atts"), strict=True):
            layout.entry(target, kind=prefix + kind)
        assert prune(layout) == []
        assert prune(layout, "-a", used="reg.example/app:1\nreg.example/kept:1\n") == []
        assert [state[1] for state in states(layout).values()].count(True) == 1  # two have no name
        assert len(prune(layout, "-a", used="reg.example/kept:1\n")) == 3
        assert not any(map(layout.has, made))

    def test_with_the_name_of_their_image_too(self, layout: LayoutWriter, prefix: str) -> None:
        """What hauler writes."""
        for number in (1, 2):
            app = layout.image(f"app {number}")
            name = f"reg.example/app:{number}"
            layout.tag(app, name, kind=f"{prefix}image")
            layout.tag(self.signature(layout, app["digest"]), name, kind=f"{prefix}sigs")
        assert prune(layout, "-a", used="reg.example/app:2\nreg.example/kept:1\n") == ["reg.example/app:1"] * 2
        assert ocigc("rm", "-f", layout.path, "reg.example/app:2").code == 0
        assert len(listed(layout)) == 1

    def test_what_names_nothing_is_about_what_was_saved_with_it(self, layout: LayoutWriter, prefix: str) -> None:
        app, other = layout.image("app"), layout.image("other")
        layout.tag(app, "reg.example/app:1", kind=f"{prefix}image")
        layout.tag(other, "reg.example/other:1", kind=f"{prefix}image")
        sbom = layout.manifest(layout.config("sbom"), [layout.blob("SPDXVersion: SPDX-2.3")])
        layout.entry(sbom, kind=f"{prefix}sboms")
        torn = self.signature(layout, None)
        layout.entry(torn, kind=f"{prefix}sigs")
        assert prune(layout) == []
        assert len(prune(layout, "-a", used="reg.example/other:1\nreg.example/kept:1\n")) == 1
        assert layout.has(sbom)
        assert layout.has(torn)
        assert len(prune(layout, "-a", used="reg.example/kept:1\n")) == 3
        assert not layout.has(sbom)

    def test_what_names_an_absent_image_is_orphaned(self, layout: LayoutWriter, prefix: str) -> None:
        layout.tag(layout.image("app"), "reg.example/app:1", kind=f"{prefix}image")
        signature = self.signature(layout, "sha256:" + "0" * 64)
        layout.entry(signature, kind=f"{prefix}sigs")
        assert states(layout)[None] == (True, False, True)
        assert prune(layout) == [signature["digest"]]

    def test_the_kind_of_another_tool_says_nothing(self, layout: LayoutWriter) -> None:
        app = layout.image("app")
        layout.tag(app, "reg.example/app:1")
        signature = self.signature(layout, app["digest"])
        layout.entry(signature, kind="example/sigs")
        assert prune(layout) == [signature["digest"]]


def test_a_subject_in_the_entry_counts(layout: LayoutWriter) -> None:
    """What containerd 2.2 exports."""
    app = layout.image("app")
    layout.tag(app, "reg.example/app:1")
    notes = layout.manifest(layout.config("notes"), [layout.blob("notes")])
    layout.entry(notes, **{"io.containerd.manifest.subject": app["digest"]})
    assert prune(layout) == []
    assert len(prune(layout, "-a", used="reg.example/kept:1\n")) == 2
    assert not layout.has(notes)


@NAMES
def test_the_subject_of_an_embedded_manifest_counts(layout: LayoutWriter, name: str | None) -> None:
    app = layout.image("app")
    layout.tag(app, "reg.example/app:1")
    sbom = about(layout, app, "sbom")
    path = layout.blob_path(sbom)
    tag(layout, sbom | {"data": base64.b64encode(path.read_bytes()).decode()}, app, name)
    path.unlink()
    content = layout.blob("sbom")
    assert prune(layout, "-a", used="reg.example/app:1\nreg.example/kept:1\n") == []
    assert layout.has(content)
    assert len(prune(layout, "-a", used="reg.example/kept:1\n")) == 2
    assert not layout.has(content)


@pytest.mark.parametrize("arguments", [("rm",), ("prune", "--policy")])
def test_one_whose_content_is_absent_goes_alone(
    layout: LayoutWriter, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    app = layout.image("app")
    layout.tag(app, "reg.example/app:1")
    signature = layout.image("signature")
    layout.tag(signature, fallback(app, ".sig"))
    layout.blob_path(signature).unlink()
    policy = tmp_path / "policy.toml"
    policy.write_text("[[rule]]\nkeep-tagged = true\ndelete-referrers = true\n")
    ends = [layout.path, fallback(app, ".sig")] if arguments == ("rm",) else [policy, layout.path]
    done = ocigc(*arguments, *ends, "--force")
    assert done.code == 0, done
    assert signature["digest"] not in listed(layout)
    assert layout.has(app)


@pytest.mark.parametrize("first", [True, False])
def test_any_entry_of_a_target_may_tell_its_subject(layout: LayoutWriter, first: bool) -> None:
    app = layout.image("app")
    layout.tag(app, "reg.example/app:1")
    notes = layout.image("notes")
    telling = {"io.containerd.manifest.subject": app["digest"]}
    layout.entry(notes, **(telling if first else {}))
    layout.entry(notes, **({} if first else telling))
    assert prune(layout) == []
    assert prune(layout, "-a", used="reg.example/kept:1\n") == [notes["digest"], "reg.example/app:1"]
    assert not layout.has(notes)


def test_what_would_be_orphaned_goes_at_once_if_a_policy_says_so(layout: LayoutWriter, tmp_path: Path) -> None:
    app, kept = layout.image("app"), layout.image("kept")
    layout.entry(app)
    layout.tag(about(layout, app, "sbom"), "reg.example/app:sbom")
    layout.tag(about(layout, kept, "sbom of kept"), "reg.example/kept:sbom")
    policy = tmp_path / "policy.toml"
    policy.write_text("[[rule]]\nkeep-tagged = true\ndelete-untagged = true\ndelete-orphaned-referrers = true\n")
    assert prune(layout, "--policy", str(policy)) == [app["digest"], "reg.example/app:sbom"]
    assert "reg.example/kept:sbom" in states(layout)


def test_a_part_that_refers_to_what_a_lease_keeps_stays_listed(layout: LayoutWriter) -> None:
    app = layout.image("app")
    part = about(layout, app, "part")
    layout.entry(part)
    layout.tag(layout.index([part]), "reg.example/index:1")
    layout.lease("l", [app])
    assert prune(layout, "-a", used="reg.example/kept:1\n") == ["reg.example/index:1"]
    assert part["digest"] in listed(layout)
    assert layout.has(part)


def test_what_refers_to_a_flatly_leased_manifest_is_whole(layout: LayoutWriter) -> None:
    layer, content = layout.blob("layer of app"), layout.blob("sbom")
    app = layout.manifest(layout.config("app"), [layer])
    about(layout, app, "sbom")
    layout.lease("l", [app], flat="true")
    assert prune(layout) == []
    assert layout.has(app)
    assert not layout.has(layer)
    assert layout.has(content)


@pytest.mark.parametrize("rules", ["seed", "docker-29"])
@pytest.mark.parametrize("command", ["prune", "rm"])
def test_blobs_of_a_referrer_are_reported_with_it(layout: LayoutWriter, command: str, rules: str) -> None:
    """Each untagged name is followed by the blobs of its walk that went with it. Orphans are only what is in no walk,
    also where the referrer comes before its subject and so loses nothing by itself.
    """
    subject = layout.image("app", ["app layer"])
    referrers = [about(layout, subject, seed) for seed in ("a", "b")]
    referrers.append(about(layout, referrers[0], "c"))
    layout.entry(subject) if command == "prune" else layout.tag(subject, "reg.example/app:1")
    for each in referrers:
        layout.entry(each)
    orphan = layout.blob("orphan")
    before = sum(path.stat().st_size for path in layout.path.glob("blobs/*/*"))
    arguments = [layout.path] if command == "prune" else [layout.path, "reg.example/app:1"]
    base = (command, "--force", "--format", "json", "--rules", rules)
    answer = ocigc(*base, *(["--grace", "0s"] if command == "prune" else []), *arguments).json
    assert answer["Orphans"] == ([orphan["digest"]] if command == "prune" else [])
    deleted = [each["Deleted"] for each in answer["ImagesDeleted"] if "Deleted" in each]
    assert len(deleted) == len(set(deleted)) == (4 if rules == "docker-29" else 10)
    name = ""
    followed: dict[str, list[str]] = {}
    for each in answer["ImagesDeleted"]:
        name = each.get("Untagged", name)
        followed.setdefault(name, []).extend(each[key] for key in ("Deleted",) if key in each)
    assert all(each["digest"] in followed[each["digest"]] for each in referrers)
    assert answer["SpaceReclaimed"] == before - sum(path.stat().st_size for path in layout.path.glob("blobs/*/*"))

"""Images that cosign has signed: its signatures live and go with their image, and still verify."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.command import ocigc, refused
from tests.helpers.layouts import snapshot
from tests.interop.programs import attempt, call, names, needs, pruned
from tests.interop.writers import copying, image

LOCAL = ("--allow-http-registry", "--allow-insecure-registry")
OFFLINE = ("-y", "--tlog-upload=false", "--use-signing-config=false", *LOCAL)


@pytest.fixture
def signed(crane_registry: str, tmp_path: Path, rootfs: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A repository: 1.0.0 and 2.0.0, each with a signature and an attestation under cosign's tags."""
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    call("cosign", "generate-key-pair", cwd=tmp_path)
    (tmp_path / "predicate.json").write_text("{}")
    repository = f"{crane_registry}/signed"
    for tag, file in (("1.0.0", "one"), ("2.0.0", "two")):
        image(repository, tag, rootfs, file)
        key = ("--key", tmp_path / "cosign.key", "--new-bundle-format=false", *OFFLINE)
        call("cosign", "sign", *key, f"{repository}:{tag}")
        predicate = ("--type", "custom", "--predicate", tmp_path / "predicate.json")
        call("cosign", "attest", *key, *predicate, f"{repository}:{tag}")
    return repository


def verifies(tmp_path: Path, reference: str) -> None:
    key = ("--key", tmp_path / "cosign.pub", "--insecure-ignore-tlog=true", *LOCAL)
    call("cosign", "verify", *key, reference)
    call("cosign", "verify-attestation", "--type", "custom", *key, reference)


@needs("cosign", "crane", "regctl")
def test_what_stays_of_a_mirror_verifies(signed: str, tmp_path: Path) -> None:
    registry = signed.partition("/")[0]
    layout = tmp_path / "layout"
    for tag in ("1.0.0", "2.0.0"):
        call(*copying("regctl", signed, tag, layout), "--digest-tags")
    assert len(names(layout)) == 6
    pruned(layout)
    assert len(names(layout)) == 6
    used = ("--all", "--repository", "registry.example/app", "--in-use", "-")
    pruned(layout, *used, stdin="registry.example/app:2.0.0\n")
    assert len(names(layout)) == 3

    again = f"{registry}/again/signed:2.0.0"
    call(
        "regctl",
        "image",
        "copy",
        "--digest-tags",
        "--host",
        f"reg={registry},tls=disabled",
        f"ocidir://{layout}:2.0.0",
        again,
    )
    verifies(tmp_path, again)
    assert attempt("regctl", "manifest", "head", f"ocidir://{layout}:1.0.0").returncode != 0


@needs("cosign", "crane")
def test_what_cosign_has_saved_is_not_emptied(signed: str, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    call("cosign", "save", "--dir", layout, *LOCAL, f"{signed}:1.0.0")
    before = snapshot(layout)
    refused(ocigc("prune", "--force", "--grace", "0s", layout), 3, "no image")
    assert snapshot(layout) == before
    key = ("--key", tmp_path / "cosign.pub", "--insecure-ignore-tlog=true")
    call("cosign", "verify", *key, "--local-image", layout)
    call("cosign", "verify-attestation", "--type", "custom", *key, "--local-image", layout)

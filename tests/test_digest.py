"""Digests in Python and in the core: one grammar."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ocigc._native import lib
from ocigc.digest import Digest

SHA256 = "sha256:" + "0a" * 32


@example(SHA256)
@example("sha256:" + "0A" * 32)
@example("sha512:" + "0" * 128)
@example("blake3:" + "f" * 64)
@example("sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564")
@example("a" * 100 + ":" + "b" * 154)
@example("a" * 100 + ":" + "b" * 155)
@example("a..b:c")
@example("md5:")
@given(st.from_regex(r"[a-z0-9+._:-]{0,8}:?[a-zA-Z0-9=_-]{0,70}", fullmatch=True))
def test_both_grammars_agree(text: str) -> None:
    algorithm = lib.ocigc_digest_grammar(text.encode(), len(text.encode()))
    assert Digest.recognises(text) == (algorithm >= 0)
    assert (Digest.parse_registered(text) is not None) == (algorithm > 0)


def test_a_digest_is_a_text_with_parts() -> None:
    digest = Digest.parse(SHA256)
    assert digest == SHA256
    assert digest.parts == ("sha256", "0a" * 32)
    assert digest.short == "sha256:0a0a0a0a0a0a"
    assert digest.path == "sha256/" + "0a" * 32
    assert digest.registered
    assert not Digest.parse("md5:" + "0" * 32).registered


@pytest.mark.parametrize("text", ["", ":", "sha256", "sha256:", "sha256:xyz", SHA256 + "\n", SHA256 + "0"])
def test_what_is_not_a_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a digest"):
        Digest.parse(text)

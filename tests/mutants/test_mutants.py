"""Every fault that a mutant makes has its place in the source, so that none is left out unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_can_be_made(mutant: Mutant) -> None:
    source = (ROOT if mutant.is_native else ROOT / "ocigc") / mutant.file
    text = source.read_text()
    assert mutant.apply(text) != text

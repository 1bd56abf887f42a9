"""A sample of the calls before which a program that writes is stopped while a command of ocigc runs. `python -m
tests.faults.stopped_writers` tries all of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.actor import Actor
from tests.faults.commands import COMMANDS
from tests.faults.real_programs import PROGRAMS, Program, make_store, registry
from tests.faults.stopped_writers import explore, perform
from tests.faults.supervisor import supported
from tests.faults.trials import SEED

EACH = int(os.environ.get("OCIGC_FAULTS_EACH", "1"))  # calls of each program

pytestmark = pytest.mark.skipif(not supported(), reason="needs Linux on x86-64, seccomp and a C compiler")


@pytest.fixture(scope="module")
def actor() -> Iterator[Actor]:
    with Actor(min(os.sched_getaffinity(0))) as actor:
        yield actor


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_nothing_is_lost_beside_a_program_that_stops(
    program: Program, actor: Actor, address: str, tmp_path: Path
) -> None:
    if not program.is_here:
        pytest.skip(f"needs {' and '.join(program.needs)}")
    rng = random.Random(f"{SEED} {program.name}")
    command = rng.choice(COMMANDS)
    store = make_store(tmp_path, command, actor, address)
    undisturbed = perform(actor, store, command, program, tmp_path / "undisturbed", -1, kill=False)
    assert undisturbed.calls
    outcome = explore([actor], store, command, program, rng.sample(range(len(undisturbed.calls)), EACH))
    assert outcome.faults == []
    assert outcome.tried == 2 * EACH

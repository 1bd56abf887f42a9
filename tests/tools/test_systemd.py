"""The systemd units: systemd understands every line, and finds them well confined."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ocigc.cli.commands import make_parser

UNITS = Path(__file__).parents[2] / "contrib/systemd"

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def analyze(*arguments: str | Path) -> str:
    process = subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process
    return process.stdout + process.stderr


@pytest.fixture(params=sorted(path.name for path in UNITS.iterdir()))
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An instance of a unit for an existing layout, with a program that exists."""
    for path in UNITS.iterdir():
        content = path.read_text().replace("/usr/local/bin/ocigc", sys.executable)
        (tmp_path / path.name.replace("@", "@srv-mirror")).write_text(content)
    return tmp_path / request.param.replace("@", "@srv-mirror")


def test_systemd_has_nothing_to_say_against_a_unit(unit: Path) -> None:
    assert analyze("verify", "--man=no", unit) == ""


def test_a_service_is_well_confined(unit: Path) -> None:
    if unit.suffix == ".service":
        # The lower the better, of 100.
        assert "OK" in analyze("security", "--offline=yes", "--threshold=30", unit)


def test_a_service_runs_a_command_that_there_is() -> None:
    for path in UNITS.glob("*.service"):
        (words,) = re.findall(r"^ExecStart=\S+/ocigc (.*) \$OPTIONS %f$", path.read_text(), re.MULTILINE)
        parsed = vars(make_parser().parse_args([*words.split(), "/srv/mirror"]))
        assert parsed.get("layouts", [parsed.get("layout")]) == ["/srv/mirror"]

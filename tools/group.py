"""Prints the requirements of dependency groups in pyproject.toml, for installers that do not know them yet."""

import sys
import tomllib
from pathlib import Path

groups = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["dependency-groups"]
for name in sys.argv[1:]:
    print(*(f"{requirement}" for requirement in groups[name]), sep="\n")

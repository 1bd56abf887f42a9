"""Closes the changelog's Unreleased part: `changelog.py VERSION DATE`."""

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).parent.parent / "CHANGELOG.md"
UNRELEASED = "## [Unreleased]\n"


def closed(text: str, version: str, date: str) -> str:
    """The changelog with what is unreleased under a version. Raises ValueError where nothing is, or it is there."""
    if f"## [{version}]" in text:
        raise ValueError(f"{version} is released already")
    before, _, after = text.partition(UNRELEASED)
    if not after or not re.match(r"\s*###", after):
        raise ValueError("nothing is unreleased")
    # Labels of links have no case, and mdformat writes them in lower case.
    link = re.search(r"^\[unreleased\]: (.*)/compare/v(.*)\.\.\.HEAD$", after, re.MULTILINE | re.IGNORECASE)
    if link is None:
        raise ValueError("no link [Unreleased] to compare with")
    project, last = link.groups()
    links = f"[{version}]: {project}/compare/v{last}...v{version}\n[unreleased]: {project}/compare/v{version}...HEAD"
    return before + UNRELEASED + f"\n## [{version}] - {date}\n" + after.replace(link.group(0), links)


def main() -> None:
    try:
        CHANGELOG.write_text(closed(CHANGELOG.read_text(), *sys.argv[1:]))
    except ValueError as error:
        sys.exit(f"changelog: {error}")


if __name__ == "__main__":
    main()

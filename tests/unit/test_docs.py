"""Documentation: links lead somewhere, and prose is as wide as one reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtpsl.data.registry import DATASETS
from mtpsl.objectives import OBJECTIVES
from mtpsl.weighting import WEIGHTINGS

ROOT = Path(__file__).parents[2]
PAGES = [path for pattern in ("*.md", "docs/*.md", "benchmarks/*.md") for path in sorted(ROOT.glob(pattern))]
WIDE = 100
"""Characters of a line of README and docs; tables, code and links cannot be broken."""


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Lines outside code, with their numbers."""
    fenced = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield number, line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_exist(path: Path) -> None:
    for number, line in prose(path):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if "://" in target:
                continue
            name, _, heading = target.partition("#")
            there = path.parent / name if name else path
            assert there.exists(), f"{path.name}:{number}: {target}"
            if heading:
                headings = {anchor(line.lstrip("#")) for _, line in prose(there) if line.startswith("#")}
                named = {name for _, line in prose(there) for name in re.findall(r'<a id="([^"]+)">', line)}
                assert heading in headings | named, f"{path.name}:{number}: {target}"


def anchor(heading: str) -> str:
    """The name by which a heading is linked to."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize(
    "path",
    [path for path in PAGES if path.parent.name != "benchmarks" and path.name != "CHANGELOG.md"],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_lines_are_no_wider_than_one_reads(path: Path) -> None:
    wide = [
        number for number, line in prose(path) if len(line) > WIDE and not line.startswith("|") and " " in line.strip()
    ]
    assert not wide, f"{path}: lines {wide}: `mdformat --wrap 100` breaks them"


@pytest.mark.parametrize(
    ("page", "names"),
    [("datasets.md", DATASETS), ("objectives.md", OBJECTIVES), ("weighting.md", WEIGHTINGS)],
)
def test_every_name_that_users_choose_has_its_place_in_the_docs(page: str, names: dict[str, type]) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    missing = [name for name in names if f"`{name}`" not in text]
    assert not missing, f"docs/{page} says nothing of {', '.join(missing)}"

"""Packages import in one direction, and files stay short."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
BASE = {"structures", "errors", "files", "options", "phrases", "pictures", "png", "processes", "device", "plugins"}
ALL = {"tasks", "weighting", "networks", "data", "objectives", "evaluation", "inference", "visualization", "training"}
MAY_IMPORT = {
    "errors": set(),
    "files": {"errors"},
    "pictures": {"errors", "png"},
    "phrases": set(),
    "plugins": {"errors", "files"},
    "png": set(),
    "shipped": {"errors", "files"},
    "options": set(),
    "processes": set(),
    "device": set(),
    "wording": set(),
    "brackets": set(),
    "terminal": set(),
    "structures": {"errors"},
    "tasks": BASE,
    "weighting": BASE,
    "networks": BASE,
    "data": BASE | {"tasks"},
    "objectives": BASE | {"tasks", "networks", "data.augment"},
    "evaluation": BASE | {"tasks", "networks"},
    "inference": BASE | {"tasks", "networks"},
    "visualization": BASE | {"tasks", "networks"},
    "training": BASE | ALL | {"brackets", "wording"},
    "recipes": BASE | ALL,
    "sweep": BASE | ALL | {"shipped"},
    "commands": BASE | ALL | {"brackets", "recipes", "shipped", "sweep", "wording"},
    "cli": BASE | ALL | {"recipes", "commands", "terminal"},
    "__main__": {"cli"},
    "call": BASE | ALL | {"shipped", "wording"},
    "__init__": BASE | ALL | {"call"},
}
FILES = sorted((SOURCE / "mtpsl").rglob("*.py"))


def imported(file: Path) -> set[str]:
    """The modules of this package that a file imports anywhere, without the leading `mtpsl.`."""
    place = file.relative_to(SOURCE).with_suffix("").parts
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(place[: len(place) - node.level]) if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("mtpsl.") for name in found if name.startswith("mtpsl.")}


def package(file: Path) -> str:
    return file.relative_to(SOURCE / "mtpsl").with_suffix("").parts[0]


def allowed(module: str, within: str) -> bool:
    return any(f"{module}.".startswith(f"{name}.") for name in MAY_IMPORT[within] | {within})


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_point_one_way(file: Path):
    assert package(file) in MAY_IMPORT, f"{package(file)} has no row in the table of imports"
    wrong = [module for module in sorted(imported(file)) if not allowed(module, package(file))]
    assert not wrong, f"{package(file)} may not import {', '.join(wrong)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_no_file_is_longer_than_300_lines(file: Path):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300


def test_every_way_to_write_an_import_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(f"{__name__}.SOURCE", tmp_path)
    file = tmp_path / "mtpsl" / "data" / "folder.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import mtpsl.networks.segnet, torch\nfrom mtpsl.tasks import Depth\nfrom mtpsl import training\n"
        "from . import labels\nfrom ..objectives import base\n\ndef late():\n    from mtpsl.cli import main\n"
    )
    assert imported(file) == {
        "networks.segnet",
        "tasks.Depth",
        "training",
        "data.labels",
        "objectives.base",
        "cli.main",
    }
    assert not allowed("networks.segnet", "data")
    assert allowed("tasks.Depth", "data")
    assert allowed("data.augment.zoom", "objectives")
    assert not allowed("data.augmentation", "objectives")


def test_examples_and_benchmarks_use_public_names():
    """Below `mtpsl`, they import packages and modules, never a name with a leading underscore."""
    for folder in ("examples", "benchmarks"):
        for file in sorted((SOURCE.parent / folder).glob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            names = [
                alias.name
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mtpsl")
                for alias in node.names
            ]
            assert not [name for name in names if name.startswith("_")], file

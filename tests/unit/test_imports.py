"""Packages import in one direction, and files stay short."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

from mtpsl.data import DATASETS

SOURCE = Path(__file__).parents[2] / "src"
BASE = {
    "structures",
    "camera",
    "errors",
    "files",
    "launched",
    "options",
    "phrases",
    "pictures",
    "png",
    "processes",
    "progress",
    "tensor_files",
    "device",
    "plugins",
}
ALL = {
    "augmentation",
    "tasks",
    "weighting",
    "networks",
    "data",
    "objectives",
    "evaluation",
    "inference",
    "visualization",
    "training",
}
READERS = ("autolabels", "base", "formats", "relations", "shares", "sizes", "split_names", "tables", "windows")
"""What every reader of a data set needs."""
CHECKED = ("convert", "layouts", "partial", "registry")
"""What the checker looks at besides."""
MAY_IMPORT = {
    "errors": set(),
    "files": {"errors"},
    "camera": set(),
    "pictures": {"errors", "png"},
    "phrases": set(),
    "plugins": {"errors", "files"},
    "png": set(),
    "option_errors": set(),
    "shipped_files": {"errors", "files"},
    "options": set(),
    "processes": {"launched"},
    "launched": set(),
    "progress": set(),
    "tensor_files": {"files"},
    "device": set(),
    "brackets": set(),
    "terminal": set(),
    "structures": {"errors"},
    "tasks": BASE,
    "weighting": BASE,
    "networks": BASE,
    "augmentation": BASE | {"tasks"},
    "data": BASE | {"tasks"},
    "data.formats": BASE | {"tasks"},
    "data.relations": BASE | {"tasks", "data.formats", "data.split_names"},
    "data.layouts": BASE | {"tasks"} | {f"data.{name}" for name in (*READERS, "yaml_files", "registry")},
    "data.published": BASE | {"tasks"} | {f"data.{name}" for name in READERS},
    "data.scenes": BASE | {"tasks", "data.base"},
    "data.check": BASE | {"tasks"} | {f"data.{name}" for name in (*READERS, *CHECKED)},
    "data.guess": BASE | {"tasks"} | {f"data.{name}" for name in (*READERS, "layouts", "registry", "yaml_files")},
    "data.convert": BASE | {"tasks"} | {f"data.{name}" for name in (*READERS, "layouts", "registry")},
    "objectives": BASE | {"tasks", "networks", "augmentation"},
    "evaluation": BASE | {"tasks", "networks"},
    "inference": BASE | {"tasks", "networks"},
    "visualization": BASE | {"tasks", "networks"},
    "training": BASE | ALL | {"brackets", "option_errors", "shipped_files"},
    "recipes": BASE | ALL,
    "sweep": BASE | ALL | {"shipped_files"},
    "serving": BASE | {"tasks", "inference", "visualization", "training"},
    "commands": BASE | ALL | {"serving", "brackets", "recipes", "shipped_files", "sweep", "option_errors"},
    "cli": BASE | ALL | {"recipes", "commands", "terminal"},
    "__main__": {"cli"},
    "call": BASE | ALL | {"option_errors", "shipped_files"},
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
    """The package with a row in the table: a room of data, or what lies directly in the whole."""
    parts = file.relative_to(SOURCE / "mtpsl").with_suffix("").parts
    room = ".".join(parts[:2])
    return room if len(parts) > 2 and room in MAY_IMPORT else parts[0]


def allowed(module: str, within: str) -> bool:
    return any(f"{module}.".startswith(f"{name}.") for name in MAY_IMPORT[within] | {within})


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_point_one_way(file: Path):
    assert package(file) in MAY_IMPORT, f"{package(file)} has no row in the table of imports"
    wrong = [module for module in sorted(imported(file)) if not allowed(module, package(file))]
    assert not wrong, f"{package(file)} may not import {', '.join(wrong)}"


def test_the_picture_in_docs_shows_this_table():
    """Its boxes and arrows: where it differs, `python docs/architecture.py` draws it anew."""
    drawing = runpy.run_path(str(SOURCE.parent / "docs" / "architecture.py"))
    drawn = set(re.findall(r'id="([^"]+--[^"]+)"', drawing["PICTURE"].read_text(encoding="utf-8")))
    rows = [drawing["packages"](MAY_IMPORT), drawing["rooms"](MAY_IMPORT)]
    assert drawn == {"--".join(arrow) for one in rows for arrow in drawing["arrows"](one)}
    assert {"training--objectives", "objectives--networks", "data.check--data.convert"} <= drawn


def test_published_data_sets_do_not_know_each_other():
    sets = {name for name, one in DATASETS.items() if one.__module__.startswith("mtpsl.data.published.")}
    assert len(sets) > 5
    for file in (SOURCE / "mtpsl" / "data" / "published").glob("*.py"):
        others = {f"data.published.{name}" for name in sets - {file.stem}}
        assert not {module.rpartition(".")[0] for module in imported(file)} & others, file


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
    assert allowed("augmentation.zoom_crop.Augmentation", "objectives")
    assert not allowed("augmentations", "objectives")
    assert package(file) == "data"
    assert package(tmp_path / "mtpsl" / "data" / "formats" / "base.py") == "data.formats"
    assert not allowed("data.registry.recognize", "data.formats")


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

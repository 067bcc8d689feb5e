"""`mtpsl recipes`: list or find the YAML files that ship with the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtpsl.commands.parsing import make_parser, parse
from mtpsl.shipped_files import find, headline, shipped


def recipes(arguments: Sequence[str]) -> None:
    """Print the names of the recipes, or one of them."""
    parser = make_parser("recipes", "List the recipes that ship with the package, or print one to start your own from.")
    parser.add_argument("name", nargs="?", help="print this recipe")
    name = parse(parser, arguments).name
    if name is not None:
        print(find_recipe(name).read_text(encoding="utf-8"), end="")
        return
    paths = shipped("recipes")
    width = max(len(path.stem) for path in paths)
    for path in paths:
        print(f"{path.stem:{width}}  {headline(path)}")


def find_recipe(name: str) -> Path:
    """The file of a recipe: a path, or the name of one that ships with the package."""
    return find("recipes", name)

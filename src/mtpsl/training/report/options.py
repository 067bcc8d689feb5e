"""What a run's options differ from, and the command that repeats it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtpsl.networks import ALIASES
from mtpsl.plugins import is_object
from mtpsl.shipped_files import shipped
from mtpsl.training.config import CHOICES, RunConfig, parse_config, read_options
from mtpsl.training.option_groups import by_name


@dataclass(frozen=True)
class Basis:
    """The recipe that is nearest to a run, or the defaults: `options` is all that it gives, by name."""

    name: str
    recipe: str | None
    options: Mapping[str, Any]
    given: Mapping[str, Any]


def nearest(config: RunConfig) -> Basis:
    """The shipped recipe from which the fewest options differ, or the defaults where fewer differ from them."""
    names = {group: getattr(config, group) for group in CHOICES}
    plain = {group: name for group, name in names.items() if not is_object(name) and ":" not in name}
    defaults = parse_config([], plain).to_dict()
    mine = by_name(config.to_dict())
    bases = [
        Basis(f"the recipe {path.stem}", path.stem, given_by(content, defaults), content)
        for path, content in ((path, read_options(path)) for path in shipped("recipes"))
    ]
    bases.append(Basis("the defaults", None, given_by({}, defaults), {}))
    return min(bases, key=lambda basis: sum(differs(value, basis.options.get(name)) for name, value in mine.items()))


def given_by(recipe: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """All options that a recipe gives, by name; of another network (objective, weighting) than its own the defaults.

    Args:
        recipe: its content.
        defaults: all options of the run's network, objective and weighting.
    """
    content: dict[str, Any] = {group: default for group, (_, default, _) in CHOICES.items()} | dict(recipe)
    for group in CHOICES:
        options = {"name": content[group]} if isinstance(content[group], str) else dict(content[group])
        content[group] = {**options, "name": ALIASES.get(options["name"], options["name"])}
    every = by_name(defaults)
    return every | {name: value for name, value in by_name(content).items() if name in every}


def split_options(config: RunConfig, basis: Basis) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
    """The options that differ, with both values, and the others."""
    mine = by_name(config.to_dict())
    different = [
        (name, written(value), written(basis.options.get(name)))
        for name, value in mine.items()
        if differs(value, basis.options.get(name))
    ]
    changed = {name for name, _, _ in different}
    return different, [(name, written(value)) for name, value in mine.items() if name not in changed]


def repeating(config: RunConfig, basis: Basis, folder: Path) -> list[tuple[str, str]]:
    """The commands that train the same again: with the run's folder, and from nothing where the options say all."""
    commands = [("With the run's folder:", shlex.join(["mtpsl", "train", str(folder / "config.yaml"), "--out", "NEW"]))]
    mine = by_name(config.to_dict())
    if basis.recipe is None:
        return commands
    words = []
    for name, value in mine.items():
        if differs(value, basis.options.get(name)):
            words += [f"--{name.removesuffix('.name') if name != 'data.name' else name}", spelled(value)]
    try:
        again = parse_config(words, basis.given)
    except ValueError:
        return commands
    if again.to_dict() == config.to_dict():
        commands.append(
            (
                "Without it, where the data lies there:",
                shlex.join(["mtpsl", "train", basis.recipe, *words, "--out", "NEW"]),
            )
        )
    return commands


def differs(one: Any, other: Any) -> bool:
    """Whether two values of an option are not the same; numbers are, whatever their kind."""
    return bool(comparable(one) != comparable(other))


def comparable(value: Any) -> Any:
    """A value in the form in which equal ones are equal."""
    if isinstance(value, Mapping):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return [comparable(item) for item in value] if isinstance(value, Sequence) else value


def written(value: Any) -> str:
    """A value as a person reads it.

    >>> written(None), written([96, 128]), written(True)
    ('none', '96, 128', 'true')
    """
    if isinstance(value, list | tuple):
        return ", ".join(map(written, value))
    return "none" if value is None else json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value


def spelled(value: Any) -> str:
    """A value as it is given on the command line."""
    if isinstance(value, list | tuple) and value and not any(isinstance(x, list | tuple | Mapping) for x in value):
        return ",".join(map(spelled, value))
    return value if isinstance(value, str) else json.dumps(value)

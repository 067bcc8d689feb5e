"""Which of a run's choices are code of one's own, FILE.py:Class, and the classes that they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtpsl.data.base import StoredDataset
from mtpsl.data.registry import SUPPLIED as OF_DATA
from mtpsl.errors import UserError
from mtpsl.networks import NETWORKS, MultiTaskNetwork
from mtpsl.objectives import OBJECTIVES, Objective
from mtpsl.plugins import CodeRecord, absolute, is_object, load_class, loaded_class, named_code, names_code, title
from mtpsl.tasks import Task
from mtpsl.weighting import WEIGHTINGS, Weighting

KINDS: dict[str, tuple[type, Sequence[str]]] = {
    "network": (MultiTaskNetwork, ("out_channels",)),
    "objective": (Objective, ("tasks", "network")),
    "weighting": (Weighting, ("tasks",)),
    "data": (StoredDataset, OF_DATA),
}
"""Groups that may name code: what the class should be, and the arguments that the program supplies."""

REGISTRIES: dict[str, Mapping[str, type]] = {"network": NETWORKS, "objective": OBJECTIVES, "weighting": WEIGHTINGS}


def anchored(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The content of a YAML file with absolute names of code: in the file they begin at its folder.

    >>> anchored({"objective": "mine.py:Mine", "data": {"name": "auto"}}, Path("/recipes"))
    {'objective': {'name': '/recipes/mine.py:Mine'}, 'data': {'name': 'auto'}}
    """
    result = dict(content)
    for group in KINDS:
        options = content.get(group)
        options = {"name": options} if isinstance(options, str) else options
        if isinstance(options, Mapping) and names_code(options.get("name")):
            result[group] = {**options, "name": absolute(options["name"], folder)}
    return result


def own_data(
    stored: Mapping[str, Any], name: str | None, record: CodeRecord, *, named: bool
) -> tuple[dict[str, Any], type | None]:
    """The data settings of a YAML file with the data set that the user names, and its class if it is one's own.

    Args:
        stored: the settings.
        name: what the command line names, if anything.
        record: what names the class.
        named: the user named it.
    """
    settings = dict(stored)
    name = name or settings.get("name")
    if not names_code(name):
        settings.pop("options", None)
        return settings, None
    cls = own_class("data", str(name), record, named=named)
    if settings.get("name") != name:  # another one than the file's: its options do not apply
        settings.pop("options", None)
    return {**settings, "name": name}, cls


def own_class(group: str, name: str, record: CodeRecord, *, named: bool) -> type:
    """The class in a file that a group names; as `load_class`."""
    base, supplied = KINDS[group]
    return load_class(name, base, record, supplied=supplied, named=named)


class NoOptions:
    """What is given as an object has no options."""

    def __init__(self) -> None:
        pass


def given_class(group: str, name: str, record: CodeRecord, *, named: bool) -> type:
    """The class of a name, whose options are read.

    Raises:
        UserError: the name is unknown; or as `load_class`.
    """
    if names_code(name):
        return own_class(group, name, record, named=named)
    if is_object(name):
        return NoOptions
    if name not in REGISTRIES[group]:
        known = ", ".join(REGISTRIES[group])
        raise UserError(f"{group} {name!r} is unknown: choose one of {known}, or FILE.py:Class")
    return REGISTRIES[group][name]


def chosen_class(group: str, name: str, hashes: Mapping[str, str]) -> Any:
    """The class of a choice: the registered one, or that of one's own, which `own_class` gave before.

    Raises:
        UserError: nobody asked for it before.
    """
    if name in REGISTRIES[group]:
        return REGISTRIES[group][name]
    if is_object(name):
        raise UserError(
            f"{group} {title(name)} was given as an object in Python, which the run folder does not hold: train and "
            f"continue there, or put the class into a file (FILE.py:{title(name)})"
        )
    cls = loaded_class(name, hashes) if names_code(name) else None
    if cls is None:
        raise UserError(f"{group} {name!r} is unknown: choose one of {', '.join(REGISTRIES[group])}")
    return cls


def code_of(names: Mapping[str, str], hashes: Mapping[str, str], tasks: Iterable[Task], data: type) -> dict[str, str]:
    """The files of one's own that a run uses, with their hashes: those of its choices, tasks and data set."""
    chosen = [loaded_class(name, hashes) for name in names.values() if names_code(name)]
    return named_code([*(cls for cls in chosen if cls is not None), *map(type, tasks), data])

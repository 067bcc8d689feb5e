"""Options in groups of their own, such as `objective.mapping.width`: the dataclasses that a constructor takes."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, get_type_hints

import jsonargparse

from mtpsl.errors import UserError


@cache
def groups_of(cls: type) -> dict[str, type]:
    """The arguments of a constructor that are dataclasses of options."""
    try:
        hints = get_type_hints(cls.__init__)  # type: ignore[misc]
    except NameError:  # of a class whose names are known to type checkers only
        return {}
    return {name: hint for name, hint in hints.items() if is_dataclass(hint) and isinstance(hint, type)}


def dotted_names(cls: type, without: Collection[str] = ()) -> list[str]:
    """The options of a constructor as one writes them, `mapping.width` for one in a group."""
    names = [name for name in inspect.signature(cls).parameters if name not in without]
    groups = groups_of(cls)
    return [
        option
        for name in names
        for option in ([f"{name}.{field.name}" for field in fields(groups[name])] if name in groups else [name])
    ]


def select_options(options: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The options with known names, a group with those that it has.

    >>> select_options({"weight": 1, "mapping": {"lr": 2, "stride": 2}}, ["mapping.lr", "mapping.width"])
    {'mapping': {'lr': 2}}
    """
    selected: dict[str, Any] = {}
    for name, value in options.items():
        inside = [option.removeprefix(f"{name}.") for option in known if option.startswith(f"{name}.")]
        if inside and isinstance(value, Mapping):
            value = select_options(value, inside)
            if value:
                selected[name] = value
        elif inside or name in known:
            selected[name] = value
    return selected


def merge_options(options: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Options with others over them, those in a group one by one.

    >>> merge_options({"mapping": {"lr": 2, "stride": 2}, "views": 2}, {"mapping": {"lr": 1}})
    {'mapping': {'lr': 1, 'stride': 2}, 'views': 2}
    """
    merged = dict(options)
    for name, value in over.items():
        before = merged.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[name] = {**before, **value} if both else value  # type: ignore[dict-item]
    return merged


def plain_options(cls: type, values: jsonargparse.Namespace, group: str) -> dict[str, Any]:
    """What the parser found for a constructor, groups as dictionaries.

    Raises:
        UserError: there is null in place of a group.
    """
    options = {name: x.as_dict() if isinstance(x, jsonargparse.Namespace) else x for name, x in vars(values).items()}
    for name, options_class in groups_of(cls).items():
        if name in options and not isinstance(options[name], Mapping):
            first = fields(options_class)[0].name
            raise UserError(f"--{group}.{name} holds options such as --{group}.{name}.{first}, not null")
    return options


def constructor_arguments(cls: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a constructor, groups as the dataclasses that it takes, over its defaults.

    Raises:
        ValueError: an option in a group makes no sense.
    """
    defaults = inspect.signature(cls).parameters
    return {
        name: replace(defaults[name].default, **value) if name in groups_of(cls) else value
        for name, value in options.items()
    }


def by_name(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as one writes them on the command line; those of objectives stand in groups of their own.

    >>> by_name({"tasks": None, "objective": {"name": "stl", "losses": {"task_weights": {"depth": 2.0}}}})
    {'tasks': None, 'objective.name': 'stl', 'objective.losses.task_weights': {'depth': 2.0}}
    """
    named: dict[str, Any] = {}
    for name, value in options.items():
        if not isinstance(value, Mapping):
            named[name] = value
            continue
        for option, inner in value.items():
            if name == "objective" and isinstance(inner, Mapping):
                named |= {f"{name}.{option}.{leaf}": x for leaf, x in inner.items()}
            else:
                named[f"{name}.{option}"] = inner
    return named

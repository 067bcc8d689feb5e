"""TABLE.yaml: the matrix of a sweep as its author wrote it, checked key by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtpsl.errors import UserError
from mtpsl.objectives import OBJECTIVES
from mtpsl.shipped_files import find
from mtpsl.training.config import CHOICES, read_options

KEYS = ("title", "source", "benchmark", "recipe", "options", "regimes", "methods", "seeds")
GROUPS = ("training",)
"""What a method may set beside the groups in which one chooses a name (`CHOICES`)."""


@dataclass(frozen=True)
class Regime:
    """A label regime: data options, among them `regime`; its name in `published.csv` if that differs."""

    options: dict[str, Any]
    published: str | None = None


@dataclass(frozen=True)
class Method:
    """A row of the table: options of the run by group, and the label regimes that it is trained with (None: all).

    `name` is for messages; without a label, tables show the objective's and the weighting's name.
    """

    name: str
    label: str | None
    options: dict[str, Any]
    regimes: tuple[str, ...] | None = None
    published: str | None = None


@dataclass(frozen=True)
class Table:
    """A matrix of runs; `options` are what all runs share, the recipe's included, `sources` keys of published.csv."""

    path: Path
    title: str
    sources: tuple[str, ...]
    benchmark: str | None
    options: dict[str, Any]
    regimes: tuple[Regime, ...]
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]


def read_table(name: str) -> Table:
    """The table in a file, or the one of that name that ships with the package.

    Raises:
        UserError: a key or value is unknown, or something is missing.
    """
    path = find("tables", name)
    content = read_options(path)
    _check_keys(content, KEYS, str(path))
    options = nested(_mapping(content.get("options"), f"{path}: options"), f"{path}: options")
    if recipe := content.get("recipe"):
        options = merged(read_options(find("recipes", str(recipe))), options)
    _check_keys(options, ("data", "tasks", *GROUPS, *CHOICES), f"{path}: options")
    sources = content.get("source", [])
    seeds = content.get("seeds", [0])
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise UserError(f"{path}: seeds should be a list of whole numbers, such as [0, 1], not {seeds!r}")
    return Table(
        path=path,
        title=str(content.get("title", path.stem)),
        sources=tuple(map(str, sources if isinstance(sources, list) else [sources])),
        benchmark=None if content.get("benchmark") is None else str(content["benchmark"]),
        options=options,
        regimes=tuple(_regime(entry, path) for entry in _list(content, "regimes", path, ["full"])),
        methods=tuple(_method(entry, path) for entry in _list(content, "methods", path, None)),
        seeds=tuple(dict.fromkeys(seeds)),
    )


def nested(options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`{"training.epochs": 2}` as `{"training": {"epochs": 2}}`; a name alone chooses it: `network: mtan`.

    >>> nested({"objective.mapping.width": 0.5}, "options")
    {'objective': {'mapping': {'width': 0.5}}}
    >>> nested({"training.epochs": 2, "training": {"lr": 0.1}, "network": "mtan"}, "options")
    {'training': {'epochs': 2, 'lr': 0.1}, 'network': {'name': 'mtan'}}
    """
    result: dict[str, Any] = {}
    for key, value in options.items():
        group, _, option = str(key).partition(".")
        if not option and group in CHOICES and isinstance(value, str):
            option, value = "name", value
        if not option and group != "tasks" and not isinstance(value, Mapping):
            raise UserError(f"{where}: {group} should hold options, as {{option: value}}, not {value!r}")
        for name in reversed(option.split(".") if option else []):
            value = {name: value}
        result = merged(result, {group: value})
    return result


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested mappings in one; where both have a value, the second's."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(value, Mapping):
            old = {"name": old} if isinstance(old, str) else old
            result[key] = merged(old, value) if isinstance(old, Mapping) else dict(value)
        else:
            result[key] = value
    return result


def _regime(entry: Any, path: Path) -> Regime:
    options = {"regime": entry} if isinstance(entry, str) else dict(_mapping(entry, f"{path}: regimes"))
    published = options.pop("published", None)
    if not isinstance(options.get("regime"), str):
        raise UserError(f"{path}: regimes: {entry!r} should be a name or have `regime`, such as {{regime: one}}")
    return Regime(options, None if published is None else str(published))


def _method(entry: Any, path: Path) -> Method:
    content = {"objective": entry} if isinstance(entry, str) else dict(_mapping(entry, f"{path}: methods"))
    label, published = content.pop("label", None), content.pop("published", None)
    regimes = content.pop("regimes", None)
    where = f"{path}: method {label or entry!r}"
    _check_keys({str(key).partition(".")[0]: None for key in content}, (*GROUPS, *CHOICES), where, also=OWN)
    options = nested(content, where)
    objective = options.get("objective", {}).get("name")
    if objective is None:
        raise UserError(f"{where}: objective is missing: choose one of {', '.join(OBJECTIVES)}")
    if regimes is not None and (not isinstance(regimes, list) or not regimes):
        raise UserError(f"{where}: regimes should be a list of names, not {regimes!r}")
    return Method(
        name=str(label or objective),
        label=None if label is None else str(label),
        options=options,
        regimes=None if regimes is None else tuple(map(str, regimes)),
        published=None if published is None else str(published),
    )


OWN = ("label", "regimes", "published")


def _check_keys(content: Mapping[str, Any], known: Sequence[str], where: str, *, also: Sequence[str] = ()) -> None:
    for key in content:
        if str(key).partition(".")[0] not in known:
            raise UserError(f"{where}: key {key!r} is unknown: known are {', '.join([*also, *known])}")


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping | None):
        raise UserError(f"{where} should be `{{option: value}}`, not {value!r}")
    return value or {}


def _list(content: Mapping[str, Any], key: str, path: Path, default: list[Any] | None) -> list[Any]:
    value = content.get(key, default)
    if not isinstance(value, list) or not value:
        found = "missing" if value is None else repr(value)
        raise UserError(f"{path}: {key} should be a list with at least one entry, but is {found}")
    return value

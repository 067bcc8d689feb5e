"""From a table to its runs, each with a complete configuration, checked before anything trains."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from mtpsl.errors import UserError
from mtpsl.plugins import names_code
from mtpsl.sweep.table import Method, Regime, Table, merged
from mtpsl.training.arguments import argument_value, expand
from mtpsl.training.config import CHOICES, RunConfig, option_names, parse_config
from mtpsl.training.data import open_split
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.option_groups import by_name, select_options

OWNED = {
    "--objective.name": "methods",
    "--weighting.name": "methods",
    "--label": "methods",
    "--data.regime": "regimes",
    "--training.seed": "seeds",
}
"""Options of a run that a sweep gives itself, and the key of the table that they come from."""


@dataclass(frozen=True)
class PlannedRun:
    """A run of the matrix; `name` is `regime/label/seed`, with the task of a single-task run behind."""

    name: str
    method: Method
    regime: Regime
    config: RunConfig


def plan_runs(table: Table, words: Sequence[str] = (), seeds: Sequence[int] | None = None) -> list[PlannedRun]:
    """Every run of a table, in its order: regimes, in them methods, in them seeds.

    Args:
        table: the matrix.
        words: options for all runs as `mtpsl train` takes them; those of a network, objective or weighting reach the
            methods that have them.
        seeds: instead of the table's.

    Raises:
        UserError: an option is unknown or has a wrong value; the method that it is in is named.
    """
    words = [expand(word) for word in words]
    for option, key in OWNED.items():
        if argument_value(words, option) is not None:
            raise UserError(f"{option} differs between the runs of a sweep: set it under `{key}` in {table.path}")
    if argument_value(words, "--config") is not None:
        raise UserError(f"--config is for `mtpsl train`: write the file's options under `options` in {table.path}")
    _refuse_unknown_regimes(table)
    runs: list[PlannedRun] = []
    for regime in table.regimes:
        for method in table.methods:
            if method.regimes is not None and not set(method.regimes) & _names(regime):
                continue
            try:
                one = _configured(table, method, regime, words)
                for seed in table.seeds if seeds is None else seeds:
                    config = replace(one, training=replace(one.training, seed=seed))
                    runs += [PlannedRun(_name(c), method, regime, c) for c in _expanded(config)]
            except UserError as error:
                raise UserError(f"{table.path}: method {method.name!r}: {error}") from error
    _refuse_useless_options(table, words)
    _refuse_twins(runs, table)
    return runs


def select_runs(runs: Sequence[PlannedRun], pattern: str | None) -> list[PlannedRun]:
    """The runs whose name begins with the pattern's parts, in which `*` stands for anything: `one/cross*`, `*/*/0`.

    Raises:
        UserError: there are none.
    """
    if pattern is None:
        return list(runs)
    parts = pattern.strip("/").split("/")

    def fits(name: str) -> bool:
        found = name.split("/")
        return len(found) >= len(parts) and all(map(fnmatchcase, found, parts))

    if not (chosen := [run for run in runs if fits(run.name)]):
        raise UserError(f"--only {pattern} fits no run: they are called {', '.join(run.name for run in runs)}")
    return chosen


def _configured(table: Table, method: Method, regime: Regime, words: Sequence[str]) -> RunConfig:
    """A method's options: the table's, the method's over them, the command line's over both."""
    own = {"label": method.label, "data": regime.options}
    stored = merged(merged(table.options, method.options), own)
    for group, cls in _chosen(table, method).items():
        shared = select_options(table.options.get(group, {}), ["name", *_options(cls, group)])
        stored[group] = merged(shared, method.options.get(group, {}))
        words = _only_known(words, group, cls)
    return parse_config(words, stored, prog="mtpsl sweep")


def _chosen(table: Table, method: Method) -> dict[str, type | None]:
    """The class that a method uses in each group; None for an unknown name, which parsing refuses."""
    classes = {}
    for group, (registry, default, _) in CHOICES.items():
        shared, own = (options.get(group, {}).get("name") for options in (table.options, method.options))
        if names_code(name := own or shared or default):
            raise UserError(
                f"{group} {name}: a sweep trains what ships with the package: train code of your own with `mtpsl "
                "train` and name the runs to `mtpsl compare`"
            )
        classes[group] = registry.get(name)
    return classes


def _options(cls: type | None, group: str) -> list[str]:
    return [] if cls is None else option_names(cls, group)


def _with_groups(options: Iterable[str]) -> set[str]:
    """The options and the groups in which they stand, which one may give as a whole: `--objective.mapping {lr: 1}`."""
    return {name for option in options for name in (option, option.partition(".")[0])}


def _only_known(words: Sequence[str], group: str, cls: type | None) -> list[str]:
    """Without the options of a group that some choice in its registry has, but not this one."""
    elsewhere = {name for other in CHOICES[group][0].values() for name in _with_groups(_options(other, group))}
    foreign = elsewhere - _with_groups(_options(cls, group))
    kept, skip = [], False
    for index, word in enumerate(words):
        option, equals, _ = word.partition("=")
        if skip:
            skip = False
        elif option.startswith(f"--{group}.") and option.removeprefix(f"--{group}.") in foreign:
            skip = not equals and index + 1 < len(words)
        else:
            kept.append(word)
    return kept


def _expanded(config: RunConfig) -> Iterable[RunConfig]:
    """A single-task baseline as one run per task."""
    if config.objective != "stl":
        return [config]
    data = config.data
    tasks = config.tasks or data.tasks or list(open_split(data, data.train_split, None).tasks)
    return [config.single(task, tasks) for task in tasks]


def _name(config: RunConfig) -> str:
    parts = [config.data.regime_name, config.method, str(config.training.seed)]
    return "/".join(map(slug, [*parts, *(config.tasks or [] if config.objective == "stl" else [])]))


def slug(text: str) -> str:
    """A name for a folder.

    >>> slug("cross_task (w/o reg)")
    'cross_task_w_o_reg'
    """
    return re.sub(r"[^\w.+-]+", "_", text).strip("_.") or "_"


def _names(regime: Regime) -> set[str]:
    """What a method may call a regime: `ratio`, or `ratio 1:9` where there are several."""
    try:
        full = DataSettings(**regime.options).regime_name
    except (ValueError, TypeError):  # said again, with its place, when the options are parsed
        full = regime.options["regime"]
    return {regime.options["regime"], full}


def _refuse_unknown_regimes(table: Table) -> None:
    known = [name for regime in table.regimes for name in sorted(_names(regime))]
    for method in table.methods:
        for name in method.regimes or ():
            if name not in known:
                raise UserError(
                    f"{table.path}: method {method.name!r}: regime {name!r} is not among the table's: "
                    f"{', '.join(dict.fromkeys(known))}"
                )


def _refuse_useless_options(table: Table, words: Sequence[str]) -> None:
    """Shared options of an objective, network or weighting have to reach some method."""
    for group in CHOICES:
        used: set[str] = {"name"}
        for method in table.methods:
            used |= _with_groups(_options(_chosen(table, method)[group], group))
        shared: Mapping[str, Any] = table.options.get(group, {})
        for option in by_name({group: shared}):
            if option.removeprefix(f"{group}.") not in used:
                raise UserError(f"{table.path}: options: no method has {option}")
        for word in words:
            option = word.partition("=")[0]
            if option.startswith(f"--{group}.") and option.removeprefix(f"--{group}.") not in used:
                raise UserError(f"{option}: no method of {table.path} has it")


def _refuse_twins(runs: Sequence[PlannedRun], table: Table) -> None:
    seen: dict[str, PlannedRun] = {}
    for run in runs:
        if seen.setdefault(run.name.lower(), run) is not run:
            raise UserError(
                f"{table.path}: two methods or regimes give runs {run.name}: give one of them another label"
            )

"""The configuration of a run: typed, from YAML and options, with the options of what is chosen by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jsonargparse
import yaml

from mtpsl.brackets import with_brackets
from mtpsl.errors import UserError
from mtpsl.files import at_home
from mtpsl.networks import ALIASES, NETWORKS
from mtpsl.objectives import OBJECTIVES
from mtpsl.option_errors import parsing_message, unknown_message, unknown_option
from mtpsl.plugins import CODE, CodeRecord, is_object, named_code, names_code, title
from mtpsl.training.arguments import argument_value, expand, without_code
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.option_groups import dotted_names, merge_options, plain_options, select_options
from mtpsl.training.option_help import short_help
from mtpsl.training.own_code import KINDS, given_class, own_data
from mtpsl.training.settings import TrainingSettings, names
from mtpsl.weighting import WEIGHTINGS

CHOICES: dict[str, tuple[Mapping[str, type], str, set[str]]] = {
    "network": (NETWORKS, "segnet", {"out_channels", "in_channels"}),
    "objective": (OBJECTIVES, "cross_task", {"tasks", "network"}),
    "weighting": (WEIGHTINGS, "uniform", {"tasks"}),
}
"""Groups whose options depend on a name: the registry, the default, the arguments that the program supplies."""
PATHS = (
    *(("data", name) for name in ("root", "description", "labels", "label_cache", "cache_folder")),
    ("training", "start_from"),
    ("network", "weights"),
)
"""The options that are paths."""


@dataclass(frozen=True)
class RunConfig:
    """All that defines a run; `network`, `objective` and `weighting` are a name and keyword arguments."""

    data: DataSettings
    training: TrainingSettings
    network: str
    network_options: dict[str, Any]
    objective: str
    objective_options: dict[str, Any]
    tasks: list[str] | None = None
    label: str | None = None
    weighting: str = "uniform"
    weighting_options: dict[str, Any] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    """The sha256 of the files of one's own that it names, by path."""

    @property
    def method(self) -> str:
        """What the run is called in tables: its label, by default the objective's and the weighting's name."""
        weighting = "" if self.weighting == "uniform" else f" + {title(self.weighting)}"
        return self.label or title(self.objective) + weighting

    def single(self, task: str, tasks: Sequence[str]) -> RunConfig:
        """The same for one of several tasks, with the weights of that one only.

        Raises:
            UserError: there is a weight of none of the tasks.
        """

        def of_task(options: Mapping[str, Any], name: str) -> dict[str, Any]:
            weights = options.get(name) or {}
            if unknown := [other for other in weights if other not in tasks]:
                raise UserError(f"{name} names {', '.join(unknown)}; the tasks are {', '.join(tasks)}")
            return {**options, name: {task: weights[task]} if task in weights else None} if weights else dict(options)

        objective = dict(self.objective_options)
        if "losses" in objective:
            objective["losses"] = of_task(objective["losses"], "task_weights")
        return replace(
            self,
            tasks=[task],
            objective_options=objective,
            weighting_options=of_task(self.weighting_options, "weights"),
        )

    def to_dict(self) -> dict[str, Any]:
        """As written to config.yaml."""
        training = {name: as_plain(getattr(self.training, name)) for name in names(TrainingSettings)}
        return {
            "label": self.label,
            "tasks": self.tasks,
            "data": {name: as_plain(getattr(self.data, name)) for name in names(DataSettings)}
            | ({"options": as_plain(self.data.options)} if self.data.options else {}),
            "network": {"name": self.network, **{k: as_plain(v) for k, v in self.network_options.items()}},
            "objective": {"name": self.objective, **{k: as_plain(v) for k, v in self.objective_options.items()}},
            "weighting": {"name": self.weighting, **{k: as_plain(v) for k, v in self.weighting_options.items()}},
            "training": training,
            **({CODE: dict(self.code)} if self.code else {}),
        }


def parse_config(
    arguments: Sequence[str],
    stored: Mapping[str, Any],
    *,
    prog: str = "mtpsl train",
    others: Sequence[str] = (),
    where: str = "the recipe",
    copies: Path | None = None,
) -> RunConfig:
    """A configuration from a YAML file's content, overridden by `--group.option value` arguments.

    Args:
        arguments: the options.
        stored: the YAML file's content.
        prog: the command that errors name.
        others: options that this command has beside them, for errors to suggest.
        where: what the YAML file's content is called where it names code that is not trusted.
        copies: the folder with copies of the code that it names.

    Raises:
        UserError: an option or name is unknown or has a value of another type; or as `mtpsl.plugins.load_class`.
    """
    arguments, own = without_code([expand(argument) for argument in arguments])
    base = {key: dict(value) if isinstance(value, Mapping) else value for key, value in stored.items()}
    record = CodeRecord(where, base.pop(CODE, None) or {}, copies)
    mine = CodeRecord("the command line")
    named = own.get("data") or argument_value(arguments, "--data.name")
    base["data"], data_class = own_data(
        base.get("data") or {}, named, mine if "data" in own else record, named="data" in own
    )
    chosen, classes = {}, {}
    for group, (_, default, _) in CHOICES.items():
        options = base.get(group)
        options = {"name": options} if isinstance(options, str) else dict(options or {})
        name = own.get(group) or argument_value(arguments, f"--{group}.name") or options.get("name", default)
        name = ALIASES.get(name, name)
        classes[group] = given_class(group, name, mine if group in own else record, named=group in own)
        before = options.get("name", name)
        if ALIASES.get(before, before) != name:  # another choice than the file's: its options do not apply
            known = option_names(classes[group], group)
            options = select_options(options, known)
        base[group] = {**options, "name": name}
        chosen[group] = name
    parser = make_parser(chosen, prog, classes, data_class)
    if {"-h", "--help"} & {*arguments}:
        explained = [group for group in CHOICES if own.get(group) or argument_value(arguments, f"--{group}.name")]
        print(short_help(parser, [*explained, *(["data.options"] if data_class else [])]), end="")
        raise SystemExit(0)
    arguments = with_brackets(parser, ["--help" if word == "--help-all" else word for word in arguments])
    try:
        values = parser.parse_args(["--config", yaml.safe_dump(base, sort_keys=False), *arguments])
        groups = {key: dict(vars(values[key])) for key in ("data", "training")}
        for group in CHOICES:
            groups[group] = plain_options(classes[group], values[group], group)
        for group, name in PATHS:
            if isinstance(path := groups[group].get(name), str):
                groups[group][name] = at_home(path)
        if "options" in groups["data"]:
            groups["data"]["options"] = dict(vars(groups["data"]["options"]))
        data, training = DataSettings(**groups["data"]), TrainingSettings(**groups["training"])
    except (jsonargparse.ArgumentError, ValueError, TypeError) as error:
        if option := unknown_option(error):
            every = [*parser.get_defaults().keys(), *CHOICES, *others]
            message = of_another_choice(option, chosen) or unknown_message(option, every)
            raise UserError(f"{message} (`{prog} --help` lists all)") from error
        raise UserError(parsing_message(error)) from error
    for group in CHOICES:
        groups[group].pop("name")
    return RunConfig(
        data,
        training,
        chosen["network"],
        groups["network"],
        chosen["objective"],
        groups["objective"],
        values.tasks,
        values.label,
        chosen["weighting"],
        groups["weighting"],
        {**record.hashes, **named_code([*classes.values(), *filter(None, [data_class])])},
    )


def overlaid(stored: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a YAML file with that of another over it; of another choice's options those that it has, too.

    >>> overlaid({"network": {"name": "segnet", "width": 0.5}, "tasks": ["depth"]}, {"network": "timm", "tasks": None})
    {'network': {'name': 'timm'}, 'tasks': None}
    """
    result = dict(stored)
    for key, value in over.items():
        before = result.get(key)
        if key in CHOICES:
            before, value = ({"name": x} if isinstance(x, str) else x for x in (before or {}, value or {}))
        if not isinstance(before, Mapping) or not isinstance(value, Mapping):
            result[key] = value
            continue
        name = str(value.get("name"))
        name = ALIASES.get(name, name)
        if key in CHOICES and (names_code(name) or is_object(name)) and before.get("name") != name:
            before = {}
        if key in CHOICES and name in CHOICES[key][0]:
            known = {"name", *option_names(CHOICES[key][0][name], key)}
            before = select_options(before, known)
        result[key] = merge_options(before, value) if key == "objective" else {**before, **value}
    return result


def make_parser(
    chosen: Mapping[str, str], prog: str, classes: Mapping[str, type], data_class: type | None = None
) -> jsonargparse.ArgumentParser:
    """The parser for one choice of network, objective and weighting, with the classes that they stand for."""
    parser = jsonargparse.ArgumentParser(
        prog=prog,
        exit_on_error=False,
        allow_abbrev=False,
        description=(
            "Train a network. RECIPE is a YAML file or the name of one that ships with the package (`mtpsl recipes` "
            "lists them); every option below overrides it. The options of --network, --objective and --weighting are "
            "those of the chosen name: give the name together with --help to read about others."
        ),
    )
    parser.add_argument("--config", action="config", help="a YAML file (the same as RECIPE); may be given again")
    parser.add_argument(
        "--label", type=str | None, default=None, help="what tables call this run; by default its objective"
    )
    parser.add_argument("--tasks", type=list[str] | None, default=None, help="tasks to train; by default all")
    parser.add_class_arguments(DataSettings, "data", skip={"options"})
    if data_class is not None:
        parser.add_class_arguments(data_class, "data.options", skip=set(KINDS["data"][1]))
    for group, (registry, _, supplied) in CHOICES.items():
        parser.add_argument(
            f"--{group}.name",
            default=chosen[group],
            choices=[*dict.fromkeys([*registry, *(ALIASES if group == "network" else ()), chosen[group]])],
            help=f"also --{group} NAME, or code of your own: --{group} FILE.py:Class",
        )
        parser.add_class_arguments(classes[group], group, skip=supplied)
    parser.add_class_arguments(TrainingSettings, "training")
    return parser


def option_names(cls: type, group: str) -> list[str]:
    """The options of one choice of a group, without what the program supplies."""
    return dotted_names(cls, without=CHOICES[group][2])


def of_another_choice(option: str, chosen: Mapping[str, str]) -> str | None:
    """What to say of an option that the chosen network, objective or weighting lacks and others have."""
    group, _, name = option.partition(".")
    if group not in CHOICES:
        return None
    owners = [other for other, cls in CHOICES[group][0].items() if name in option_names(cls, group)]
    if not owners:
        return None
    return f"--{option} is an option of --{group} {' or '.join(owners)}, not of {chosen[group]}"


def read_config(path: Path) -> RunConfig:
    """The configuration in a run folder."""
    return parse_config([], read_options(path), where=str(path), copies=path.parent / CODE)


def read_options(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file, read without constructing any object."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not a readable YAML file ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: should hold options as `group: {{option: value}}`, not {type(content).__name__}")
    training = content.get("training")
    if isinstance(training, dict) and isinstance(training.get("precision"), int):
        training["precision"] = str(training["precision"])  # `precision: 32` is a number to YAML
    return content


def as_plain(value: Any) -> Any:
    """A value as YAML writes it."""
    if isinstance(value, Mapping):
        return {key: as_plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, list | tuple) else value

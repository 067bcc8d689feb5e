"""`mtpsl.train`: a run from Python, with the names that the command line takes, or with objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from mtpsl.data.base import LabelledDataset
from mtpsl.device import best_device
from mtpsl.errors import UserError
from mtpsl.objectives import Objective
from mtpsl.option_errors import unknown_message
from mtpsl.plugins import CODE, OBJECT, trusting
from mtpsl.shipped_files import find
from mtpsl.training.config import RunConfig, overlaid, parse_config, read_options
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.from_here import from_here
from mtpsl.training.objects import Objects
from mtpsl.training.own_code import REGISTRIES, anchored
from mtpsl.training.run import train as train_run
from mtpsl.training.settings import TrainingSettings, names
from mtpsl.training.trained import TrainedRun, load_run
from mtpsl.training.without_recipe import without_recipe
from mtpsl.weighting import Weighting

USUAL = "own_data"
OF_FILES = ("root", "description", "classes", "label_cache", "size", "score_size", "score_edges")
"""Settings that say how files are read."""


def train(
    data: str | Path | DataSettings | tuple[LabelledDataset, LabelledDataset] | None = None,
    out: str | Path = "",
    *,
    network: str | Mapping[str, Any] | nn.Module | None = None,
    objective: str | Mapping[str, Any] | Objective | type[Objective] | None = None,
    weighting: str | Mapping[str, Any] | Weighting | type[Weighting] | None = None,
    recipe: str | Path | None = None,
    progress: bool = True,
    trust_code: bool = False,
    **settings: Any,
) -> TrainedRun:
    """Train a run, as `mtpsl train` does, and return it ready to predict.

    Args:
        data: the folder of a data set, settings, or two data sets: for training and for validation.
        out: the run folder to make.
        network: a name, a mapping of `name` and options, or a network, which is trained as it is.
        objective: a name, a mapping of `name` and options, an objective or its class.
        weighting: the same.
        recipe: a recipe's name or file; by default the one for own data.
        progress: show a progress bar.
        trust_code: run the files (FILE.py:Class) that the recipe or a dataset.yaml names; those named here are run.
        settings: options of `data` and `training` by their own names, as `epochs=20, size=(96, 128)`; `tasks`, `label`.

    Raises:
        UserError: something is wrong; nothing is left behind.
    """
    if not str(out):
        raise UserError("out is missing: name the folder to make for this run, e.g. out='runs/first'")
    given = by_group(settings)
    objects: dict[str, Any] = {}
    words = []
    for group, value in (("network", network), ("objective", objective), ("weighting", weighting)):
        choice = chosen(group, value)
        if isinstance(choice, Mapping):
            given[group] = choice
            words.append(f"--{group}.name={choice['name']}")
        elif choice is not None:
            objects[group] = choice
            cls = choice if isinstance(choice, type) else type(choice)
            given[group] = {"name": f"{OBJECT}{cls.__name__}"}
            words.append(f"--{group}.name={OBJECT}{cls.__name__}")
    if isinstance(data, DataSettings):
        given["data"] = {name: getattr(data, name) for name in names(DataSettings)} | given["data"]
        given["data"] |= {"options": data.options} if data.options else {}
    elif isinstance(data, str | Path):
        given["data"]["root"] = str(data)
    elif data is not None:
        objects["datasets"] = pair(data)
        if wrong := [name for name in OF_FILES if name in given["data"]]:
            raise UserError(f"{wrong[0]} does not apply to data sets that are given as objects: give it to them")
        given["data"]["name"] = f"{OBJECT}{type(objects['datasets'][0]).__name__}"
    if "name" in given["data"]:
        words.append(f"--data.name={given['data']['name']}")
    with trusting(trust_code):
        config = configured(given, words, recipe)
        train_run(config, Path(out), progress=progress, objects=Objects(**objects))
        run = load_run(Path(out), network=objects.get("network"))
    run.network.to(best_device())
    return run


def configured(given: Mapping[str, Any], words: Sequence[str], recipe: str | Path | None) -> RunConfig:
    """The configuration that a recipe and what is given over it make, as the command line makes it."""
    path = find("recipes", USUAL if recipe is None else str(recipe))
    stored = anchored(read_options(path), path.parent)
    if recipe is None:
        stored, _ = without_recipe(stored, words)
    stored = overlaid(stored, anchored(given, Path.cwd()))
    return from_here(parse_config(words, stored, prog="mtpsl train", where=str(path), copies=path.parent / CODE))


def chosen(group: str, value: Any) -> Any:
    """A name with options as a mapping, an object or a class as it is, None for nothing; a shipped class by its name.

    Raises:
        UserError: it is none of them.
    """
    registry = REGISTRIES[group]
    if value is None:
        return None
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping):
        if not isinstance(value.get("name"), str):
            raise UserError(f"{group} should have a name beside its options, as {{'name': ...}}, not {dict(value)}")
        return dict(value)
    if isinstance(value, type) and (known := [name for name, cls in registry.items() if cls is value]):
        return {"name": known[0]}
    kinds: dict[str, type] = {"network": nn.Module, "objective": Objective, "weighting": Weighting}
    fits = issubclass(value, kinds[group]) if isinstance(value, type) else isinstance(value, kinds[group])
    if not fits or (group == "network" and isinstance(value, type)):
        raise UserError(f"{group} should be a name, a mapping or a {kinds[group].__name__}, not {value!r}")
    return value


def pair(data: Any) -> tuple[LabelledDataset, LabelledDataset]:
    """Data sets for training and validation.

    Raises:
        UserError: something else was given.
    """
    if not (isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(x, LabelledDataset) for x in data)):
        raise UserError(f"data should be a folder, DataSettings, or two data sets (training, validation), not {data!r}")
    return data[0], data[1]


def by_group(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the group that they belong to.

    Raises:
        UserError: there is none of this name.

    >>> by_group({"epochs": 3, "size": (96, 128), "tasks": ["depth"]})
    {'data': {'size': [96, 128]}, 'training': {'epochs': 3}, 'tasks': ['depth']}
    """
    groups = {"data": [*names(DataSettings), "options"], "training": names(TrainingSettings)}
    found: dict[str, Any] = {"data": {}, "training": {}}
    for name, value in settings.items():
        value = str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
        group = next((group for group, known in groups.items() if name in known), None)
        if name in ("tasks", "label"):
            found[name] = value
        elif group is None:
            message = unknown_message(name, [*groups["data"], *groups["training"], "tasks", "label"])
            raise UserError(message.replace("--", ""))
        else:
            found[group][name] = value
    return found

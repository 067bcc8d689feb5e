"""What can be wrong with the runs of a sweep, found before the first of them trains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from mtpsl.errors import UserError
from mtpsl.sweep.plan import PlannedRun
from mtpsl.tasks import Task
from mtpsl.training.build import build_network, build_objective, build_weighting
from mtpsl.training.config import RunConfig
from mtpsl.training.run_data import run_data


def check_runs(runs: Sequence[PlannedRun]) -> None:
    """Open the data of every run and build its network and objective, without memory for their weights.

    Raises:
        UserError: a regime leaves a task without labels, an objective needs more tasks, an option has a wrong value.
    """
    tasks: dict[Any, list[Task]] = {}
    built = set()
    by_labels: dict[Any, list[PlannedRun]] = defaultdict(list)
    for run in runs:
        by_labels[repr(run.config.data), _label_seed(run.config)].append(run)
    for labels, same in by_labels.items():
        # what all tasks together can be trained on, each alone can
        several = [run for run in same if run.config.objective != "stl"]
        for run in several or same:
            key = (*labels, repr(run.config.tasks))
            if key not in tasks:
                tasks[key] = _checked(run, lambda config: run_data(config).tasks)
    for run in runs:
        config = run.config
        kind = replace(config, data=runs[0].config.data, training=runs[0].config.training, label=None)
        if repr(kind) not in built:
            built.add(repr(kind))
            known = {task.name: task for some in tasks.values() for task in some}
            names = config.tasks or list(known)
            _checked(run, lambda config, names=names, known=known: _build(config, [known[name] for name in names]))


def _label_seed(config: RunConfig) -> int:
    return config.training.seed if config.data.label_seed is None else config.data.label_seed


def _checked(run: PlannedRun, check: Any) -> Any:
    try:
        return check(run.config)
    except UserError as error:
        raise UserError(f"{run.name}: {error}") from error


def _build(config: RunConfig, tasks: list[Task]) -> None:
    if config.network_options.get("weights") == "hub":  # nothing is downloaded for a check
        config = replace(config, network_options={**config.network_options, "weights": "none"})
    with torch.device("meta"):
        network = build_network(config, tasks)
        build_objective(config, tasks, network)
        build_weighting(config, tasks, network)

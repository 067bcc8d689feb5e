"""Run folders with the weights of a seed, made without training."""

from __future__ import annotations

from pathlib import Path

import torch

from mtpsl.tasks import Task
from mtpsl.training.build import build_network, build_objective
from mtpsl.training.config import parse_config
from mtpsl.training.data import open_split
from mtpsl.training.run_folder import RunFolder

SMALL = ["--network.width", "0.125", "--training.batch_size", "2", "--training.epochs", "1"]


def make_run(out: Path, options: list[str], tasks: list[Task] | None = None, *, seed: int = 0) -> RunFolder:
    """A run as one epoch of training leaves it, but for scores, metrics and the optimizer.

    Args:
        out: the folder to make.
        options: of `mtpsl train`, beside `SMALL`.
        tasks: what it predicts; by default the tasks of its data set.
        seed: of its weights.
    """
    config = parse_config(["--objective", "supervised", *SMALL, *options], {})
    tasks = tasks or [*open_split(config.data, config.data.val_split, config.tasks).tasks.values()]
    torch.manual_seed(seed)
    network = build_network(config, tasks, pretrained=False)
    parts = {"network": network, "objective": build_objective(config, tasks, network)}
    folder = RunFolder(out)
    folder.create(config, tasks)
    folder.checkpoint.parent.mkdir()
    state = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 0}, folder.checkpoint)
    return folder

"""The step at which a run stopped because its loss was not finite, repeated and taken apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mtpsl.errors import UserError
from mtpsl.plugins import is_object
from mtpsl.structures import Batch, Output
from mtpsl.tasks import Task
from mtpsl.training.build import build_augmentation, build_network, build_objective
from mtpsl.training.module import TrainingModule
from mtpsl.training.optimizer import encoder_of
from mtpsl.training.run_folder import RunFolder
from mtpsl.training.trained import entries_below


@dataclass(frozen=True)
class Replayed:
    """What a step was made of.

    Args:
        epoch: the epoch, from 1.
        step: the step in it, from 1.
        keys: the names of the images.
        losses: of each task, the loss of every image; None where it has no label.
        terms: all terms of the objective, by name.
        same: whether they are those of the training, to the bit.
        wrong: what is not finite, in the order in which it is computed.
    """

    epoch: int
    step: int
    keys: tuple[str, ...]
    losses: Mapping[str, Sequence[float | None]]
    terms: Mapping[str, float]
    same: bool
    wrong: Sequence[str]


def replay(folder: RunFolder) -> Replayed:
    """Repeat the step that the run stopped at, on the CPU.

    Raises:
        UserError: the run has not stopped so, or was trained with objects.
    """
    content = read_failure(folder)
    config, tasks = folder.read_config(), folder.read_tasks()
    if is_object(config.network) or is_object(config.objective):
        raise UserError(f"{folder.path} was trained with objects that were given in Python: it cannot be repeated here")
    network = build_network(config, tasks, pretrained=False)
    objective = build_objective(config, tasks, network)
    module = TrainingModule(network, objective, tasks, build_augmentation(config, tasks), config.training)
    state = content["state_dict"] or folder.load_checkpoint()["state_dict"]
    network.load_state_dict(entries_below(state, "network."))
    objective.load_state_dict(entries_below(state, "objective."))
    module.train()
    if config.training.freeze_encoder:
        encoder_of(network).eval()
    outputs: list[Output] = []
    network.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    batch = Batch(**content["batch"])
    with torch.random.fork_rng(devices=[]):
        if content["random"].shape == torch.get_rng_state().shape:  # that of a GPU has another form
            torch.set_rng_state(content["random"])
        batch = batch if module.augmentation is None else module.augmentation(batch)
        objective.set_progress(content["progress"])
        with torch.autocast("cpu", torch.bfloat16, enabled=config.training.precision == "bf16-mixed"):
            losses = objective(network, batch)
    terms = {name: float(x.detach()) for name, x in {**losses.tasks, **losses.auxiliary}.items()}
    first = {name: x[: len(batch)].detach() for name, x in outputs[0].predictions.items()} if outputs else {}
    by_image = {task.name: image_losses(task, first, batch) for task in tasks}
    return Replayed(
        content["epoch"] + 1,
        content["step"] + 1,
        batch.keys,
        by_image,
        terms,
        all(same(terms.get(name, math.nan), value) for name, value in content["terms"].items()),
        [*not_finite(module, batch, first), *wrong_terms(by_image, batch.keys, terms)],
    )


def read_failure(folder: RunFolder) -> dict[str, Any]:
    """What the run wrote of the step, read without executing anything."""
    folder.read_config()
    if not folder.failure.is_file():
        raise UserError(f"{folder.path} has no {folder.failure.name}: it has not stopped at a loss that is not finite")
    try:
        content: dict[str, Any] = torch.load(folder.failure, map_location="cpu", weights_only=True)
        assert content["batch"].keys() >= {"keys", "images"}
    except Exception as error:  # torch raises a dozen kinds, depending on where a file is broken
        raise UserError(f"{folder.failure}: damaged or foreign, it cannot be read safely") from error
    return content


@torch.no_grad()
def image_losses(task: Task, predictions: Mapping[str, Tensor], batch: Batch) -> list[float | None]:
    """A task's loss of every image, before it is weighted; None for an image without a label or a prediction."""
    if task.name not in predictions:
        return [None] * len(batch)
    losses = task.loss(predictions[task.name].float(), batch.targets[task.name], batch.valid[task.name]).tolist()
    return [loss if has else None for loss, has in zip(losses, batch.labelled(task.name).tolist(), strict=True)]


def not_finite(module: nn.Module, batch: Batch, predictions: Mapping[str, Tensor]) -> list[str]:
    """Weights, images, labels and predictions that are not finite."""
    found = [f"weights of {name}" for name, x in module.named_parameters() if not torch.isfinite(x).all()]
    if len(found) > 3:
        found = [*found[:3], f"{len(found) - 3} more weights"]
    for index, key in enumerate(batch.keys):
        if not torch.isfinite(batch.images[index]).all():
            found.append(f"the image {key}")
        for name, target in batch.targets.items():
            valid = batch.valid[name][index].expand_as(target[index])
            if target.is_floating_point() and not torch.isfinite(target[index][valid]).all():
                found.append(f"the label {name} of {key}")
        for name, prediction in predictions.items():
            if not torch.isfinite(prediction[index]).all():
                found.append(f"the prediction {name} of {key}")
    return found


def wrong_terms(
    losses: Mapping[str, Sequence[float | None]], keys: Sequence[str], terms: Mapping[str, float]
) -> list[str]:
    """Losses and terms that are not finite."""
    found = [
        f"the loss of {name} of {key}"
        for name, values in losses.items()
        for key, value in zip(keys, values, strict=True)
        if value is not None and not math.isfinite(value)
    ]
    return found + [f"the term {name}" for name, value in terms.items() if not math.isfinite(value)]


def same(a: float, b: float) -> bool:
    """Whether two numbers are equal, where no number equals no number."""
    return a == b or (math.isnan(a) and math.isnan(b))

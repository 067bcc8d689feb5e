"""Every option of every objective changes what it should, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from lines import Line, check, check_no_other
from torch import Tensor, nn

from builders import batch, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import OBJECTIVES
from mtpsl.tasks import Edges
from mtpsl.training.build import build_objective
from mtpsl.training.config import option_names, parse_config
from mtpsl.training.module import TrainingModule
from mtpsl.training.settings import TrainingSettings

TERMS, ALL = {"early terms", "late terms"}, {"early terms", "late terms", "gradient", "own gradient"}
AUTO = "--objective.extensions.pairs auto"
RELATIONS = "--objective.relations.weight 1"
LINES = {
    "losses.reduction": Line("sum", {"supervised", *ALL}),
    "stl.losses.reduction": Line("sum", set()),  # one task has at most one label
    "stl.average": Line("batch", {"supervised", "gradient"}),
    "supervised.losses.reduction": Line("sum", {"supervised", "gradient"}),
    "semi_supervised.losses.reduction": Line("sum", {"supervised", *TERMS, "gradient"}),
    "x_task.losses.reduction": Line("sum", {"supervised", *TERMS, "gradient"}),
    "jtr.losses.reduction": Line("sum", {"supervised", "gradient"}),
    "losses.task_weights": Line("{segmentation: 3.0}", {"supervised", "gradient"}),
    "losses.predicted_weight": Line("1", {"supervised", "gradient"}),
    "relations.weight": Line("3", {*TERMS, "gradient"}, default="0"),
    "relations.ramp": Line("0.5", {*TERMS, "gradient"}, beside=RELATIONS),
    "relations.tolerance": Line("0", {*TERMS, "gradient"}, beside=RELATIONS),
    "term.weight": Line("3", ALL),
    "semi_supervised.term.weight": Line("3", {*TERMS, "gradient"}),
    "perceptual_map.term.weight": Line("3", {*TERMS, "gradient"}),
    "x_task.term.weight": Line("3", {"late terms", "gradient"}),
    "discriminator.term.weight": Line("3", {"gradient", "own gradient"}),
    "term.ramp": Line("1", ALL),
    "semi_supervised.term.ramp": Line("1", {*TERMS, "gradient"}),
    "perceptual_map.term.ramp": Line("1", {*TERMS, "gradient"}),
    "x_task.term.ramp": Line("1", {"late terms", "gradient"}),
    "discriminator.term.ramp": Line("1", {"gradient", "own gradient"}),
    "scales": Line("[2]", {"supervised", *TERMS, "gradient"}),  # norms see the crops, too
    "detach": Line("true", {"gradient"}),
    "first_phase": Line("0.95", {"late terms", "gradient", "own gradient"}),
    "margin": Line("0.1", TERMS),
    "adversarial": Line("false", {"gradient", "own gradient"}),
    "discriminator_lr": Line("0.4", {"rates"}),
    "discriminator_channels": Line("16", {*ALL, "shapes"}),
    # at first the conditioning does nothing, but without it gradients add up in another order
    "mapping.conditional": Line("false", {"gradient", "own gradient", "shapes", "rates"}),
    "mapping.network": Line("resnet18", {*ALL, "shapes"}),
    "mapping.lr": Line("0.2", {"rates"}),
    "mapping.film_lr": Line("0.3", {"rates"}),
    "mapping.film_halving": Line("2", {"rates"}),
    "mapping.width": Line("0.25", {*ALL, "shapes"}),
    "mapping.stride": Line("2", ALL),
    "mapping.level": Line("8", ALL),  # all stages of so narrow a network have 8 channels
    "mapping.center": Line("true", ALL),
    "mapping.checkpoint": Line("true", {"recomputes"}),
    "regularizer": Line("0", ALL),
    "views": Line("1", {"supervised", *ALL, "images"}),  # norms see the second view, too
    "flip_view": Line("true", {"supervised", *ALL}),
    "sample": Line("pair", ALL),
    "labelled_pairs": Line("true", ALL),
    "extensions.pairs": Line("auto", {"late terms", "gradient", "own gradient"}),
    "extensions.decide_at": Line("0.05", {"early terms"}, beside=AUTO),
    "extensions.min_gain": Line(
        "0.9", {"late terms", "gradient", "own gradient"}, beside="--objective.extensions.pairs auto"
    ),
    "extensions.max_pairs": Line("1", ALL),
    "extensions.fit": Line("labels", {*TERMS, "own gradient"}),  # predictions: the same, of one mapping
    "extensions.margin": Line("labels", ALL),
    "extensions.balance": Line("true", {"gradient"}),
    "reconstruction": Line("1", {*TERMS, "own gradient"}),
    "detach_labelled": Line("false", {"gradient"}),
    "encoder_distance": Line("1", {*TERMS, "own gradient"}),
    "crops": Line("false", {"supervised", *ALL, "images"}),  # norms see the crops, too
    "depth_mean": Line("1", ALL),
    "depth_std": Line("1", ALL),
    "mean_teacher.losses.reduction": Line("sum", {"supervised", "late terms", "gradient"}),
    "mean_teacher.losses.task_weights": Line("{segmentation: 3.0}", {"supervised", "late terms", "gradient"}),
    "mean_teacher.term.weight": Line("3", {"late terms", "gradient"}),
    "mean_teacher.term.ramp": Line("1", {"late terms", "gradient"}),
    "mean_teacher.views": Line("1", {"supervised", "late terms", "gradient", "images"}),
    "mean_teacher.scales": Line("[2]", {"supervised", "late terms", "gradient"}),
    "mean_teacher.flip": Line("false", {"supervised", "late terms", "gradient"}),
    "jitter": Line("1", {"supervised", "late terms", "gradient"}),
    "mean_teacher.start": Line("0", {*TERMS, "images", "gradient"}),
    "decay": Line("0", {"late terms", "gradient"}),
    "confidence.probability": Line("0.2", {"late terms", "gradient"}),
    "confidence.class_share": Line("0.9", {"late terms", "gradient"}),
    "confidence.value_share": Line("0.5", {"late terms", "gradient"}),
}
"""Observations are those of `observe_objective`; `objective.option` goes before `option`."""
SMALL = {"mapping.width": "0.01", "discriminator_channels": "8"}
LABELS = [("segmentation",), ("depth",), ("normals", "depth"), ()]
GAINS = torch.tensor([[0.0, 0.9, 0.3], [0.9, 0.0, 0.6], [0.3, 0.6, 0.0]])
"""What a cross-task objective has measured of the relations of the three tasks."""


def observe_objective(name: str, words: Sequence[str]) -> dict[str, Any]:
    """Losses at a tenth and at nine tenths of the training, and the gradients of the latter."""
    words = ["--objective", name, *words]
    for option in option_names(OBJECTIVES[name], "objective"):
        if option in SMALL and f"--objective.{option}" not in words:
            words += [f"--objective.{option}", SMALL[option]]
    config = parse_config(words, {})
    related = any("objective.relations" in word for word in words)
    some = tasks()[:1] if name == "stl" else tasks()
    if related:  # three tasks of which one follows from another
        some = [*some[:2], Edges()]
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in some}, width=0.01)
    objective = build_objective(config, some, network)
    if hasattr(objective, "relations"):
        objective.relations.mismatched += 1000
        objective.relations.matched += 1000 * (1 - GAINS)
    labels = [[name.replace("normals", "edges") if related else name for name in names] for names in LABELS]
    data, seen = batch(labels, (32, 32), edges=related), []
    if related:
        for part in (data.targets, data.valid):
            del part["normals"]
    if name == "stl":
        data = batch([names[:1] for names in LABELS], (32, 32))
        for part in (data.targets, data.valid):
            del part["depth"], part["normals"]
    network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    first = some[0].name
    marks = {task.name: torch.tensor([task.name == first, False, False, False]) for task in some}
    data = replace(data, predicted=marks)
    backward, recomputed, terms = False, [], []
    for module in objective.modules():
        module.register_forward_pre_hook(lambda *_: recomputed.append(True) if backward else None)
    for progress in (0.1, 0.9):
        objective.set_progress(progress)
        torch.manual_seed(1)
        losses = objective(network, data)
        network.zero_grad()
        objective.zero_grad()
        backward = True
        losses.total().backward()
        backward = False
        terms.append({term: x.detach() for term, x in losses.auxiliary.items()})
    return {
        "supervised": {task: x.detach() for task, x in losses.tasks.items()},
        "early terms": terms[0],
        "late terms": terms[1],
        "gradient": gradient(network),
        "own gradient": gradient(objective),
        "shapes": [tuple(p.shape) for p in objective.parameters()],
        "rates": rates(network, objective),
        "images": seen,
        "recomputes": any(recomputed),
    }


def gradient(module: nn.Module) -> Tensor:
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in module.parameters()]
    return torch.cat([part.flatten() for part in parts]) if parts else torch.zeros(0)


def rates(network: Any, objective: Any) -> list[list[float]]:
    """The learning rate of each group of parameters in four epochs of a training."""
    settings = TrainingSettings(epochs=4, lr=0.1, schedule="constant")
    made = TrainingModule(network, objective, objective.tasks, None, settings).configure_optimizers()
    found = []
    for _ in range(4):
        found.append([group["lr"] for group in made["optimizer"].param_groups])
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
    return found


def options() -> list[tuple[str, str]]:
    return [(name, option) for name in OBJECTIVES for option in option_names(OBJECTIVES[name], "objective")]


@cache
def observed(name: str, *words: str) -> dict[str, Any]:
    return observe_objective(name, words)


@pytest.mark.parametrize(("name", "option"), options())
def test_an_objectives_option_changes_what_it_should(name: str, option: str) -> None:
    line = LINES.get(f"{name}.{option}", LINES.get(option))
    table = "LINES in tests/options/test_objective_options.py"
    check(f"objective.{option}", line, lambda words: observed(name, *words), table)


def test_every_line_is_of_an_objectives_option() -> None:
    known = {name for pair in options() for name in (pair[1], ".".join(pair))}
    check_no_other(LINES, known, "tests/options/test_objective_options.py")


def test_the_rate_of_the_conditioning_is_halved_and_no_other() -> None:
    words = [
        "--objective.mapping.lr",
        "0.2",
        "--objective.mapping.film_lr",
        "0.4",
        "--objective.mapping.film_halving",
        "2",
    ]
    network, mapping, film = zip(*observed("cross_task", *words)["rates"], strict=True)
    assert (network, mapping) == ((0.1,) * 4, (0.2,) * 4)
    assert film == (0.4, 0.4, 0.2, 0.2)

"""The optimizer of a run: which parameters, at which rate, on which schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mtpsl.training.length import decided
from mtpsl.training.settings import TrainingSettings

OPTIMIZERS: dict[str, type[Adam] | type[AdamW]] = {"adam": Adam, "adamw": AdamW}


def make_optimizer(
    settings: TrainingSettings, network: nn.Module, others: Iterable[dict[str, Any]], epochs_done: Callable[[], float]
) -> tuple[Optimizer, LambdaLR, Literal["step", "epoch"]]:
    """The optimizer, the schedule of its rates and how often that moves on.

    Args:
        settings: the run's.
        network: its parameters are the first group, or the first groups.
        others: groups of an objective or weighting; `halve_every` gives one a schedule of its own, in epochs.
        epochs_done: how many epochs are done, with the share of the one that is under way.
    """
    groups = [*network_groups(settings, network), *others]
    each_step = changes_each_step(settings)
    clock = (lambda call: epochs_done()) if each_step else float
    schedules = [schedule(settings, group.pop("halve_every", None), clock) for group in groups]
    # one kernel for all parameters: a third of the time on a CPU; Adam stays as published runs were trained with it
    fused = True if settings.optimizer == "adamw" else None
    optimizer = OPTIMIZERS[settings.optimizer](groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=fused)
    return optimizer, LambdaLR(optimizer, schedules), "step" if each_step else "epoch"


def changes_each_step(settings: TrainingSettings) -> bool:
    """Whether rates change at every step, not at every epoch."""
    return settings.schedule == "cosine" or settings.warmup > 0


def network_groups(settings: TrainingSettings, network: nn.Module) -> list[dict[str, Any]]:
    """The network's parameters: in one group, or the encoder's apart where it has another rate.

    AdamW's decay leaves out biases and the parameters of norms, as is usual.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    encoder = {id(p) for p in encoder_of(network).parameters()} if settings.encoder_lr_factor != 1 else set()
    groups = []
    for inside, factor in ((True, settings.encoder_lr_factor), (False, 1.0)):
        part = [p for p in parameters if (id(p) in encoder) == inside]
        decayed = [p for p in part if settings.optimizer == "adam" or p.ndim > 1]
        plain = [p for p in part if settings.optimizer == "adamw" and p.ndim <= 1]
        groups += [{"params": decayed, "lr": settings.lr * factor}] if decayed else []
        groups += [{"params": plain, "lr": settings.lr * factor, "weight_decay": 0.0}] if plain else []
    return groups


def encoder_of(network: nn.Module) -> nn.Module:
    """The part of a network whose rate `encoder_lr_factor` changes and which `freeze_encoder` leaves as it is."""
    return getattr(network, "encoder", nn.Module())


def schedule(
    settings: TrainingSettings, halve_every: int | None, clock: Callable[[int], float]
) -> Callable[[int], float]:
    """The factor on a group's rate: the run's, or halved after every so many epochs; `clock` makes calls epochs.

    A plain function, because a scheduler writes the attributes of any other callable into the checkpoint.
    """
    if halve_every:
        return lambda call: 0.5 ** (int(clock(call)) // halve_every)
    return lambda call: factor(settings, clock(call))


def factor(settings: TrainingSettings, epoch: float) -> float:
    """The learning rate at a moment of the training, in epochs, relative to `lr`.

    >>> half, later = TrainingSettings(epochs=10), TrainingSettings(epochs=10, schedule="cosine", warmup=0.2)
    >>> [factor(half, epoch) for epoch in (0, 4, 5)], [round(factor(later, epoch), 3) for epoch in (1, 2, 6, 10)]
    ([1.0, 1.0, 0.5], [0.5, 1.0, 0.5, 0.0])
    """
    share = epoch / decided(settings.epochs)
    if share < settings.warmup:
        return share / settings.warmup
    if settings.schedule == "poly":
        return float(max(0.0, 1 - share) ** 0.9)
    if settings.schedule == "cosine":
        rest = min(1.0, (share - settings.warmup) / (1 - settings.warmup))
        return 0.5 * (1 + math.cos(math.pi * rest))
    return 0.5 if settings.schedule == "step" and share >= 0.5 else 1.0


def apply_rates(optimizer: Optimizer, scheduler: LambdaLR, wanted: Sequence[tuple[float, float]]) -> None:
    """Replace what a checkpoint restored by the learning rate and the weight decay that each group should have."""
    scheduler.base_lrs = [rate for rate, _ in wanted]
    for group, (rate, decay), relative in zip(optimizer.param_groups, wanted, scheduler.lr_lambdas, strict=True):
        group["initial_lr"], group["weight_decay"] = rate, decay
        group["lr"] = rate * relative(scheduler.last_epoch)
    scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]

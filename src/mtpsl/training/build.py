"""How a configuration becomes objects: the one place between an option and the constructor that takes it.

    --objective.views 1      training/config.py: `parse_config` makes recipe and options a `RunConfig`; an option is an
            |                argument of the chosen class, or a field of a dataclass that it takes
            v
    RunConfig                here: `build_objective(config, ...)`; so, too, network, weighting and augmentation, and
            |                `run_data` in training/run_data.py for the images
            v
    CrossTaskConsistency     objectives/cross_task.py: the constructor, which documents the option

What is wrong with a value is said under the name of its group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

from torch import nn

from mtpsl.augmentation.photometric import PhotometricAugmentation
from mtpsl.augmentation.rotate import Rotation
from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.errors import UserError
from mtpsl.networks import MultiTaskNetwork
from mtpsl.objectives import Objective
from mtpsl.plugins import running
from mtpsl.structures import Batch
from mtpsl.tasks import Task
from mtpsl.training.config import RunConfig
from mtpsl.training.objects import made_objective, made_weighting
from mtpsl.training.optimizer import encoder_of
from mtpsl.training.option_groups import constructor_arguments
from mtpsl.training.own_code import chosen_class
from mtpsl.weighting import GradientWeighting, GradNorm, Weighting, shared_parameters


def build_network(config: RunConfig, tasks: list[Task], *, pretrained: bool = True) -> MultiTaskNetwork:
    """The network of a run, with fresh weights; without `pretrained` none are looked for, since a run's will follow."""
    options = config.network_options
    if not pretrained and "weights" in options:
        options = {**options, "weights": "none"}
    with errors_named(f"network {config.network}"):
        return construct(config, "network", {task.name: task.out_channels for task in tasks}, **options)


def build_objective(
    config: RunConfig,
    tasks: list[Task],
    network: nn.Module,
    given: Objective | type[Objective] | None = None,
) -> Objective:
    """The objective of a run, with fresh weights; or the given one."""
    with errors_named(f"objective {config.objective}"):
        if given is not None:
            return made_objective(given, tasks, network)
        return construct(config, "objective", tasks, network, **config.objective_options)


def build_weighting(
    config: RunConfig,
    tasks: list[Task],
    network: nn.Module,
    given: Weighting | type[Weighting] | None = None,
) -> Weighting:
    """The weighting of a run, in its initial state; or the given one.

    Raises:
        UserError: its options make no sense, or the network trains no parameter that it could weigh.
    """
    if config.weighting == "gradnorm":
        check_gradnorm(config)
    with errors_named(f"weighting {config.weighting}"):
        if given is not None:
            weighting = made_weighting(given, tasks)
        else:
            names = [task.name for task in tasks]
            weighting = construct(config, "weighting", names, **config.weighting_options)
    check_trained(config, network, weighting)
    return weighting


def build_augmentation(config: RunConfig, tasks: list[Task]) -> Callable[[Batch], Batch] | None:
    """The augmentation of a run, or none where there is nothing to do."""
    settings = config.training
    steps: list[Callable[[Batch], Batch]] = []
    if settings.rotation or settings.rescale is not None:
        with errors_named("training.rotation, training.rescale"):
            steps.append(
                Rotation(
                    tasks,
                    degrees=settings.rotation,
                    scales=settings.rescale or (1.0, 1.0),
                    draw=settings.rescale_draw,
                    border=settings.border,
                )
            )
    if settings.flip or any(scale != 1 for scale in settings.scales):
        with errors_named("training.scales"):
            steps.append(Augmentation(tasks, scales=settings.scales, flip=settings.flip))
    if settings.photometric:
        steps.append(PhotometricAugmentation(settings.photometric))
    return (lambda batch: reduce(lambda seen, step: step(seen), steps, batch)) if steps else None


def construct(config: RunConfig, group: str, /, *supplied: Any, **options: Any) -> Any:
    """An object of the class that a group chooses, from what the program supplies and the options."""
    cls = chosen_class(group, getattr(config, group), config.code)
    with running(cls):
        return cls(*supplied, **constructor_arguments(cls, options))


@contextmanager
def errors_named(what: str) -> Iterator[None]:
    """Say of whatever is wrong with a value where it was given."""
    try:
        yield
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{what}: {error}") from error


def check_gradnorm(config: RunConfig) -> None:
    """Refuse what GradNorm does not go together with.

    Raises:
        UserError: the network is compiled and its last shared layer unnamed, or the objective balances pairs.
    """
    if config.training.compile and config.weighting_options.get("layer") is None:
        raise UserError(
            "weighting gradnorm cannot see which layer tasks share last in a compiled network: name its weight with "
            "--weighting.layer, e.g. decoder.0.3.weight for segnet"
        )
    if (config.objective_options.get("extensions") or {}).get("balance"):
        raise UserError(
            "weighting gradnorm sends gradients through the predictions twice, which objective.extensions.balance "
            "would count: use one of the two"
        )


def check_trained(config: RunConfig, network: nn.Module, weighting: Weighting) -> None:
    """Require that the network trains what the weighting weighs.

    Raises:
        UserError: no such layer, or all that tasks share is frozen.
    """
    frozen = {id(p) for p in encoder_of(network).parameters()} if config.training.freeze_encoder else set()
    layer = config.weighting_options.get("layer")
    trained = [name for name, p in network.named_parameters() if id(p) not in frozen]
    if layer is not None and layer not in trained:
        raise UserError(
            f"weighting.layer {layer!r} is no parameter of the network that is trained: give one such as {trained[0]}"
        )
    of_shared = isinstance(weighting, GradientWeighting) or (isinstance(weighting, GradNorm) and layer is None)
    if of_shared and all(id(p) in frozen for p in shared_parameters(network)):
        raise UserError(
            f"weighting {config.weighting} weighs what tasks share, of which nothing is trained: leave out "
            "training.freeze_encoder or network.decoder_per_task, or choose another weighting"
        )

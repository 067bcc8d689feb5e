"""What a weighting is: how the losses of several tasks become one gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtpsl.processes import any_process
from mtpsl.structures import Batch, Losses


class Weighting(nn.Module, ABC):
    """Balances the losses of the tasks; an objective's auxiliary losses always count with weight 1.

    Args:
        tasks: the tasks' names.
    """

    #: the graph is walked more than once, which some compilers have to know
    retains_graph = False

    #: attributes with what this process counted since it was last added up, for a checkpoint within an epoch
    per_process: ClassVar[tuple[str, ...]] = ()

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        if not tasks:
            raise ValueError(f"{type(self).__name__} needs at least one task")
        self.tasks = list(tasks)
        #: what each task counted in the last step, for a look at the training; empty where a method has no weights
        self.weights: dict[str, Float[Tensor, ""]] = {}

    def backward(
        self,
        losses: Losses,
        network: nn.Module,
        batch: Batch,
        *,
        others: Iterable[nn.Parameter] = (),
        scale: float = 1.0,
    ) -> None:
        """Add the gradients of a batch to the parameters' `.grad`, as `losses.total().backward()` does.

        Args:
            losses: of the batch.
            network: the network that they belong to (not wrapped by DistributedDataParallel).
            batch: says which tasks have a label.
            others: further parameters that the losses reach, such as the objective's own.
            scale: a factor on all gradients, for those that are summed over several batches.
        """
        self.check_tasks(losses)
        self.add_gradients(losses, network, batch, others, scale)

    @abstractmethod
    def add_gradients(
        self, losses: Losses, network: nn.Module, batch: Batch, others: Iterable[nn.Parameter], scale: float
    ) -> None:
        """What `backward` does, with losses of the right tasks."""

    def end_epoch(self) -> None:
        """Tell that an epoch is over, in every process (for weights that change once per epoch)."""

    def parameter_groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """Optimizer groups of the weighting's own parameters, without weight decay."""
        parameters = list(self.parameters())
        return [{"params": parameters, "lr": lr, "weight_decay": 0.0}] if parameters else []

    def check_tasks(self, losses: Losses) -> None:
        """Refuse losses of other tasks."""
        if losses.tasks.keys() != set(self.tasks):
            raise ValueError(f"losses should be of the tasks {', '.join(self.tasks)}, not {', '.join(losses.tasks)}")

    def task_losses(self, losses: Losses) -> Float[Tensor, " k"]:
        """The tasks' losses, in the order of `tasks`."""
        self.check_tasks(losses)
        return torch.stack([losses.tasks[name] for name in self.tasks])


class LossWeighting(Weighting):
    """A weighting that multiplies losses: heads are scaled, too, and one backward pass does it."""

    @abstractmethod
    def total(self, losses: Losses, network: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """The scalar to minimize.

        With several processes, the mean of its gradients over them is that of the whole batch.
        """

    def add_gradients(
        self, losses: Losses, network: nn.Module, batch: Batch, others: Iterable[nn.Parameter], scale: float
    ) -> None:
        """Add the gradients of the weighted losses to `.grad`; nothing is averaged over processes."""
        (self.total(losses, network, batch) * scale).backward()

    def weighted(self, losses: Losses, weights: Float[Tensor, " k"]) -> Float[Tensor, ""]:
        """The weighted tasks' losses plus the auxiliary ones; the weights are noted."""
        self.weights = dict(zip(self.tasks, weights.detach(), strict=True))
        return torch.stack([(self.task_losses(losses) * weights).sum(), *losses.auxiliary.values()]).sum()


def labelled_tasks(batch: Batch, tasks: Sequence[str]) -> Bool[Tensor, " k"]:
    """Which tasks have a label in the batch of any process."""
    return any_process(torch.stack([batch.labelled(name).any() for name in tasks]))

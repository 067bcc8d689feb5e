"""Training on Lightning: the only file that knows its hooks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from mtpsl.evaluation.evaluate import Evaluator, Scores
from mtpsl.networks.network import MultiTaskNetwork
from mtpsl.objectives import Objective
from mtpsl.structures import Batch, Losses, ScoredBatch
from mtpsl.tasks import Task
from mtpsl.training.settings import TrainingSettings
from mtpsl.weighting import LossWeighting, Uniform, Weighting


class TrainingModule(lightning.LightningModule):
    """A network, its objective, the weighting of its losses, and how they are optimized and validated.

    Randomness of an epoch is a function of (seed, epoch, process), so that a resumed run repeats what an
    uninterrupted one does.
    """

    def __init__(
        self,
        network: MultiTaskNetwork,
        objective: Objective,
        tasks: Sequence[Task],
        augmentation: Callable[[Batch], Batch] | None,
        settings: TrainingSettings,
        weighting: Weighting | None = None,
    ) -> None:
        super().__init__()
        self.network, self.objective, self.settings = network, objective, settings
        self.tasks, self.augmentation = list(tasks), augmentation
        self.weighting = weighting or Uniform([task.name for task in tasks])
        self._step: tuple[Losses, Batch] | None = None
        self._rates: list[float] = []
        self.evaluator = Evaluator(tasks)
        self.scores: Scores | None = None
        if settings.channels_last:
            self.network.to(memory_format=torch.channels_last)

    def on_train_start(self) -> None:
        """Let a resumed run go on with the rates of its options, not of its checkpoint."""
        optimizer, scheduler = self.optimizers(use_pl_optimizer=False), self.lr_schedulers()
        assert isinstance(optimizer, torch.optim.Optimizer)
        assert isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR)
        apply_rates(optimizer, scheduler, self._rates, self.settings.weight_decay)

    def on_train_epoch_start(self) -> None:
        """Seed this epoch; forget the scores of the last."""
        torch.manual_seed(epoch_seed(self.settings.seed, self.current_epoch, self.global_rank))
        self.scores = None
        if self.current_epoch + 1 == self.settings.epochs:  # the last epoch is validated, whatever validate_every says
            self.trainer.check_val_every_n_epoch = 1

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        """Leave it to a weighting of gradients to average them over processes."""
        self._own_synchronization()

    def on_validation_start(self) -> None:
        """Validate with the first process' statistics of norms."""
        self._own_synchronization()

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """What to minimize on an augmented batch."""
        batches = float(self.trainer.num_training_batches)
        self.objective.set_progress((self.current_epoch + index / batches) / self.settings.epochs)
        if self.augmentation is not None:
            batch = self.augmentation(batch)
        losses = self.objective(self.network, self._formatted(batch))
        self._step = (losses, batch)
        total = losses.total()
        values = {"loss": total, **{f"loss/{n}": x for n, x in {**losses.tasks, **losses.auxiliary}.items()}}
        for name, value in values.items():
            self._log_mean(name, value, len(batch))
        if isinstance(self.weighting, LossWeighting):
            return self.weighting.total(losses, self.network, batch)
        return total

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Gradients of the last step's losses; Lightning has divided `loss` by the number of batches of a step."""
        assert self._step is not None
        (losses, batch), self._step = self._step, None
        if isinstance(self.weighting, LossWeighting):
            super().backward(loss, *args, **kwargs)
        else:
            scale = 1 / self.trainer.accumulate_grad_batches
            self.weighting.backward(losses, self.network, batch, others=self.objective.parameters(), scale=scale)
        for task, weight in self.weighting.weights.items():
            self._log_mean(f"weight/{task}", weight, len(batch))

    def on_train_epoch_end(self) -> None:
        """Let weights change that do so once per epoch."""
        self.weighting.end_epoch()

    def validation_step(self, batch: Batch | ScoredBatch, index: int) -> None:
        """Count a batch."""
        self.evaluator.update(self.network(self._in_format(batch.images)).predictions, batch)

    def on_validation_epoch_end(self) -> None:
        """Score what was counted."""
        self.scores = self.evaluator.compute()
        self.evaluator.reset()
        if not self.trainer.sanity_checking:
            flat = {f"val/{t}/{n}": s.value for t, scores in self.scores.items() for n, s in scores.items()}
            self.log_dict({name: torch.tensor(value, dtype=torch.float32) for name, value in flat.items()})

    def configure_optimizers(self) -> Any:
        """Adam with a schedule per epoch; an objective's groups may have their own."""
        settings = self.settings
        groups: list[dict[str, Any]] = [{"params": list(self.network.parameters()), "lr": settings.lr}]
        groups += [*self.objective.parameter_groups(settings.lr), *self.weighting.parameter_groups(settings.lr)]
        schedules = [schedule(settings, group.pop("halve_every", None)) for group in groups]
        optimizer = torch.optim.Adam(groups, lr=settings.lr, weight_decay=settings.weight_decay)
        self._rates = [float(group["lr"]) for group in optimizer.param_groups]
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, schedules)}

    def transfer_batch_to_device(
        self, batch: Batch | ScoredBatch, device: torch.device, dataloader_idx: int
    ) -> Batch | ScoredBatch:
        """Move a batch without waiting for it."""
        return batch.to(device, non_blocking=True)

    def _own_synchronization(self) -> None:
        """Let DistributedDataParallel keep buffers the same, but not average gradients that are weighed by hand."""
        model = self.trainer.strategy.model
        if isinstance(model, DistributedDataParallel) and not isinstance(self.weighting, LossWeighting):
            model.require_backward_grad_sync, model.require_forward_param_sync = False, True

    def _log_mean(self, name: str, value: Tensor, count: int) -> None:
        """Log the mean over the epoch's images."""
        self.log(
            name,
            value.detach(),
            prog_bar=name == "loss",
            on_step=False,
            on_epoch=True,
            batch_size=count,
            sync_dist=self.trainer.world_size > 1,
        )

    def _formatted(self, batch: Batch) -> Batch:
        if not self.settings.channels_last:
            return batch
        return Batch(batch.keys, self._in_format(batch.images), batch.targets, batch.valid)

    def _in_format(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last) if self.settings.channels_last else images


def schedule(settings: TrainingSettings, halve_every: int | None) -> Callable[[int], float]:
    """The factor on a group's learning rate: the run's, or halved after every so many epochs.

    A plain function, because a scheduler writes the attributes of any other callable into the checkpoint.
    """
    return lambda epoch: 0.5 ** (epoch // halve_every) if halve_every else settings.factor(epoch)


def apply_rates(
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LambdaLR,
    rates: Sequence[float],
    weight_decay: float,
) -> None:
    """Replace the learning rates, of which there is one per group, and the weight decay that a checkpoint restored."""
    scheduler.base_lrs = list(rates)
    for group, rate, factor in zip(optimizer.param_groups, rates, scheduler.lr_lambdas, strict=True):
        group["initial_lr"], group["weight_decay"] = rate, weight_decay
        group["lr"] = rate * factor(scheduler.last_epoch)
    scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]


def epoch_seed(seed: int, epoch: int, rank: int) -> int:
    """Seeds that do not repeat between neighbouring runs, epochs and processes."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{rank}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")

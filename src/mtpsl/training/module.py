"""Training on Lightning: the only file that knows its hooks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from mtpsl.evaluation.evaluate import Evaluator
from mtpsl.evaluation.scores import Scores
from mtpsl.objectives import Objective
from mtpsl.structures import Batch, Losses, ScoredBatch
from mtpsl.tasks import Task
from mtpsl.training.epoch_means import EpochMeans
from mtpsl.training.length import decided
from mtpsl.training.optimizer import apply_rates, changes_each_step, encoder_of, make_optimizer
from mtpsl.training.settings import TrainingSettings
from mtpsl.weighting import LossWeighting, Uniform, Weighting


class TrainingModule(lightning.LightningModule):
    """A network, its objective, the weighting of its losses, and how they are optimized and validated.

    Randomness of an epoch is a function of (seed, epoch, process), so that a resumed run repeats what an
    uninterrupted one does.
    """

    def __init__(
        self,
        network: nn.Module,
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
        self._wanted: list[tuple[float, float]] = []
        self.evaluator = Evaluator(tasks)
        self.scores: Scores | None = None
        self._epochs_done = 0.0
        self._batches_done = 0
        self.means = EpochMeans()
        if settings.freeze_encoder:
            encoder_of(network).requires_grad_(False)
        if settings.channels_last:
            self.network.to(memory_format=torch.channels_last)
            # an objective may make others of the images, such as those of two views behind each other
            self.network.register_forward_pre_hook(in_channels_last)

    def on_train_start(self) -> None:
        """Let a resumed run go on with the rates of its options, not of its checkpoint."""
        optimizer, scheduler = self.optimizers(use_pl_optimizer=False), self.lr_schedulers()
        assert isinstance(optimizer, torch.optim.Optimizer)
        assert isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR)
        self._epochs_done = self.current_epoch + self._batches_done / float(self.trainer.num_training_batches)
        if not changes_each_step(self.settings):
            scheduler.last_epoch = self.current_epoch  # it counted steps if the schedule was another
        apply_rates(optimizer, scheduler, self._wanted)
        self._prepare_epoch()

    def continue_epoch(self, batches: int) -> None:
        """Tell, before training starts, that so many batches of its first epoch were trained on already."""
        self._batches_done = batches

    def on_train_epoch_start(self) -> None:
        """Seed this epoch; forget the scores and losses of the last."""
        torch.manual_seed(epoch_seed(self.settings.seed, self.current_epoch, self.global_rank))
        self.scores = None
        self.means.reset()
        self._prepare_epoch()

    def _prepare_epoch(self) -> None:
        if self.settings.freeze_encoder:
            encoder_of(self.network).eval()  # its norms were switched to training with the rest
        # the last epoch is validated, whatever validate_every says
        if self.current_epoch + 1 == decided(self.settings.epochs):
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
        self.objective.set_progress((self.current_epoch + index / batches) / decided(self.settings.epochs))
        self._epochs_done = self.current_epoch + (index + 1) / batches
        if self.augmentation is not None:
            batch = self.augmentation(batch)
        losses = self.objective(self.network, batch)
        self._step = (losses, batch)
        total = losses.total()
        values = {"loss": total, **{f"loss/{n}": x for n, x in {**losses.tasks, **losses.auxiliary}.items()}}
        for name, value in values.items():
            self.means.add(name, value, len(batch))
        if isinstance(self.weighting, LossWeighting):
            return self.weighting.total(losses, self.network, batch)
        return total

    def terms(self) -> dict[str, Tensor]:
        """The losses of the step that is under way, by name, before its backward pass."""
        if self._step is None:
            return {}
        losses, _ = self._step
        return {name: x.detach() for name, x in {**losses.tasks, **losses.auxiliary}.items()}

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
            self.means.add(f"weight/{task}", weight, len(batch))

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Scale gradients down to the largest norm.

        Lightning's own way refuses fused optimizers under autocast, for the sake of a scaler that bf16 has no need of.
        """
        if gradient_clip_val:
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def on_train_epoch_end(self) -> None:
        """Let weights change that do so once per epoch."""
        self.objective.end_epoch()
        self.weighting.end_epoch()

    def validation_step(self, batch: Batch | ScoredBatch, index: int) -> None:
        """Count a batch."""
        self.evaluator.update(self.network(batch.images).predictions, batch)

    def on_validation_epoch_end(self) -> None:
        """Score what was counted."""
        self.scores = self.evaluator.compute()
        self.evaluator.reset()
        if not self.trainer.sanity_checking:
            flat = {f"val/{t}/{n}": s.value for t, scores in self.scores.items() for n, s in scores.items()}
            self.log_dict({name: torch.tensor(value, dtype=torch.float32) for name, value in flat.items()})

    def configure_optimizers(self) -> Any:
        """The optimizer and the schedule of its rates; an objective's groups may have their own."""
        settings, network = self.settings, self.network
        others = [*self.objective.parameter_groups(settings.lr), *self.weighting.parameter_groups(settings.lr)]
        optimizer, scheduler, interval = make_optimizer(settings, network, others, lambda: self._epochs_done)
        self._wanted = [(float(group["initial_lr"]), group["weight_decay"]) for group in optimizer.param_groups]
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": interval}}

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


def in_channels_last(network: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a network is called with, in the memory layout of its weights."""
    return tuple(x.contiguous(memory_format=torch.channels_last) for x in inputs)


def epoch_seed(seed: int, epoch: int, rank: int) -> int:
    """Seeds that do not repeat between neighboring runs, epochs and processes."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{rank}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")

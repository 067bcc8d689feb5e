"""The loaders of a run."""

from __future__ import annotations

import sys

import lightning
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.broken import broken_note
from mtpsl.data.loading import BatchLoader, make_loader
from mtpsl.objectives import Objective
from mtpsl.training.config import RunConfig
from mtpsl.training.length import decided
from mtpsl.training.own_code import chosen_class
from mtpsl.training.run_data import RunData


class Loaders(lightning.LightningDataModule):
    """The loaders of a run; each process reads its share. They are made once: Lightning may ask anew every epoch.

    Args:
        config: the run's.
        data: its images.
        objective: what it is trained with; by default what its configuration names.
        begun: how many batches of the first epoch were trained on already.
    """

    def __init__(self, config: RunConfig, data: RunData, objective: Objective | None = None, *, begun: int = 0) -> None:
        super().__init__()
        self._begun = begun
        chosen = chosen_class("objective", config.objective, config.code) if objective is None else objective
        self.learns_unlabelled = bool(chosen.learns_unlabelled)
        self.config, self.data = config, data
        self.specs = {task.name: task.target_spec for task in data.tasks}
        self._made: dict[str, BatchLoader] = {}

    @property
    def labelled(self) -> Bool[Tensor, " n"] | None:
        """Which training images have a label; None where the objective learns from those without, too."""
        return None if self.learns_unlabelled else self.data.train.shown.any(1)

    @property
    def varies(self) -> bool:
        """Whether epochs differ in their number of batches."""
        return self.labelled is not None and not bool(self.labelled.all())

    def teardown(self, stage: str) -> None:
        """Say after training how many images were left out as broken."""
        if self.trainer is None or not self.trainer.is_global_zero or self.data.train.broken is None:
            return
        if note := broken_note(self.data.train.broken.folder):
            print(note, file=sys.stderr)

    def train_dataloader(self) -> BatchLoader:
        """Shuffled by (seed, epoch)."""
        trainer = self.trainer
        assert trainer is not None
        if "train" not in self._made:
            pin_memory = trainer.strategy.root_device.type == "cuda"
            self._made["train"] = self.training_loader(trainer.global_rank, trainer.world_size, pin_memory=pin_memory)
        if self._begun:
            self._made["train"].start(trainer.current_epoch, self._begun)
            self._begun = 0
        else:  # Lightning asks for the epoch's length before it says so
            self._made["train"].set_epoch(trainer.current_epoch)
        return self._made["train"]

    def val_dataloader(self) -> BatchLoader:
        """In order, no image twice."""
        assert self.trainer is not None
        if "val" not in self._made:
            self._made["val"] = self.validation_loader(self.trainer.global_rank, self.trainer.world_size)
        return self._made["val"]

    def training_loader(self, rank: int, world_size: int, *, pin_memory: bool = False) -> BatchLoader:
        """The training images of one process, without batches from which nothing can be learned."""
        training, data = self.config.training, self.data.train
        return make_loader(
            data,
            self.specs,
            batch_size=decided(training.batch_size),
            shuffle=True,
            seed=training.seed,
            workers=self.data.workers,
            rank=rank,
            world_size=world_size,
            drop_last=training.drop_last and len(data) >= decided(training.batch_size) * world_size,
            pin_memory=pin_memory,
            labelled=self.labelled,
        )

    def validation_loader(self, rank: int, world_size: int) -> BatchLoader:
        """The validation images of one process.

        One that has none gets the first image without its labels, which counts nothing: Lightning does not validate in
        a process without a batch, and the others would wait for it to add its counts.
        """
        data = self.data.validation
        if rank >= len(data):
            data, rank, world_size = data.without_labels().subset([0]), 0, 1
        return make_loader(
            data,
            self.specs,
            batch_size=decided(self.config.training.batch_size),
            shuffle=False,
            workers=self.data.workers,
            rank=rank,
            world_size=world_size,
        )

"""A training step whose loss is not finite: noticed before it changes a weight, and kept so that it can be repeated."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from mtpsl.errors import UserError, refusal
from mtpsl.files import write_atomically
from mtpsl.processes import gather_from_processes
from mtpsl.structures import Batch
from mtpsl.tensor_files import save_tensors
from mtpsl.training.module import TrainingModule
from mtpsl.training.run_folder import RunFolder

IN_FLIGHT = 2
"""So many steps a GPU may be ahead of the look at their losses, so that nothing waits for it."""


@dataclass
class Step:
    """A step that is under way: where it stands, and all that it is made of beside the weights."""

    epoch: int
    index: int
    batch: Batch
    random: Tensor
    progress: float = 0.0
    terms: dict[str, Tensor] = field(default_factory=dict)
    #: whether the loss is finite; on the CPU, where a GPU writes it at `computed`
    finite: Tensor | None = None
    computed: Any = None


class StopAtNonFinite(Callback):
    """Stops a run at the first step whose loss is not finite, and writes `failure.pt` for `mtpsl replay`.

    On the CPU the step is found before its backward pass. A GPU is not waited for: there it is found two steps later,
    when the weights may be spoiled; then they are left out of the file. Gradients that are not finite where the loss
    was are found by the next step, which names the one before. With several processes the run stops at its next
    checkpoint, since the others would wait for one that stopped alone.

    Args:
        folder: the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.message: str | None = None
        self._begun: Step | None = None
        self._before: tuple[str, ...] = ()
        self._steps: deque[Step] = deque()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Forget the failure of an earlier attempt."""
        if trainer.is_global_zero:
            self.folder.failure.unlink(missing_ok=True)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Note what the step begins with."""
        device = batch.images.device
        random = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
        self._begun = Step(trainer.current_epoch, batch_idx, batch, random)

    def on_before_backward(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, loss: Tensor
    ) -> None:
        """Look at the loss, of a GPU at that of an earlier step."""
        assert isinstance(pl_module, TrainingModule)
        assert self._begun is not None
        step, self._begun = self._begun, None
        step.terms, step.progress = pl_module.terms(), pl_module.objective.progress
        finite = torch.isfinite(loss.detach()).all()
        if finite.device.type == "cuda":
            step.finite = torch.empty((), dtype=torch.bool, pin_memory=True).copy_(finite, non_blocking=True)
            step.computed = torch.cuda.Event()
            step.computed.record()
        else:
            step.finite = finite.cpu()
        self._steps.append(step)
        self._look(pl_module, trainer.world_size == 1, IN_FLIGHT if step.computed is not None else 0)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Look at the last steps."""
        assert isinstance(pl_module, TrainingModule)
        self.require_finite(trainer, pl_module)

    def require_finite(self, trainer: lightning.Trainer, module: TrainingModule) -> None:
        """Look at the last steps; of several processes, which all have to call it, one that found something stops all.

        Raises:
            UserError: the loss of a step was not finite.
        """
        self._look(module, trainer.world_size == 1, 0)
        if first := next((message for message in gather_from_processes(self.message) if message), None):
            raise UserError(first)

    def _look(self, module: TrainingModule, alone: bool, ahead: int) -> None:
        while len(self._steps) > ahead:
            step = self._steps.popleft()
            if step.computed is not None:
                step.computed.synchronize()
            if step.finite is not None and not step.finite and not self.message:
                self.message = self._keep(step, module)
                if alone:
                    raise UserError(self.message)
            self._before = step.batch.keys

    def _keep(self, step: Step, module: TrainingModule) -> str:
        """Write the step, and say what is wrong."""
        whole = all(bool(torch.isfinite(x).all()) for x in module.parameters())
        weights = {name: x.detach().cpu() for name, x in module.state_dict().items()}
        batch = step.batch.to("cpu")
        terms = {name: float(x) for name, x in step.terms.items()}
        content = {
            "epoch": step.epoch,
            "step": step.index,
            "progress": step.progress,
            "random": step.random,
            "batch": {one.name: getattr(batch, one.name) for one in fields(batch)},
            "terms": terms,
            "state_dict": weights if whole or step.computed is None else {},
        }
        shown = f"`mtpsl replay {self.folder.path}` shows where it comes from"
        try:
            write_atomically(self.folder.failure, partial(save_tensors, content))
        except OSError as error:
            shown = f"the step could not be kept ({refusal(error)})"
        wrong = {f"loss/{name}": x for name, x in terms.items() if not math.isfinite(x)}
        term, value = next(iter(wrong.items()), ("loss", math.nan))
        images = f"images {', '.join(batch.keys)}"
        if not whole and step.computed is None:
            images += (
                f"; weights are not finite either: the step before has spoiled them (images {', '.join(self._before)})"
            )
        return (
            f"epoch {step.epoch + 1}, step {step.index + 1}: {term} is {value}; {images}: {shown}; a smaller "
            "--training.lr or --training.clip may help"
        )

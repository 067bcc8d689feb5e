"""A training of two epochs on four images of 32 x 32 pixels, watched at every step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from mtpsl.structures import Batch
from mtpsl.training import run, trainer
from mtpsl.training.config import parse_config
from mtpsl.training.middle import MiddleCheckpoint
from mtpsl.training.run import train

DATA = ["--data.name", "scenes", "--data.size", "[32,32]", "--data.scenes_train", "4", "--data.scenes_val", "2"]
TRAINING = ["--training.epochs", "2", "--training.batch_size", "2", "--training.accelerator", "cpu"]
TINY = [*DATA, *TRAINING, "--network.width", "0.01", "--objective", "supervised"]


class Watch(Callback):
    """Writes down what happens to images, gradients and learning rates."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[str, ...]]] = []
        self.images: list[Tensor] = []
        self.formats: set[bool] = set()
        self.precisions: set[torch.dtype] = set()
        self.progress: list[float] = []
        self.rates: list[list[float]] = []
        self.decays: list[list[float]] = []
        self.gradients: list[float] = []
        self.validated: list[int] = []
        self.start = 0.0
        self.optimizer = ""

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        pl_module.network.register_forward_pre_hook(self.seen)
        tell = pl_module.objective.set_progress
        pl_module.objective.set_progress = lambda x: (self.progress.append(x), tell(x))

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.start = float(torch.stack([p.detach().double().abs().sum() for p in pl_module.parameters()]).sum())
        self.optimizer = type(trainer.optimizers[0]).__name__
        trainer.optimizers[0].register_step_post_hook(self.stepped)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.batches.append([])

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        self.batches[-1].append(batch.keys)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.validated.append(trainer.current_epoch + 1)

    def seen(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """What the network is given in training."""
        if network.training:
            self.images.append(inputs[0].detach().clone())
            self.formats.add(inputs[0].is_contiguous(memory_format=torch.channels_last))
            mixed = torch.is_autocast_enabled("cpu")
            self.precisions.add(torch.get_autocast_dtype("cpu") if mixed else inputs[0].dtype)

    def stepped(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """After a step: the gradients are those that it took."""
        self.rates.append([group["lr"] for group in optimizer.param_groups])
        self.decays.append([group["weight_decay"] for group in optimizer.param_groups])
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self.gradients.append(float(torch.stack([x.norm() for x in gradients]).norm()))


def observe_run(words: Sequence[str], out: Path) -> dict[str, Any]:
    """What can be seen of a training from outside of it."""
    watch, compiled, hardware, middle = Watch(), [], {}, []

    class Trainer(lightning.Trainer):
        """Watched, and on this machine, whatever is asked for."""

        def __init__(self, *, callbacks: list[Callback], **options: Any) -> None:
            here = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", "sync_batchnorm": False}
            hardware.update({name: options[name] for name in here})
            super().__init__(callbacks=[watch, *callbacks], **{**options, **here})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lightning, "Trainer", Trainer)
        patch.setattr(trainer, "check_norms", lambda *_: None)
        patch.setattr(run, "check_processes", lambda *_: None)
        patch.setattr(nn.Module, "compile", lambda module: compiled.append(type(module).__name__))
        patch.setattr(MiddleCheckpoint, "save", lambda self, trainer, module, batches: middle.append(batches))
        train(parse_config([*TINY, *words], {}), out, progress=False)
    return {
        "epochs": len(watch.batches),
        "order": watch.batches[0],
        "images": watch.images[: len(watch.batches[0])],
        "start": watch.start,
        "optimizer": watch.optimizer,
        "rates": watch.rates,
        "decay": watch.decays[0],
        "gradient": watch.gradients[0],
        "steps": len(watch.gradients),
        "progress": watch.progress,
        "validated": watch.validated,
        "format": watch.formats,
        "precision": watch.precisions,
        "compiled": compiled,
        "hardware": hardware,
        "averaged": "current_model_state" in torch.load(out / "checkpoints" / "last.ckpt", weights_only=True),
        "best": (out / "checkpoints" / "best.ckpt").is_file(),
        "sheets": len([*out.glob("pictures/sheets/*.png")]),
        "middle": middle,
        "logged": (out / "csv" / "metrics.csv").is_file(),
        "report": (out / "report.html").is_file(),
    }

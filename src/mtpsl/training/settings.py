"""How a run is trained: the options that belong to no network and no objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from mtpsl.options import check_at_least_one, check_not_negative, check_positive, check_seed


@dataclass(frozen=True)
class TrainingSettings:
    """How to optimize.

    Args:
        epochs: passes over the training images; `auto`: 30 to 100 of them, fewer the more images there are;
            `short`: a third of that, for a first look.
        batch_size: images per step and process; `auto`: 8, of fewer than 64 images 4, of fewer than 16 images 2.
        drop_last: leave out the last batch of an epoch where fewer images are left for it.
        optimizer: `adam` (published) or `adamw`, whose decay leaves out biases and norms.
        lr: learning rate.
        encoder_lr_factor: the encoder's rate, relative to `lr`; a pretrained one wants a smaller rate.
        freeze_encoder: leave the encoder's weights and norms as they are.
        weight_decay: L2 penalty of Adam, decay of AdamW.
        schedule: `step` halves the rate after half of the epochs (published for NYU-v2 and Cityscapes), `poly` lowers
            it to zero with power 0.9 (published for PASCAL), `cosine` lowers it to zero at every step, `constant`
            keeps it.
        warmup: share of the training over which the rate rises from 0, step by step.
        ema: decay of an average of the weights over the steps, such as 0.99, which is validated and kept in place of
            the last weights.
        clip: largest gradient norm; larger gradients are scaled down to it.
        accumulate: sum gradients over this many batches before a step.
        validate_every: epochs between validations; the last epoch is always validated.
        keep_best: also keep the epoch whose validation scores improved most over those of the first validation, on
            average over tasks, as checkpoints/best.ckpt and scores_best.json.
        patience: stop after so many validations in a row without a better one, as `keep_best` compares them.
        scales: magnifications that augmentation draws from; 1 for none.
        flip: mirror half of the images.
        rotation: turn images about their center by up to this many degrees to either side (PASCAL: 20).
        rescale: smallest and largest magnification about the center; below 1 leaves a black border (PASCAL: 0.75,1.25).
        rescale_draw: how one is drawn between the two: on a logarithmic scale (`log`), or evenly (`uniform`: PASCAL).
        border: what `rotation` and `rescale` let in from outside of an image has no label (`unlabelled`), or the label
            0 of tasks with classes or boundaries (`zero`, published for PASCAL, where 0 is the background).
        photometric: how strongly brightness, contrast and saturation change at random, from 0 to 1; 0 for none.
        seed: seed of weights, order of images, augmentation and label regime.
        precision: `32`, `bf16-mixed`, or `auto`: bf16 with channels_last where this machine's processor or GPU is
            quicker at it, which is measured at the start.
        channels_last: memory layout that speeds convolutions up, above all with bf16.
        compile: compile the network, and the mapping of pairs of tasks, with torch.compile.
        accelerator: `auto`, `cpu` or `gpu`.
        devices: processes (GPUs or CPU processes) on every node; each gets `batch_size` images per step.
        num_nodes: machines that train together, each with `devices` processes (docs/runs.md says how to start them).
        strategy: how several processes work together, by Lightning's names: `auto` and
            `ddp_find_unused_parameters_true` wait for no gradient that a step lacks, `ddp` is a little quicker where
            every step has the gradient of every weight.
        sync_batchnorm: let batch norms count the images of all processes (GPUs only).
        checkpoint_minutes: write checkpoints/middle.ckpt after so many minutes within an epoch, so that a run that ends
            unexpectedly loses no more than them; 0 for none. SIGTERM and SIGUSR1 write one in any case.
        sheets: how many validation images are drawn into the run folder at the end.
        report: write `report.html` at the end, a page that shows the run.
        logger: where losses and scores of each epoch also go, and sheets at each validation: any of `tensorboard`,
            `csv` (no sheets), `wandb`, `mlflow`, as [csv,wandb]; docs/runs.md says where they lie.
        start_from: a run folder whose network this run starts from, and its objective where both have the same one, to
            be tuned further with a fresh optimizer (e.g. one that `mtpsl import-checkpoint` made).
    """

    epochs: int | Literal["auto", "short"] = 200
    batch_size: int | Literal["auto"] = 8
    drop_last: bool = True
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = 1e-4
    encoder_lr_factor: float = 1.0
    freeze_encoder: bool = False
    weight_decay: float = 0.0
    schedule: Literal["step", "poly", "cosine", "constant"] = "step"
    warmup: float = 0.0
    ema: float | None = None
    clip: float | None = None
    accumulate: int = 1
    validate_every: int = 10
    keep_best: bool = False
    patience: int | None = None
    scales: Sequence[float] = (1.0, 1.2, 1.5)
    flip: bool = True
    rotation: float = 0.0
    rescale: tuple[float, float] | None = None
    rescale_draw: Literal["log", "uniform"] = "log"
    border: Literal["unlabelled", "zero"] = "unlabelled"
    photometric: float = 0.0
    seed: int = 0
    precision: Literal["32", "bf16-mixed", "auto"] = "32"
    channels_last: bool = False
    compile: bool = False
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = "auto"
    sync_batchnorm: bool = False
    checkpoint_minutes: float = 10.0
    sheets: int = 4
    report: bool = True
    logger: Sequence[Literal["tensorboard", "csv", "wandb", "mlflow"]] = ()
    start_from: str | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "validate_every", "patience", "devices", "num_nodes"):
            value = getattr(self, name)
            check_at_least_one(**{f"training.{name}": None if isinstance(value, str) else value})
        if self.rescale_draw != "log" and self.rescale is None:
            raise ValueError(f"training.rescale_draw {self.rescale_draw} belongs to training.rescale: give both")
        if self.border != "unlabelled" and self.rescale is None and not self.rotation:
            raise ValueError(
                f"training.border {self.border} belongs to training.rotation or training.rescale, which let a border in"
            )
        for name in ("weight_decay", "checkpoint_minutes", "sheets"):
            check_not_negative(**{f"training.{name}": getattr(self, name)})
        for name in ("lr", "clip", "encoder_lr_factor"):
            check_positive(**{f"training.{name}": getattr(self, name)})
        if not self.scales or not all(1 <= scale < math.inf for scale in self.scales):
            found = ",".join(f"{scale:g}" for scale in self.scales)
            raise ValueError(f"training.scales should be one or more numbers of at least 1, as 1,1.2,1.5, not {found}")
        if not 0 <= self.rotation <= 180:
            raise ValueError(f"training.rotation should lie between 0 and 180 degrees, not {self.rotation}")
        if self.rescale is not None and not 0 < self.rescale[0] <= self.rescale[1] < math.inf:
            found = ",".join(f"{scale:g}" for scale in self.rescale)
            raise ValueError(
                f"training.rescale should be a smallest and a largest positive number, as 0.75,1.25, not {found}"
            )
        for name in ("warmup", "ema"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"training.{name} should lie between 0 and 1, not {value}")
        if not 0 <= self.photometric <= 1:
            raise ValueError(f"training.photometric should lie between 0 and 1, not {self.photometric}")
        if self.freeze_encoder and self.encoder_lr_factor != 1:
            raise ValueError("training.freeze_encoder leaves training.encoder_lr_factor without effect: use one")
        if self.processes == 1 and (self.sync_batchnorm or self.strategy != "auto"):
            name = "strategy" if self.strategy != "auto" else "sync_batchnorm"
            raise ValueError(f"training.{name} belongs to several training.devices or training.num_nodes: give both")
        check_seed("training.seed", self.seed)

    @property
    def processes(self) -> int:
        """How many train together, over all nodes."""
        return self.devices * self.num_nodes


def names(settings: type) -> list[str]:
    """The option names of a settings class; a data set of one's own has its `options` beside them."""
    return [field.name for field in fields(settings) if field.name != "options"]

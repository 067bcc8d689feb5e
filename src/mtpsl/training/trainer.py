"""Lightning's trainer for a run."""

from __future__ import annotations

import logging
import warnings

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback

from mtpsl.errors import UserError
from mtpsl.training.callbacks import CheckpointFiles, ProgressBar
from mtpsl.training.config import RunConfig
from mtpsl.training.length import decided
from mtpsl.training.nodes import own_environment
from mtpsl.training.run_folder import RunFolder


def make_trainer(
    config: RunConfig, folder: RunFolder, callbacks: list[Callback], progress: bool, *, varies: bool = False
) -> lightning.Trainer:
    """Lightning's trainer for a run; `varies`: its epochs differ in their number of batches.

    Raises:
        UserError: this machine has no such accelerator, or not so many.
    """
    training = config.training
    quiet_lightning()
    bar: list[Callback] = [ProgressBar()] if progress else []
    try:
        trainer = lightning_trainer(config, folder, [*callbacks, *bar], progress, varies)
    except MisconfigurationException as error:
        raise UserError(
            f"training.accelerator {training.accelerator}, training.devices {training.devices}, training.strategy "
            f"{training.strategy}: {error}"
        ) from error
    check_norms(training.sync_batchnorm, trainer.strategy.root_device.type)
    return trainer


def check_norms(synchronized: bool, kind: str) -> None:
    """Refuse norms that torch cannot synchronize on a kind of device.

    Raises:
        UserError: they are asked for on the CPU.
    """
    if synchronized and kind == "cpu":
        raise UserError("training.sync_batchnorm needs GPUs, since torch has it for none but them: leave it out")


def lightning_trainer(
    config: RunConfig, folder: RunFolder, callbacks: list[Callback], progress: bool, varies: bool
) -> lightning.Trainer:
    """The settings of a run as Lightning calls them."""
    training, strategy = config.training, "auto"
    if training.processes > 1:  # labels that a batch lacks leave heads without a gradient
        strategy = "ddp_find_unused_parameters_true" if training.strategy == "auto" else training.strategy
    return lightning.Trainer(
        accelerator=training.accelerator,
        devices=training.devices,
        num_nodes=training.num_nodes,
        strategy=strategy,
        sync_batchnorm=training.sync_batchnorm,
        plugins=[CheckpointFiles(), *own_environment()],
        precision="bf16-mixed" if training.precision == "bf16-mixed" else "32-true",
        max_epochs=decided(training.epochs),
        reload_dataloaders_every_n_epochs=int(varies),  # else Lightning keeps the first epoch's number of batches
        check_val_every_n_epoch=training.validate_every,
        num_sanity_val_steps=0,
        gradient_clip_val=training.clip,
        accumulate_grad_batches=training.accumulate,
        use_distributed_sampler=False,
        logger=False,  # those of `training.logger` come when the folder is made
        default_root_dir=str(folder.path),
        callbacks=callbacks,
        enable_progress_bar=progress,
        enable_model_summary=False,
        log_every_n_steps=10,
    )


REMARKS = (
    ".*The anonymous setting has no effect.*",  # Lightning 2.6 with wandb 0.30
    ".*`resume` will be ignored since W&B syncing is set to `offline`.*",
    ".*does not have many workers.*",  # cached images need none
    ".*smaller than the logging interval.*",
    ".*overridden `transfer_batch_to_device`.*",
    ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning 2.6 with torch 2.15
    ".*weights_only.*",
    ".*dataloader is not resumable.*",  # the loader starts at the right batch
    ".*It is recommended to use `self.log.*sync_dist.*",  # metrics are summed over processes before they are logged
    ".*checkpoint directory.*exists and is not empty.*",
    ".*in eval mode at the start of training.*",  # the teacher of an objective stays so
)


def quiet_lightning() -> None:
    """Silence remarks about hardware, workers and Lightning's own deprecations; real warnings stay."""
    for message in REMARKS:
        warnings.filterwarnings("ignore", message=message)
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)

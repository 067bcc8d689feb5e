"""Where losses, scores and sheets go beside metrics.csv: Lightning's loggers by their names."""

from __future__ import annotations

import csv
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image

from mtpsl.errors import UserError
from mtpsl.files import write_text
from mtpsl.training.config import RunConfig
from mtpsl.training.run_folder import RunFolder

PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
"""What a logger needs."""
DrawSheets = Callable[[], Iterator[tuple[str, Image.Image]]]


def need_loggers(config: RunConfig) -> None:
    """Refuse early where a logger's package is missing.

    Raises:
        UserError: one is.
    """
    for name in config.training.logger:
        if name in PACKAGES and find_spec(PACKAGES[name]) is None:
            raise UserError(f"training.logger {name} needs {PACKAGES[name]}: pip install 'mtpsl[loggers]' brings it")


def make_loggers(config: RunConfig, folder: RunFolder, epochs: int) -> list[Logger]:
    """The loggers that a run names; each keeps its files in the run's folder, unless its own variables say otherwise.

    W&B stays offline unless WANDB_MODE is `online`; MLflow writes to the store that MLFLOW_TRACKING_URI names.

    Args:
        config: of the run.
        folder: of the run; `loggers.json` in it holds by which names W&B and MLflow know the run.
        epochs: how many are done already: their log is continued.
    """
    makers: dict[str, Callable[[RunFolder, int], Logger]] = {
        "tensorboard": lambda folder, _: TensorBoardLogger(str(folder.path), name="", version="tensorboard"),
        "csv": csv_logger,
        "wandb": wandb_logger,
        "mlflow": mlflow_logger,
    }
    return [makers[name](folder, epochs) for name in dict.fromkeys(config.training.logger)]


def csv_logger(folder: RunFolder, epochs: int) -> Logger:
    """Lightning's CSV file with the rows of the epochs that are done, which it would delete."""
    file = folder.path / "csv" / "metrics.csv"
    rows: list[dict[str, Any]] = []
    if file.is_file():
        with file.open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row.get("epoch") and int(row["epoch"]) < epochs]
        file.unlink()
    logger = CSVLogger(str(folder.path), name="", version="csv")
    logger.experiment.metrics.extend({name: value for name, value in row.items() if value} for row in rows)
    return logger


def wandb_logger(folder: RunFolder, epochs: int) -> Logger:
    """A run of W&B, of the same name when it is continued."""
    import wandb

    name = known_names(folder).get("wandb") or secrets.token_hex(4)
    remember(folder, "wandb", name)
    folder.path.mkdir(parents=True, exist_ok=True)
    offline = os.environ.get("WANDB_MODE", "offline") != "online"
    quiet = wandb.Settings(silent=True, console="off")
    return WandbLogger(
        name=folder.path.name, save_dir=folder.path, id=name, project="mtpsl", offline=offline, settings=quiet
    )


def mlflow_logger(folder: RunFolder, epochs: int) -> Logger:
    """A run of MLflow, the same one when it is continued."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri is None:  # files need no database; MLflow 3.17 asks to say that one wants them
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        uri = (folder.path / "mlflow").resolve().as_uri()
    logger = MLflow("mtpsl", folder.path.name, tracking_uri=uri, run_id=known_names(folder).get("mlflow"))
    remember(folder, "mlflow", str(logger.run_id))
    return logger


class MLflow(MLFlowLogger):
    """MLflow in files, where `loss` cannot be a file and the folder of `loss/depth` at once: it is `loss/total`."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log under names that can lie beside each other."""
        super().log_metrics({"loss/total" if name == "loss" else name: x for name, x in metrics.items()}, step)


def known_names(folder: RunFolder) -> dict[str, str]:
    """By which names other tools know the run."""
    file = folder.path / "loggers.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def remember(folder: RunFolder, tool: str, name: str) -> None:
    """Note by which name a tool knows the run."""
    write_text(folder.path / "loggers.json", json.dumps({**known_names(folder), tool: name}, indent=2) + "\n")


class LogSheets(Callback):
    """Gives sheets of validation images to the loggers that can hold pictures, at each validation.

    Args:
        draw: names and pictures of the sheets, by the network as it is.
    """

    def __init__(self, draw: DrawSheets) -> None:
        self.draw = draw

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Draw and log."""
        loggers = [logger for logger in trainer.loggers if not isinstance(logger, CSVLogger)]
        if not trainer.is_global_zero or not loggers:
            return
        for name, sheet in self.draw():
            for logger in loggers:
                log_picture(logger, f"sheets/{name}", sheet, trainer.global_step)


def close(loggers: Sequence[Logger]) -> None:
    """Close W&B's runs, which otherwise wait for the end of the process."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


def log_picture(logger: Logger, name: str, picture: Image.Image, step: int) -> None:
    """Give a picture to a logger."""
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")
    elif isinstance(logger, WandbLogger):
        logger.log_image(name, [picture], step=None)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_image(logger.run_id, picture, artifact_file=f"{name}/{step:08}.png")

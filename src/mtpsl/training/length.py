"""How long a run trains and with how large batches, where that is left to the number of its images."""

from __future__ import annotations

import dataclasses
from typing import Literal

from mtpsl.errors import UserError
from mtpsl.training.config import RunConfig
from mtpsl.training.settings import TrainingSettings

SEEN = 30_000
"""Images that a training of automatic length sees in all, counting each as often as it is seen."""
SHORT = 3
"""How many times shorter a short one is."""


def with_length(config: RunConfig, images: int) -> RunConfig:
    """A configuration whose epochs and batch size are numbers, which are decided where it says `auto` or `short`.

    Args:
        config: as it was given.
        images: how many there are for training.
    """
    training = config.training
    epochs = training.epochs
    if isinstance(epochs, str):
        epochs = suited_epochs(images) // (SHORT if epochs == "short" else 1)
    batch_size = suited_batch_size(images) if training.batch_size == "auto" else training.batch_size
    return dataclasses.replace(config, training=dataclasses.replace(training, epochs=epochs, batch_size=batch_size))


def decisions(given: TrainingSettings, config: RunConfig, images: int) -> str:
    """A line that says what was decided; empty where nothing was left open."""
    found = {name: getattr(config.training, name) for name in ("epochs", "batch_size")}
    words = ", ".join(
        f"training.{name} {number}" + f" (short: {number // SHORT})" * (name == "epochs" and given.epochs == "auto")
        for name, number in found.items()
        if isinstance(getattr(given, name), str)
    )
    return f"{words}: for {images} training images" if words else ""


def suited_epochs(images: int) -> int:
    """Epochs that see thirty thousand images in all, from 30 (of large sets) to 100 (of small ones).

    >>> [suited_epochs(images) for images in (20, 367, 552, 5000)]
    [100, 82, 54, 30]
    """
    return min(100, max(30, round(SEEN / images)))


def suited_batch_size(images: int) -> int:
    """Eight images, of small sets fewer, so that an epoch has about eight steps or more.

    >>> [suited_batch_size(images) for images in (15, 63, 64)]
    [2, 4, 8]
    """
    return 8 if images >= 64 else 4 if images >= 16 else 2


def decided(number: int | Literal["auto", "short"]) -> int:
    """A number of epochs or images, which is no longer a word once a run has begun (`with_length`).

    Raises:
        UserError: it is.
    """
    if isinstance(number, str):
        raise UserError(
            f"training.epochs and training.batch_size are decided when a run begins: give numbers, not {number}"
        )
    return number

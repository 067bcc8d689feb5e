"""Whether a network can train on the smallest batch of a run: batch norms need more than one value per channel."""

from __future__ import annotations

import copy

import torch
from torch import nn

from mtpsl.errors import UserError
from mtpsl.training.length import decided
from mtpsl.training.settings import TrainingSettings


def smallest_batch(images: int, training: TrainingSettings) -> int:
    """How many images the smallest batch of an epoch holds in each process.

    >>> [smallest_batch(images, TrainingSettings(batch_size=4, drop_last=False)) for images in (3, 8, 9)]
    [3, 4, 1]
    >>> smallest_batch(9, TrainingSettings(batch_size=4))
    4
    """
    share, batch_size = -(-images // training.processes), decided(training.batch_size)
    if training.drop_last and images >= batch_size * training.processes:
        return batch_size
    return share % batch_size or batch_size


def check_smallest_batch(network: nn.Module, size: tuple[int, int], images: int, training: TrainingSettings) -> None:
    """Refuse a batch of one image that leaves a batch norm one value per channel, of which there is no deviation.

    Args:
        network: is left as it is.
        size: height and width of the images.
        images: how many there are for training.
        training: how they are put into batches.

    Raises:
        UserError: it does.
    """
    if smallest_batch(images, training) > 1:
        return
    device = next(network.parameters()).device
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            copy.deepcopy(network).train()(torch.zeros(1, 3, *size, device=device))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        what = "a batch" if training.batch_size == 1 else "the last batch of an epoch"
        raise UserError(
            f"{what} with one image of {size[0]}x{size[1]} leaves one pixel, too little for batch norms: "
            f"give another --training.batch_size (now {training.batch_size}) or larger images with --data.size"
        ) from error

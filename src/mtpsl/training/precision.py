"""Which precision and memory layout train a network quickest on a machine: measured, not guessed."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import replace
from typing import Literal

import torch
from rich.console import Console
from torch import nn

from mtpsl.training.config import RunConfig
from mtpsl.training.length import decided
from mtpsl.training.nodes import wait_for, writes_run
from mtpsl.training.run_folder import RunFolder

Precision = Literal["32", "bf16-mixed"]
WORTH = 1.2
"""How much quicker bf16 has to be: it also costs a little accuracy."""
WORTH_LAYOUT = 1.05
"""How much quicker channels_last has to be: less is noise."""
LARGEST, IMAGES, ROUNDS = 256, 4, 4
"""Sides of images and how many are measured at most, and how often; the first round only warms up."""


def as_decided(config: RunConfig, folder: RunFolder) -> RunConfig:
    """The same configuration with the precision that the run in `folder` has decided on, if it has."""
    if config.training.precision != "auto" or not folder.config.is_file():
        return config
    known = folder.read_config().training
    training = replace(config.training, precision=known.precision, channels_last=known.channels_last)
    return replace(config, training=training)


def with_precision(config: RunConfig, folder: RunFolder, network: nn.Module, size: tuple[int, int]) -> RunConfig:
    """A configuration whose precision is decided; it stays as it is where it is not `auto`.

    Processes beside the first do as that one, which writes its configuration when it has decided.

    Args:
        config: of the run.
        folder: its folder.
        network: what is measured, in a copy.
        size: height and width of images.
    """
    if config.training.precision == "auto" and not writes_run(config.training):
        wait_for(folder.config)
    config = as_decided(config, folder)
    if config.training.precision != "auto":
        return config
    device = "cuda" if config.training.accelerator != "cpu" and torch.cuda.is_available() else "cpu"
    count = min(IMAGES, decided(config.training.batch_size))
    shape = (count, 3, min(LARGEST, size[0]), min(LARGEST, size[1]))
    layouts = (True,) if config.training.channels_last else (False, True)
    chosen, channels_last, reason = quickest_precision(network, shape, torch.device(device), layouts)
    layout = " and channels_last" if channels_last else ""
    Console(stderr=True).print(f"precision {chosen}{layout}: {reason}", soft_wrap=True, highlight=False)
    return replace(config, training=replace(config.training, precision=chosen, channels_last=channels_last))


def quickest_precision(
    network: nn.Module,
    shape: tuple[int, int, int, int],
    device: torch.device,
    layouts: tuple[bool, ...] = (False, True),
) -> tuple[Precision, bool, str]:
    """What trains a network quickest on `device`, and what was measured, in words.

    Args:
        network: it is copied, and no random number is drawn.
        shape: of a batch of images.
        device: to measure on.
        layouts: whether channels_last is looked at: never, always, or both.

    Returns:
        the precision, whether with channels_last, and the reason.
    """
    copied = copy.deepcopy(network).to(device).train()
    types = [torch.float32, torch.bfloat16] if has_bf16(device) else [torch.float32]
    times = {(dtype, last): math.inf for last in layouts for dtype in types}
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else None), torch.enable_grad():
        images = torch.rand(shape, device=device)
        for number in range(ROUNDS):
            for dtype, last in times:
                layout = torch.channels_last if last else torch.contiguous_format
                copied.to(memory_format=layout)
                taken = step_time(copied, images.contiguous(memory_format=layout), dtype)
                if number:
                    times[dtype, last] = min(times[dtype, last], taken)
    return choose_precision(times)


def choose_precision(times: dict[tuple[torch.dtype, bool], float]) -> tuple[Precision, bool, str]:
    """The precision, whether with channels_last, and the reason in words.

    Args:
        times: seconds of a step in a type, with channels_last or without.

    >>> full, half = torch.float32, torch.bfloat16
    >>> choose_precision({(full, False): 0.2, (full, True): 0.1, (half, False): 0.4, (half, True): 0.3})
    ('32', True, 'a step of the network in bf16 takes 3.00 of the time that it takes in float32')
    """
    best = {dtype: least_of(times, dtype) for dtype, _ in times}
    if torch.bfloat16 not in best:
        return "32", best[torch.float32][1], "this device has no bf16"
    (full, full_last), (half, half_last) = best[torch.float32], best[torch.bfloat16]
    reason = f"a step of the network in bf16 takes {half / full:.2f} of the time that it takes in float32"
    return ("bf16-mixed", half_last, reason) if full >= WORTH * half else ("32", full_last, reason)


def least_of(times: dict[tuple[torch.dtype, bool], float], dtype: torch.dtype) -> tuple[float, bool]:
    """Seconds in a type, and whether with channels_last: only where that is clearly quicker."""
    plain, last = times.get((dtype, False), math.inf), times.get((dtype, True), math.inf)
    return (last, True) if plain >= WORTH_LAYOUT * last else (plain, False)


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes in bf16 at all."""
    return device.type != "cuda" or torch.cuda.is_bf16_supported()


def step_time(network: nn.Module, images: torch.Tensor, dtype: torch.dtype) -> float:
    """Seconds of one pass forward and backward."""
    start = time.perf_counter()
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        predictions = network(images).predictions
    torch.stack([x.float().square().mean() for x in predictions.values()]).sum().backward()
    network.zero_grad(set_to_none=True)
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - start

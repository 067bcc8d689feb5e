"""Whether bf16 is worth it on a machine: measured, not guessed."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Literal

import torch
from rich.console import Console
from torch import nn

from mtpsl.training.config import RunConfig
from mtpsl.training.run_folder import RunFolder

Precision = Literal["32", "bf16-mixed"]
WORTH = 1.2
"""How much quicker bf16 has to be: it also costs a little accuracy."""


def with_precision(config: RunConfig, folder: RunFolder) -> RunConfig:
    """A configuration whose precision is decided; it stays as it is where it is not `auto`.

    Processes beside the first do as that one, which has written its configuration by then.
    """
    if config.training.precision != "auto":
        return config
    if os.environ.get("LOCAL_RANK", "0") != "0":
        decided = folder.read_config().training
        chosen, channels_last = decided.precision, decided.channels_last
    else:
        device = "cuda" if config.training.accelerator != "cpu" and torch.cuda.is_available() else "cpu"
        chosen, reason = quicker_precision(torch.device(device))
        Console(stderr=True).print(f"precision {chosen}: {reason}", soft_wrap=True)
        channels_last = config.training.channels_last or chosen == "bf16-mixed"
    training = dataclasses.replace(config.training, precision=chosen, channels_last=channels_last)
    return dataclasses.replace(config, training=training)


def quicker_precision(device: torch.device) -> tuple[Precision, str]:
    """`bf16-mixed` or `32`, whichever trains a convolution quicker on `device`, and what was measured, in words."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported():
        return "32", "this GPU has no bf16"
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        layer = nn.Conv2d(64, 64, 3, padding=1).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = torch.rand(4, 64, 64, 64, device=device).contiguous(memory_format=torch.channels_last).requires_grad_()
        times[dtype] = min(step_time(layer, x, dtype) for _ in range(5))
    gain = times[torch.float32] / times[torch.bfloat16]
    chosen: Precision = "bf16-mixed" if gain >= WORTH else "32"
    return chosen, f"a convolution in bf16 takes {1 / gain:.2f} of the time that it takes in float32"


def step_time(layer: nn.Module, x: torch.Tensor, dtype: torch.dtype) -> float:
    """Seconds of one pass forward and backward."""
    start = time.perf_counter()
    with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
        y = layer(x)
    y.float().sum().backward()
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - start

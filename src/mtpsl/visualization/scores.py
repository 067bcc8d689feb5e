"""The score of one image, in words."""

from __future__ import annotations

import math

from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.tasks import Task

SPELLING = {"miou": "mIoU", "odsf": "odsF", "image_iou": "IoU", "abs_err": "absolute error", "mean_err": "mean error"}


def score_line(task: Task, raw: Float[Tensor, "1 c h w"], label: Tensor, valid: Bool[Tensor, "1 h w"]) -> str:
    """The task's primary score of one image, with its unit."""
    metric = task.metric()
    metric.distributed_available_fn = lambda: False  # one process draws: do not wait for the others
    metric.update(raw, label, valid)
    score = task.scores(metric.compute())[task.primary]
    value = (
        "–" if math.isnan(score.value) else f"{score.value:.1f}" if score.unit in ("%", "deg") else f"{score.value:.3g}"
    )
    return f"{SPELLING.get(task.primary, task.primary)} {value} {score.unit}".rstrip()

"""odsF: how well predicted boundaries fall on labelled ones, without MATLAB."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric

from mtpsl.tasks.boundary_counts import check_tolerance, count_boundaries
from mtpsl.tasks.processes import starmap, usable_cores
from mtpsl.tasks.thinning import thin

WORTH_FORKING = 8 * 96 * 128 * 99
"""Pixels times thresholds of a batch (about a third of a second) from which on processes share its images."""


class BoundaryMetric(Metric):
    """The best F-measure over probabilities that one threshold for all images reaches (optimal data set scale).

    D. Martin, C. Fowlkes, J. Malik, "Learning to detect natural image boundaries", PAMI 2004: binarize, thin, pair
    predicted with labelled pixels one to one. A departure: the matching is a largest one, see `match_boundaries`.
    A second one: labels are thinned like predictions (the published ones are thin already), since wide labels would
    keep even a perfect prediction under 100.

    Shapes are thinned with what lies on pixels that are not valid; these then count neither as right nor as wrong. An
    image without a valid pixel is skipped; a probability that is NaN counts as no boundary.

    Args:
        tolerance: distance up to which pixels may be paired, as a share of the image's diagonal.
        thresholds: how many probabilities are tried: k / (thresholds + 1) for k from 1.
        thin: reduce binarized predictions and labels to lines of one pixel.
        nms: before that, keep only what is largest across the boundary, see `boundary_counts.suppress`.
        workers: processes that share a batch's images; by default one for every core that this process may use.

    Raises:
        ValueError: a negative tolerance, no threshold or no worker.

    >>> label = torch.zeros(1, 1, 8, 8)
    >>> label[..., 4] = 1
    >>> metric = BoundaryMetric()
    >>> metric.update(20 * label - 10, label, torch.ones(1, 8, 8, dtype=torch.bool))
    >>> metric.compute()
    {'odsf': tensor(100., dtype=torch.float64)}
    """

    full_state_update = False
    higher_is_better = True
    matched: Tensor
    predicted: Tensor
    labelled: Tensor
    images: Tensor

    def __init__(
        self,
        *,
        tolerance: float = 0.0075,
        thresholds: int = 99,
        thin: bool = True,
        nms: bool = False,
        workers: int | None = None,
    ) -> None:
        super().__init__()
        check_tolerance(tolerance)
        if thresholds < 1:
            raise ValueError(f"thresholds should be at least 1, not {thresholds}")
        workers = usable_cores() if workers is None else workers
        if workers < 1:
            raise ValueError(f"workers should be at least 1, not {workers}")
        self.tolerance, self.thresholds, self.thin, self.nms, self.workers = tolerance, thresholds, thin, nms, workers
        # One matching gives precision and recall, so matched predictions and matched labels are the same number.
        self.add_state("matched", torch.zeros(thresholds, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("predicted", torch.zeros(thresholds, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("labelled", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(
        self, prediction: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"]
    ) -> None:
        """Count a batch of raw predictions."""
        kept = valid.flatten(1).any(1)
        probability = prediction.detach()[kept, 0].cpu().double().sigmoid().nan_to_num(0.0).numpy()
        mask = valid[kept].cpu().numpy()
        label = (target[kept, 0] > 0.5).cpu().numpy() & mask
        if self.thin and len(label):
            label = thin(label)
        distance = self.tolerance * float(np.hypot(*label.shape[1:]))
        count = partial(count_boundaries, distance=distance, thresholds=self.thresholds, thin=self.thin, nms=self.nms)
        images = [*zip(probability, label, mask, strict=True)]
        processes = self.workers if mask.size * self.thresholds >= WORTH_FORKING else 1
        for matched, predicted in starmap(count, images, processes):
            self.matched += torch.from_numpy(matched).to(self.matched.device)
            self.predicted += torch.from_numpy(predicted).to(self.predicted.device)
        self.labelled += int(label.sum())
        self.images += len(mask)

    def compute(self) -> dict[str, Tensor]:
        """Percent; zero where precision and recall are both zero; NaN when no image was seen."""
        # With precision = matched / predicted and recall = matched / labelled, 2 P R / (P + R) is this.
        best = (2 * self.matched.double() / (self.predicted + self.labelled).clamp(min=1)).max()
        return {"odsf": torch.where(self.images > 0, 100 * best, torch.nan)}

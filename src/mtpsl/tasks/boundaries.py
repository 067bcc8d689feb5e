"""odsF: how well predicted boundaries fall on labelled ones, without MATLAB."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter, map_coordinates
from torch import Tensor
from torchmetrics import Metric

from mtpsl.tasks.boundary_matching import count_bits, count_matches
from mtpsl.tasks.thinning import pack_levels, thin, thin_packed


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
        nms: before that, keep only what is largest across the boundary, see `suppress`.
        workers: threads that share a batch's images; by default one for every core that this process may use.

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
        if not 0 <= tolerance <= 1:
            raise ValueError(f"tolerance should be a share of the image's diagonal from 0 to 1, not {tolerance}")
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
        if self.workers == 1 or len(mask) < 2:
            self._add(map(self._count, probability, label, mask))
        else:
            with ThreadPoolExecutor(min(self.workers, len(mask))) as pool:
                self._add(pool.map(self._count, probability, label, mask))
        self.labelled += int(label.sum())
        self.images += len(mask)

    def compute(self) -> dict[str, Tensor]:
        """Percent; zero where precision and recall are both zero; NaN when no image was seen."""
        # With precision = matched / predicted and recall = matched / labelled, 2 P R / (P + R) is this.
        best = (2 * self.matched.double() / (self.predicted + self.labelled).clamp(min=1)).max()
        return {"odsf": torch.where(self.images > 0, 100 * best, torch.nan)}

    def _add(self, counts: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        for matched, predicted in counts:
            self.matched += torch.from_numpy(matched).to(self.matched.device)
            self.predicted += torch.from_numpy(predicted).to(self.predicted.device)

    def _count(
        self, probability: Float[np.ndarray, "h w"], label: Bool[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]
    ) -> tuple[Int[np.ndarray, " thresholds"], Int[np.ndarray, " thresholds"]]:
        """Matched and predicted pixels of one image at every threshold."""
        if self.nms:
            probability = suppress(probability)
        steps = np.arange(1, self.thresholds + 1)
        passed = np.searchsorted(steps / (self.thresholds + 1), probability, side="right")
        # Thresholds without a probability in between give the same map; those above all give an empty one.
        levels = np.unique(passed[passed > 0])
        maps = pack_levels(passed, levels)
        maps = (thin_packed(maps) if self.thin else maps) * mask
        matched = count_matches(maps, label, self.tolerance * float(np.hypot(*label.shape)))
        predicted = np.array([count_bits(plane.ravel()) for plane in maps], dtype=np.int64).ravel()
        which = np.searchsorted(levels, steps)
        return np.append(matched[: len(levels)], 0)[which], np.append(predicted[: len(levels)], 0)[which]


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def suppress(probability: Float[np.ndarray, "h w"], *, smoothing: float = 2.0) -> Float[np.ndarray, "h w"]:
    """Zero where a pixel is lower than a neighbour across the ridge that it lies on (non-maximum suppression).

    The ridge's direction comes from the second derivatives of the map, smoothed by `smoothing` pixels; neighbours are
    interpolated at a distance of one pixel; of equal values all stay.
    """
    gradient_y, gradient_x = np.gradient(gaussian_filter(probability, smoothing))
    yy, xy = np.gradient(gradient_y)
    xx = np.gradient(gradient_x, axis=1)
    # The axis of strongest curvature. The formula gives the axis of the Hessian's larger eigenvalue; where the sum of
    # both is negative, as on a ridge, the other eigenvalue is the larger one in size.
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.where(xx + yy < 0, np.pi / 2, 0.0)
    y, x = np.indices(probability.shape)
    sides = [
        map_coordinates(probability, (y + side * np.sin(angle), x + side * np.cos(angle)), order=1, mode="nearest")
        for side in (-1, 1)
    ]
    return np.where(probability >= np.maximum(*sides) - 1e-12, probability, 0.0)

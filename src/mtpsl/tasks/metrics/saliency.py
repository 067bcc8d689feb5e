"""How well what is salient is found."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric


class SaliencyMetric(Metric):
    """How well the predicted salient pixels are those of the labels.

    `miou` is the mean intersection over union of the two classes at probability 0.5, from ONE confusion matrix over
    everything seen; a class absent from predictions and labels is skipped.

    `maxf` is the best F-measure with beta^2 = 0.3 (R. Achanta et al., "Frequency-tuned salient region detection",
    CVPR 2009) that one of 99 probabilities k / 100 reaches, of the precision and the recall averaged over images, as in
    public multi-task code for PASCAL (K.-K. Maninis et al., CVPR 2019; S. Vandenhende et al., PAMI 2021; those take
    beta^2 = 1). Other code sums pixels over the set first.

    `image_iou` is what that code calls mIoU, and so most likely what the paper's tables call saliency mIoU: the
    intersection over union of the salient class alone, averaged over images, at the best of the probabilities 0.2,
    0.25, ... 0.9.

    A pixel is salient above the probability, not at it. Where nothing is predicted, an image's precision is zero; where
    nothing is salient, its recall is; where both is so, its intersection over union is one. An image without a valid
    pixel is skipped; a probability that is NaN counts as zero.

    >>> metric = SaliencyMetric()
    >>> label = torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]]])
    >>> metric.update(torch.tensor([[[[5.0, -1.0, 1.0, -5.0]]]]), label, torch.ones(1, 1, 4, dtype=torch.bool))
    >>> {name: round(float(value), 2) for name, value in metric.compute().items()}
    {'miou': 33.33, 'maxf': 81.25, 'image_iou': 66.67}
    """

    full_state_update = False
    higher_is_better = True
    thresholds = 99
    beta_squared = 0.3
    #: places of 0.2, 0.25, ... 0.9 among the thresholds
    published = slice(19, 90, 5)
    confusion: Tensor
    precision: Tensor
    recall: Tensor
    overlap: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("confusion", torch.zeros(2, 2, dtype=torch.long), dist_reduce_fx="sum")
        for name in ("precision", "recall", "overlap"):
            self.add_state(name, torch.zeros(self.thresholds, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(
        self, prediction: Float[Tensor, "b 1 h w"], target: Float[Tensor, "b 1 h w"], valid: Bool[Tensor, "b h w"]
    ) -> None:
        """Count a batch of raw predictions."""
        kept = valid.flatten(1).any(1)
        probability = prediction.detach()[kept, 0].double().sigmoid().nan_to_num(0.0)
        salient, mask = (target[kept, 0] > 0.5).long(), valid[kept]
        steps = torch.arange(1, self.thresholds + 1, device=mask.device, dtype=torch.float64) / (self.thresholds + 1)
        level = torch.bucketize(probability, steps)  # how many thresholds the probability lies above
        levels, count = self.thresholds + 1, len(mask)
        row = torch.arange(count, device=mask.device)[:, None, None]
        pixels = ((2 * row + salient) * levels + level)[mask]
        histogram = torch.bincount(pixels, minlength=2 * count * levels).view(count, 2, levels)
        # pixels of each image and class above each threshold
        above = histogram.flip(2).cumsum(2).flip(2)[:, :, 1:].double()
        labelled = histogram.sum(2)[:, 1:].double()
        hits, predicted = above[:, 1], above.sum(1)
        union = predicted + labelled - hits
        self.precision += (hits / predicted.clamp(min=1)).sum(0)
        self.recall += (hits / labelled.clamp(min=1)).sum(0)
        self.overlap += torch.where(union > 0, hits / union.clamp(min=1), 1.0).sum(0)
        self.images += count
        half = levels // 2  # above one half lies what is above this many thresholds
        classes = histogram.sum(0)
        self.confusion += torch.stack((classes[:, :half].sum(1), classes[:, half:].sum(1)), 1)

    def compute(self) -> dict[str, Tensor]:
        """Percent; NaN when no image was seen."""
        correct = self.confusion.diagonal().double()
        union = self.confusion.sum(0) + self.confusion.sum(1) - correct
        present = union > 0
        precision, recall = self.precision / self.images, self.recall / self.images
        weighted = self.beta_squared * precision + recall
        measure = (1 + self.beta_squared) * precision * recall / weighted.clamp(min=1e-12)
        return {
            "miou": 100 * (correct[present] / union[present]).mean(),
            "maxf": 100 * measure.max(),
            "image_iou": 100 * (self.overlap[self.published] / self.images).max(),
        }

"""How near to other tasks' labels and to the image a prediction has to come: no nearer than its task's labels are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.objectives.mapping.pairs import Pair, to_device
from mtpsl.processes import is_distributed, sum_over_processes


class LabelMargins(nn.Module):
    """Running means of distances in the joint spaces, and the share of each that labels do not have.

    Segmentation knows edges that normals do not: true normals lie some way from it in their joint space. Predicted
    normals that are drawn nearer than that learn to show what no normals show. Where both labels exist in no image, how
    far they lie apart is not known; the nearest that can be measured is the reverse, predictions of the target's task
    against labels of the source's. For the image's features it is known: labels lie from them as far as they do.

    share(s, t) = max(0, 1 - d(prediction of t, label of s) / d(prediction of s, label of t)),
    share(s, image) = max(0, 1 - d(label of s, image) / d(prediction of s, image)), d the running mean: 0 where
    predictions are as near as labels, towards 1 where they are much farther off; 1 while nothing is measured.

    Args:
        num_tasks: the number of tasks.
        decay: how much of the sums a batch leaves.
    """

    predicted: Float[Tensor, "2 k k1"]
    labelled: Float[Tensor, "2 k"]

    def __init__(self, num_tasks: int, *, decay: float = 0.98) -> None:
        super().__init__()
        self.decay = decay
        #: sums and counts of the distances of predictions (rows) to labels (columns) and, last, images
        self.register_buffer("predicted", torch.zeros(2, num_tasks, num_tasks + 1))
        #: those of labels to images
        self.register_buffer("labelled", torch.zeros(2, num_tasks))

    @torch.no_grad()
    def update(
        self,
        pairs: Sequence[Pair],
        apart: Float[Tensor, " r"],
        source_off: Float[Tensor, " r"],
        target_off: Float[Tensor, " r"],
    ) -> None:
        """Count a batch, in every process at every step: how far pairs' sides are apart, and each from its image."""
        if not pairs and not is_distributed():
            return
        tasks = len(self.labelled[0])
        sources, targets = ([pair[side] for pair in pairs] for side in (1, 2))
        sums = self.labelled.new_zeros(2, tasks * (tasks + 2))
        if pairs:
            places = [s * (tasks + 1) + t for s, t in zip(sources, targets, strict=True)]
            places += [s * (tasks + 1) + tasks for s in sources] + [tasks * (tasks + 1) + t for t in targets]
            values = torch.cat([apart, source_off, target_off]).to(sums.dtype)
            good = values.isfinite()  # one that is not would stay in the sums for good
            counted = torch.stack([torch.where(good, values, 0.0), good.to(sums.dtype)])
            sums = sums.index_add(1, to_device(places, sums.device), counted)
        sums = sum_over_processes(sums)
        predicted, labelled = sums.split([tasks * (tasks + 1), tasks], 1)
        self.predicted.mul_(self.decay).add_(predicted.view_as(self.predicted))
        self.labelled.mul_(self.decay).add_(labelled)

    def limit(
        self, pairs: Sequence[Pair], apart: Float[Tensor, " r"], source_off: Float[Tensor, " r"]
    ) -> tuple[Float[Tensor, " r"], Float[Tensor, " r"]]:
        """The share of each pair's distances, to label and to image, that labels do not have."""
        shares = self.shares()
        source, target = (to_device([pair[side] for pair in pairs], shares.device) for side in (1, 2))
        return shares[source, target] * apart, shares[source, -1] * source_off

    def shares(self) -> Float[Tensor, "k k1"]:
        """The share of each distance that labels do not have; those to images last."""
        found = self.predicted[0] / self.predicted[1]
        margin = torch.cat([found[:, :-1].T, (self.labelled[0] / self.labelled[1])[:, None]], 1)
        return (1 - margin / found).clamp(min=0).nan_to_num(nan=1.0)

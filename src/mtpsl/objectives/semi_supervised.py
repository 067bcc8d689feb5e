"""Crop consistency: predicting a crop equals cropping the prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.objectives.auxiliary import AuxiliaryObjective, TermOptions
from mtpsl.objectives.known_relations import RelationOptions
from mtpsl.objectives.supervised import LossOptions
from mtpsl.structures import Batch, Losses, masked_mean
from mtpsl.tasks import Task


class SemiSupervised(AuxiliaryObjective):
    """Eq. 1 plus, for every unlabelled task of an image, the squared difference that cropping makes.

    Li, Liu, Bilen: Learning Multiple Dense Prediction Tasks from Partially Annotated Data, CVPR 2022, Eq. 2, with the
    paper's mean square error. The prediction for the whole image is cropped and magnified as a label would be (depth is
    divided by the magnification), and compared with the prediction for the crop: class and edge probabilities, depth,
    unit normals. Both come from one pass of the network.

    Images without any label take part with all tasks; N in Eq. 2 is therefore the size of the batch. Not stated in the
    paper and chosen here: the magnifications, and that no side of the comparison is detached.

    Args:
        scales: how much crops are magnified, drawn for each image; at 1 an image is compared with itself.
        detach: hold the cropped prediction of the whole image fixed, so that only the prediction for the crop follows.
    """

    learns_unlabelled = True

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        losses: LossOptions = LossOptions(),
        relations: RelationOptions = RelationOptions(),
        term: TermOptions = TermOptions(),
        scales: Sequence[float] = (1.2, 1.5),
        detach: bool = False,
    ) -> None:
        super().__init__(tasks, network, losses, term, relations)
        if all(scale == 1 for scale in scales):
            raise ValueError(
                f"scales should hold a magnification above 1, else there is nothing to compare, not {tuple(scales)}"
            )
        self.detach = detach
        self.crop = Augmentation(tasks, scales=scales, flip=False)

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Eq. 2 on the batch; auxiliary losses are named crop/task."""
        seed = int(torch.randint(2**62, (), device="cpu"))  # the same crops for images and, later, predictions
        unlabelled = Batch(batch.keys, batch.images, {}, {})
        view = self.crop.crop_view(unlabelled, make_generator(seed))
        both, count = network(torch.cat([batch.images, view.images])).predictions, len(batch)
        predictions = {name: x[:count] for name, x in both.items()}
        of_crops = {name: x[count:] for name, x in both.items()}
        return self.add_up(predictions, batch, self.consistency(predictions, of_crops, batch, seed))

    def consistency(
        self, predictions: Mapping[str, Tensor], of_crops: Mapping[str, Tensor], batch: Batch, seed: int
    ) -> dict[str, Float[Tensor, ""]]:
        """The weighted term of every task; `seed` drew the crops that `of_crops` was predicted for."""
        soft = {task.name: task.soft(predictions[task.name].float()) for task in self.tasks}
        if self.detach:
            soft = {name: x.detach() for name, x in soft.items()}
        everywhere = torch.ones_like(batch.images[:, 0], dtype=torch.bool)
        # Predictions travel in the place of labels, so that one piece of code holds the geometry of both.
        cropped = self.crop.crop_view(
            Batch(batch.keys, batch.images, soft, dict.fromkeys(soft, everywhere)), make_generator(seed)
        )
        unlabelled = self.unlabelled(batch)
        share = self.current_weight() * unlabelled / (self.divisor(unlabelled.sum(1))[:, None] * len(batch))
        terms = {}
        for column, task in enumerate(self.tasks):
            squared = (cropped.targets[task.name] - task.soft(of_crops[task.name].float())).square().mean(1)
            terms[f"crop/{task.name}"] = (masked_mean(squared, cropped.valid[task.name]) * share[:, column]).sum()
        return terms


def make_generator(seed: int) -> torch.Generator:
    """A generator on the CPU."""
    return torch.Generator().manual_seed(seed)

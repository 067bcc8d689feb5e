"""Joint-task regularization: predictions and labels of all tasks together agree in one latent space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtpsl.networks.network import padded
from mtpsl.networks.segnet import SegNet
from mtpsl.objectives.auxiliary import AuxiliaryObjective, parameter_group
from mtpsl.objectives.base import labelled_images
from mtpsl.objectives.mapping import cosine_distance
from mtpsl.objectives.supervised import Reduction
from mtpsl.options import check_not_negative, check_positive
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task


class JointTaskRegularization(AuxiliaryObjective):
    """Eq. 1 plus one distance between all predictions of an image and the same with its labels put in.

    Nishi, Kim, Li, Pfister: Joint-Task Regularization for Partially Labeled Multi-Task Learning, CVPR 2024. The
    encodings of all tasks are stacked on their channels, once from predictions alone, once with labels where there are
    any. One SegNet, trained as an auto-encoder of both stacks, encodes them; the cosine distance between the two
    latents (its last pooled map) regularizes the network. Cost and parameters hardly grow with the number of tasks.

    As published: SegNet, latent, cosine distance, both weights (the authors' code), and where gradients go (their
    Fig. 2): the distance trains network and encoder, the reconstruction encoder and decoder. Different from the code:

    - One view of an image serves all losses, as in the paper's formulas; the code draws one for the supervised loss,
      one for the distance in the network, one for encoder and decoder.
    - The reconstruction is compared by mean square error, which fits the encodings of any task, summed over tasks; the
      code uses binary cross-entropy for segmentation, L1 for depth, the cosine for normals.
    - Pixels without a valid label hold the prediction in both stacks; the code blanks them.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train.
        weight: weight of the distance between the latents.
        reconstruction: weight of the auto-encoder's loss.
        detach_labelled: leave an image's labelled tasks to their supervised losses, so that the distance reaches only
            predictions of its unlabelled ones (the authors' code).
        reduction: `mean` divides supervised losses by the number of an image's labels; `sum` does not.
        ramp: share of the training over which the weight of the distance rises linearly from 0.
        mapping_lr: learning rate of the auto-encoder, by default that of the network.
        mapping_width: factor on the auto-encoder's channels, 1 as published.
        task_weights: weight of each task's supervised loss, 1 where a task is not named.
    """

    task_range = (2, None)

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        weight: float = 4.0,
        reconstruction: float = 2.0,
        detach_labelled: bool = False,
        reduction: Reduction = "mean",
        ramp: float = 0.0,
        mapping_lr: float | None = None,
        mapping_width: float = 1.0,
        task_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(tasks, network, weight=weight, reduction=reduction, ramp=ramp, task_weights=task_weights)
        check_not_negative(reconstruction=reconstruction)
        check_positive(mapping_width=mapping_width, mapping_lr=mapping_lr)
        self.reconstruction, self.detach_labelled, self.mapping_lr = reconstruction, detach_labelled, mapping_lr
        self.channels = [task.encoding_channels for task in tasks]
        self.mapping = SegNet({"joint": sum(self.channels)}, width=mapping_width, in_channels=sum(self.channels))

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """All terms on the batch; auxiliary losses are joint/distance and joint/reconstruction."""
        predictions = network(batch.images).predictions
        return Losses(self.supervised(predictions, batch), self.regularization(predictions, batch))

    def regularization(self, predictions: Mapping[str, Tensor], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The weighted distance and reconstruction, averaged over the images that have any label."""
        labelled = self.labelled(batch)
        share = labelled.any(1) / labelled_images(labelled)
        size = batch.images.shape[-2:]
        stacks = torch.cat(self.stacks(predictions, batch))  # one pass: the batch norm treats both alike
        x = padded(stacks, self.mapping.stride)
        of_predictions, of_labels = self.mapping.encode(x)[0][-1].chunk(2)
        distances = cosine_distance(of_predictions, of_labels)
        rebuilt = self.mapping(x.detach()).predictions["joint"][..., : size[0], : size[1]]
        errors = rebuilding_error(rebuilt, stacks.detach(), self.channels).view(2, -1).mean(0)
        return {
            "joint/distance": self.current_weight() * (distances * share).sum(),
            "joint/reconstruction": self.reconstruction * (errors * share).sum(),
        }

    def stacks(
        self, predictions: Mapping[str, Tensor], batch: Batch
    ) -> tuple[Float[Tensor, "b e h w"], Float[Tensor, "b e h w"]]:
        """The encodings of all tasks: of predictions, and of labels where valid and predictions elsewhere."""
        without, having = [], []
        for task in self.tasks:
            valid = batch.valid[task.name]
            encoded = task.encode_prediction(predictions[task.name])
            if self.detach_labelled:
                encoded = torch.where(over_pixels(batch.labelled(task.name)), encoded.detach(), encoded)
            label = task.encode_target(batch.targets[task.name], valid).to(encoded.dtype)
            without.append(encoded)
            having.append(torch.where(valid[:, None], label, encoded))
        return torch.cat(without, 1), torch.cat(having, 1)

    def parameter_groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """The auto-encoder, with its own learning rate."""
        return [parameter_group(self.parameters(), self.mapping_lr, lr)]


def rebuilding_error(
    rebuilt: Float[Tensor, "r e h w"], stack: Float[Tensor, "r e h w"], channels: Sequence[int]
) -> Float[Tensor, " r"]:
    """The mean square error of each task's channels, summed over tasks."""
    squared = (rebuilt.float() - stack.float()).square().mean((-2, -1))
    return torch.stack([part.mean(1) for part in squared.split(list(channels), 1)]).sum(0)


def over_pixels(flags: Bool[Tensor, " b"]) -> Bool[Tensor, "b 1 1 1"]:
    """One flag per image, to be broadcast over its pixels."""
    return flags.view(-1, 1, 1, 1)

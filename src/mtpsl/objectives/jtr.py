"""Joint-task regularization: predictions and labels of all tasks together agree in one latent space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.networks.network import padded
from mtpsl.networks.segnet import SegNet
from mtpsl.objectives.auxiliary import AuxiliaryObjective, TermOptions
from mtpsl.objectives.base import labelled_images
from mtpsl.objectives.distance import cosine_distance
from mtpsl.objectives.fixed import fixed
from mtpsl.objectives.joint_encodings import joint_encoding
from mtpsl.objectives.known_relations import RelationOptions
from mtpsl.objectives.mapping.layers import RowNorm
from mtpsl.objectives.mapping.options import MappingOptions
from mtpsl.objectives.supervised import LossOptions
from mtpsl.options import check_finite, check_not_negative, check_positive
from mtpsl.structures import Batch, Losses, Output
from mtpsl.tasks import Task


class JointTaskRegularization(AuxiliaryObjective):
    """Eq. 1 plus one distance between all predictions of an image and the same with its labels put in.

    Nishi, Kim, Li, Pfister: Joint-Task Regularization for Partially Labeled Multi-Task Learning, CVPR 2024. The
    encodings of all tasks are stacked on their channels, once from predictions alone, once with labels where there are
    any. One SegNet, trained as an auto-encoder of both stacks, encodes them; the cosine distance between the two
    latents (its last pooled map) regularizes the network. Cost and parameters hardly grow with the number of tasks.

    As in the authors' code:

    - The network sees an image and two crops of it. Labels train it on the image, the distance on the first crop, with
      the auto-encoder held fixed. On the second crop, whose predictions are held fixed, distance and reconstruction
      train the auto-encoder.
    - Norms take their statistics from each stack of each image.
    - Classes are drawn (Gumbel), but the second crop's stack of predictions holds their probabilities. Depth enters
      through a normal distribution function. Where any labelled task has no valid label, predictions are blank.
    - Rebuilt classes are compared by binary cross-entropy, depth by its absolute difference, normals by the cosine. For
      the stack of predictions, depth passes the distribution function twice and normals are compared as 0..1.

    Edges and saliency count as classes, tasks of other kinds by their encodings' absolute difference; that code has
    neither. It also changes colors at random, which belongs to the augmentation here.

    Args:
        encoder_distance: how much more the second crop's distance counts, which trains the encoder.
        reconstruction: weight of the auto-encoder's loss.
        crops: run the network on an image and two crops (the authors' code), not on the image alone (the formulas;
            about a third of the cost).
        detach_labelled: leave an image's labelled tasks to their supervised losses, so that the distance reaches only
            predictions of its unlabelled ones (the authors' code).
        depth_mean: mean of the distribution through which depth enters, in its unit (the authors' for NYU-v2 in m, and
            for Cityscapes).
        depth_std: its standard deviation.
    """

    task_range = (2, None)

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        losses: LossOptions = LossOptions(),
        relations: RelationOptions = RelationOptions(),
        term: TermOptions = TermOptions(weight=4.0),
        mapping: MappingOptions = MappingOptions(),
        encoder_distance: float = 2.0,
        reconstruction: float = 2.0,
        crops: bool = True,
        detach_labelled: bool = True,
        depth_mean: float = 2.3618,
        depth_std: float = 1.5876,
    ) -> None:
        super().__init__(tasks, network, losses, term, relations, own_lr=mapping.lr)
        check_not_negative(reconstruction=reconstruction, encoder_distance=encoder_distance)
        check_positive(depth_std=depth_std)
        check_finite(depth_mean=depth_mean)
        self.reconstruction, self.encoder_distance = reconstruction, encoder_distance
        self.crops, self.detach_labelled = crops, detach_labelled
        self.channels = [task.encoding_channels for task in tasks]
        self.encodings = [joint_encoding(task, depth_mean, depth_std) for task in tasks]
        self.mapping = JointAutoEncoder(sum(self.channels), mapping.width)
        self.other_view = Augmentation(tasks, flip=False)

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """All terms on the batch; auxiliary losses are joint/distance and joint/reconstruction."""
        views = [batch] + [self.other_view(batch) for _ in range(2 if self.crops else 0)]
        every = network(torch.cat([view.images for view in views])).predictions
        parts = [{name: x.chunk(len(views))[number] for name, x in every.items()} for number in range(len(views))]
        first, second = (1, 2) if self.crops else (0, 0)
        terms = self.regularization((parts[first], views[first]), (parts[second], views[second]))
        return self.add_up(parts[0], batch, terms)

    def regularization(
        self, first: tuple[Mapping[str, Tensor], Batch], second: tuple[Mapping[str, Tensor], Batch]
    ) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms from two views' predictions and labels, averaged over the images that have any label."""
        known = ~self.unlabelled(first[1])
        share = known.any(1) / labelled_images(known)
        without, having, _ = self.stacks(*first, soft=False)
        distances = cosine_distance(*(self.mapping.latent(x) for x in (without, having)))
        without, having, mask = self.stacks(*second, soft=True)
        stacks = torch.cat([having, without]).detach()
        rebuilt, latent = self.mapping.rebuilt(stacks)
        distances = distances + self.encoder_distance * cosine_distance(*latent.chunk(2))
        errors = self.rebuilding_error(rebuilt, *second, mask)
        return {
            "joint/distance": self.current_weight() * (distances * share).sum(),
            "joint/reconstruction": self.reconstruction * (errors * share).sum(),
        }

    def stacks(
        self, predictions: Mapping[str, Tensor], batch: Batch, *, soft: bool
    ) -> tuple[Float[Tensor, "b e h w"], Float[Tensor, "b e h w"], Float[Tensor, "b 1 h w"]]:
        """The encodings of all tasks: of predictions, and of labels in place of labelled tasks; and the mask."""
        mask, without, having = self.mask(batch), [], []
        for task, encoding in zip(self.tasks, self.encodings, strict=True):
            known = over_pixels(~batch.unlabelled(task.name))
            raw = predictions[task.name].float()
            if self.detach_labelled:
                raw = torch.where(known, raw.detach(), raw)
            label = encoding.target(batch.targets[task.name], batch.valid[task.name])
            without.append(encoding.prediction(raw, mask, hard=not soft))
            having.append(torch.where(known, label, encoding.prediction(raw, mask, hard=True)))
        return torch.cat(without, 1), torch.cat(having, 1), mask

    def mask(self, batch: Batch) -> Float[Tensor, "b 1 h w"]:
        """1 where every labelled task of an image has a valid label."""
        seen = [batch.valid[task.name] | batch.unlabelled(task.name)[:, None, None] for task in self.tasks]
        return torch.stack(seen).all(0)[:, None].float()

    def rebuilding_error(
        self, rebuilt: Float[Tensor, "b2 e h w"], predictions: Mapping[str, Tensor], batch: Batch, mask: Tensor
    ) -> Float[Tensor, " b"]:
        """How far both rebuilt stacks, that with labels first, are from what they should hold, summed over tasks."""
        total = torch.zeros(len(batch), device=rebuilt.device)
        parts = rebuilt.float().split(self.channels, 1)
        for task, encoding, part in zip(self.tasks, self.encodings, parts, strict=True):
            raw = predictions[task.name].detach().float()
            label = encoding.rebuilt_label(batch.targets[task.name], batch.valid[task.name])
            values = torch.where(
                over_pixels(~batch.unlabelled(task.name)), label, encoding.rebuilt_prediction(raw, mask)
            )
            having, without = part.chunk(2)
            total = total + encoding.error(having, values, mask)
            total = total + encoding.error(without, encoding.prediction(raw, mask, hard=True), mask)
        return total


class JointAutoEncoder(SegNet):
    """A SegNet that rebuilds its input, with norms over each row alone.

    Args:
        channels: channels of input and output.
        width: factor on the channels of all layers.
    """

    def __init__(self, channels: int, width: float) -> None:
        super().__init__({"joint": channels}, width=width, in_channels=channels)
        for block in [*self.encoder, *self.decoder]:
            for name, layer in list(block.named_children()):
                if isinstance(layer, nn.BatchNorm2d):
                    setattr(block, name, RowNorm(layer.num_features, 0))

    def latent(self, stack: Float[Tensor, "r e h w"]) -> Float[Tensor, "r d h2 w2"]:
        """The last pooled map; gradients reach the stack and no parameter."""
        with fixed(self):
            features, _ = self.encode(padded(stack, self.stride))
        return features[-1]

    def rebuilt(self, stack: Float[Tensor, "r e h w"]) -> tuple[Float[Tensor, "r e h w"], Float[Tensor, "r d h2 w2"]]:
        """The rebuilt stack and the latent of it."""
        output: Output = self(stack)
        return output.predictions["joint"], output.features[-1]


def over_pixels(flags: Bool[Tensor, " b"]) -> Bool[Tensor, "b 1 1 1"]:
    """One flag per image, to be broadcast over its pixels."""
    return flags.view(-1, 1, 1, 1)

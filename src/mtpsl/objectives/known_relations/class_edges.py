"""The boundaries of predicted classes against labelled edges."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mtpsl.objectives.known_relations.base import KnownRelation
from mtpsl.structures import Batch
from mtpsl.tasks import Edges, Segmentation

#: probabilities of a boundary lie at least so far from 0 and 1, where the cross-entropy has no bound
LEAST = 1e-6


class EdgesOfClasses(KnownRelation):
    """The edges' own loss of the boundaries that a predicted segmentation has, on the images with labelled edges.

    The gradient reaches the segmentation, in images of which it has no label, too. It asks for more than edges along
    boundaries: between edges, for classes that are the same and sure.
    """

    kinds = (Segmentation, Edges)

    def losses(self, predictions: Mapping[str, Tensor], batch: Batch) -> Float[Tensor, " b"]:
        """The loss of each image, averaged over the pixels whose edges are known."""
        name = self.target.name
        target, valid = batch.targets[name], batch.valid[name]
        boundary = class_boundary(self.source.soft(predictions[self.source.name].float()))
        if reach := self.options.tolerance:
            near = F.max_pool2d(boundary, 2 * reach + 1, stride=1, padding=reach)
            boundary = torch.where(target > 0.5, near, boundary)
        return self.target.loss(boundary.clamp(LEAST, 1 - LEAST).logit(), target, valid)


def class_boundary(probability: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """How probable it is that a pixel's class is another than that of its right or of its lower neighbor.

    Classes are drawn at each pixel by itself: one minus the sum over classes of the probabilities at the three pixels,
    multiplied. A neighbor beyond the image's border counts as the same. For probabilities of 0 and 1 these are the
    edges that data sets derive from a segmentation.

    >>> class_boundary(torch.tensor([[[[1.0, 0.5], [1.0, 1.0]], [[0.0, 0.5], [0.0, 0.0]]]]))
    tensor([[[[0.5000, 0.5000],
              [0.0000, 0.0000]]]])
    """
    right = F.pad(probability[..., 1:], (0, 1), value=1.0)
    below = F.pad(probability[..., 1:, :], (0, 0, 0, 1), value=1.0)
    return 1 - (probability * right * below).sum(1, keepdim=True)

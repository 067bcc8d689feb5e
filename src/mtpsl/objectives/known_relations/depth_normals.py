"""The normals of predicted depth against labelled and predicted ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from mtpsl.objectives.known_relations.base import KnownRelation
from mtpsl.objectives.known_relations.planes import normals_from_depth
from mtpsl.structures import Batch
from mtpsl.tasks import Depth, Normals

#: predictions nearer than this, in their unit, say nothing yet
NEAREST = 1e-3
#: where the best plane is off by more than this share of the depth, an object ends: nothing is compared
WORST = 0.02


class NormalsOfDepth(KnownRelation):
    """The normals' own loss of what follows from predicted depth, on images with a camera and any label.

    It is compared with labelled normals, or with predicted ones where an image has none. Those are held fixed: normals
    are read off the shading and the lines of a surface, pixel by pixel, while a depth map has to be right over a whole
    window; and normals that may follow depth agree soonest where both are flat. The gradient reaches the depth alone.
    Pixels across which no plane fits the predicted depth do not count.
    """

    kinds = (Depth, Normals)
    needs_camera = True

    def losses(self, predictions: Mapping[str, Tensor], batch: Batch) -> Float[Tensor, " b"]:
        """The loss of each image, averaged over the pixels that count."""
        depth, normals = self.source, self.target
        assert isinstance(depth, Depth)
        assert isinstance(normals, Normals)
        raw = predictions[depth.name].float()
        if batch.cameras is None:
            return 0 * raw.flatten(1).sum(1)
        values = raw.clamp(min=NEAREST)
        with torch.autocast(raw.device.type, enabled=False):
            inverse = values if depth.inverse else 1 / values
            found, fits = normals_from_depth(inverse, batch.cameras.to(raw.dtype), WORST)
        if normals.y_axis == "down":
            found = found * found.new_tensor([1.0, -1.0, 1.0]).view(3, 1, 1)
        lacking = batch.unlabelled(normals.name)[:, None, None]
        own = normals.decode(predictions[normals.name].float()).detach()
        target = torch.where(lacking[:, None], own, batch.targets[normals.name])
        some = torch.stack([batch.labelled(name) for name in batch.valid]).any(0)
        counts = some & (batch.cameras[:, 2, 2] > 0)
        valid = (batch.valid[normals.name] | lacking) & counts[:, None, None] & fits & (raw[:, 0] > NEAREST)
        return normals.loss(found, target, valid)

"""The terms of all known relations of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mtpsl.objectives.base import labelled_images
from mtpsl.objectives.known_relations.base import KnownRelation
from mtpsl.objectives.known_relations.class_edges import EdgesOfClasses
from mtpsl.objectives.known_relations.depth_normals import NormalsOfDepth
from mtpsl.objectives.known_relations.options import RelationOptions
from mtpsl.structures import Batch
from mtpsl.tasks import Task

RELATIONS: tuple[type[KnownRelation], ...] = (EdgesOfClasses, NormalsOfDepth)


class RelationTerms:
    """The weighted losses of all relations between the tasks of a run; none at weight 0.

    Args:
        tasks: the tasks that the network predicts.
        options: the weight, and how predictions are compared.

    Raises:
        ValueError: there is a weight, but no two tasks have a known relation.
    """

    def __init__(self, tasks: Sequence[Task], options: RelationOptions) -> None:
        self.options, self.names = options, [task.name for task in tasks]
        self.relations = [one for kind in RELATIONS for one in kind.between(tasks, options)] if options.weight else []
        if options.weight and not self.relations:
            known = ", ".join("{} and {}".format(*(kind.__name__.lower() for kind in one.kinds)) for one in RELATIONS)
            raise ValueError(
                f"relations.weight is {options.weight:g}, but of the tasks {', '.join(self.names)} no "
                f"two have a known relation ({known}): add the other task of one, or leave relations.weight out"
            )

    def terms(self, predictions: Mapping[str, Tensor], batch: Batch, progress: float) -> dict[str, Float[Tensor, ""]]:
        """The weighted loss of each relation, averaged over the images that have any label, as in Eq. 1.

        Args:
            predictions: raw ones of all tasks, for the batch's images.
            batch: the labels that may be seen.
            progress: how much of the training is done, from 0 to 1.
        """
        labelled = torch.stack([batch.labelled(name) for name in self.names], 1)
        weight = self.options.weight * (min(1.0, progress / self.options.ramp) if self.options.ramp else 1.0)
        share = weight / labelled_images(labelled)
        return {one.name: share * one.losses(predictions, batch).sum() for one in self.relations}

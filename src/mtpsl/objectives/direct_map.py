"""Direct maps: the prediction of an unlabelled task, mapped to a labelled one, is compared with that one's label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.objectives.auxiliary import AuxiliaryObjective, TermOptions
from mtpsl.objectives.known_relations import RelationOptions
from mtpsl.objectives.mapping.options import MappingOptions
from mtpsl.objectives.mapping.pair_maps import PairMaps, group_by_tasks
from mtpsl.objectives.mapping.pairs import plan_pairs
from mtpsl.objectives.supervised import LossOptions
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task


class DirectMap(AuxiliaryObjective):
    """Eq. 1 plus, for every unlabelled task s and labelled task t of an image, t's loss of s's prediction mapped to t.

    "Direct-Map" of Li, Liu, Bilen: Learning Multiple Dense Prediction Tasks from Partially Annotated Data, CVPR 2022,
    section 3.2: Eq. 4 with its terms replaced by L(m(prediction of s), label of t). Every ordered pair has a SegNet of
    its own. Our reading: L is the supervised loss of t, and one gradient trains both the network and the mapping.
    """

    task_range = (2, None)

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        losses: LossOptions = LossOptions(),
        relations: RelationOptions = RelationOptions(),
        term: TermOptions = TermOptions(),
        mapping: MappingOptions = MappingOptions(),
    ) -> None:
        super().__init__(tasks, network, losses, term, relations, own_lr=mapping.lr)
        self.mapping = PairMaps(tasks, width=mapping.width)

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Both terms on the batch; auxiliary losses are named source->target."""
        predictions = network(batch.images).predictions
        return self.add_up(predictions, batch, self.mapped_losses(predictions, batch))

    def mapped_losses(self, predictions: Mapping[str, Tensor], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms of all ordered pairs, zero for a pair that no image of the batch has."""
        labelled, unlabelled = self.labelled(batch), self.unlabelled(batch)
        pairs = plan_pairs(labelled, unlabelled=unlabelled)
        share = self.current_weight() * self.share(labelled, unlabelled.sum(1))
        terms = self.pair_zeros(batch.images)
        encoded = {
            s: self.tasks[s].encode_prediction(predictions[self.tasks[s].name])
            for s in sorted({pair.source for pair in pairs})
        }
        for s, t, images in group_by_tasks(pairs, batch.images.device):
            target = self.tasks[t]
            mapped = self.mapping(encoded[s][images], s, t)
            loss = target.loss(mapped, batch.targets[target.name][images], batch.valid[target.name][images])
            terms[self.pair_name(s, t)] = (loss * share[images]).sum()
        return terms

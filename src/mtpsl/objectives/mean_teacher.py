"""Mean teacher: a moving average of the network labels what images lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.augmentation.photometric import PhotometricAugmentation
from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.objectives.auxiliary import AuxiliaryObjective, TermOptions
from mtpsl.objectives.average import AverageNetwork
from mtpsl.objectives.known_relations import RelationOptions
from mtpsl.objectives.supervised import LossOptions
from mtpsl.options import check_choice, check_share
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task
from mtpsl.tasks.pseudo_labels import Certainty, Confidence, Judged, judge

SCALES = (1.0, 1.2, 1.5)


class MeanTeacher(AuxiliaryObjective):
    """Eq. 1 plus each unlabelled task's own loss against what an average of the network says, where that is sure.

    The teacher is an exponential moving average of the network (Tarvainen, Valpola: Mean teachers are better role
    models, NeurIPS 2017). It sees the image as it is and its mirror image, and labels the tasks of which the image has
    no label; the network learns these labels on a view with other colors, crop and mirroring (FixMatch, Sohn et al.,
    NeurIPS 2020; for dense and partially labelled tasks M. Marti i Rabadan et al., NLDL 2023 and arXiv 2605.17624; the
    schedule of the average follows L. Yang et al., UniMatch V2, TPAMI 2025).

    As there, an image's loss is averaged over all its pixels, of which only sure ones count (`Confidence`). Chosen
    here, since those papers have classes only: measured values are sure where image and mirror image agree; which
    certainty is enough is decided by class, over the last steps; labels that are probabilities (edges) stay
    probabilities, at which a loss that weighs one side more has its minimum, too.

    Images without any label take part with all tasks. Before `start` a step is that of plain training, and costs as
    much. With `term.weight` 0 the network sees the view and nothing is asked of it: the control.

    Args:
        decay: largest part of the average that a step leaves; the first steps leave less, n / (n + 9).
        start: share of the training before which the teacher is not listened to; `term.ramp` begins after it.
        views: 2 shows the network the image, for its labels, and the changed view, for the teacher's, in one pass; 1
            shows it the image with other colors, for both, at two thirds of the cost.
        jitter: how strongly the view's colors change, from 0 to 1, on top of `training.photometric`.
        scales: how much the view is magnified, drawn for each image (two views).
        flip: mirror half of the views (two views).
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
        decay: float = 0.996,
        start: float = 0.3,
        views: int = 2,
        jitter: float = 0.5,
        scales: Sequence[float] = SCALES,
        flip: bool = True,
        confidence: Confidence = Confidence(),
    ) -> None:
        super().__init__(tasks, network, losses, term, relations)
        check_share("the average", decay=decay)
        check_share("the training", start=start)
        check_choice((1, 2), views=views)
        if not 0 <= jitter <= 1:
            raise ValueError(f"jitter should lie between 0 and 1, not {jitter}")
        if views == 1 and (tuple(scales) != SCALES or not flip):
            raise ValueError("scales and flip change the second view: they belong to views 2")
        self.start, self.views = start, views
        self.second_view = Augmentation(tasks, scales=scales, flip=flip)
        self.jitter = PhotometricAugmentation(jitter) if jitter else None
        self.teacher = AverageNetwork(network, decay)
        self.certainty = Certainty(self.tasks, confidence)

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """All terms on the batch; auxiliary losses are named teacher/task."""
        if self.training:
            self.teacher.update(network)
        if self.progress < self.start:
            zero = batch.images.new_zeros((), dtype=torch.float32)
            terms = {f"teacher/{task.name}": zero for task in self.tasks}
            return self.add_up(network(batch.images).predictions, batch, terms)
        weight = self.current_weight()
        taught = self.pseudo_labels(batch) if weight else Batch(batch.keys, batch.images, {}, {})
        if self.views == 2:
            taught = self.second_view(taught)
        view = taught.images if self.jitter is None else self.jitter(taught).images
        count = len(batch)
        every = network(view if self.views == 1 else torch.cat([batch.images, view])).predictions
        seen = {name: x[:count] for name, x in every.items()}
        compared = {name: x[-count:] for name, x in every.items()}
        return self.add_up(seen, batch, self.consistency(compared, taught, batch, weight))

    def pseudo_labels(self, batch: Batch) -> Batch:
        """The images with the teacher's labels of what they lack, valid where these are sure."""
        judged = self.judged(batch.images)
        lacking = {task.name: batch.unlabelled(task.name) for task in self.tasks}
        if self.training:
            self.certainty.count(judged, lacking)
        sure = self.certainty.counts(judged)
        valid = {name: mask & lacking[name][:, None, None] for name, mask in sure.items()}
        return Batch(batch.keys, batch.images, {name: one.label for name, one in judged.items()}, valid)

    @torch.no_grad()
    def judged(self, images: Float[Tensor, "b 3 h w"]) -> dict[str, Judged]:
        """What the teacher says of images and of their mirror images, in one pass."""
        predictions = self.teacher(torch.cat([images, images.flip(-1)])).predictions
        return {task.name: judge(task, *predictions[task.name].chunk(2)) for task in self.tasks}

    def consistency(
        self, predictions: Mapping[str, Tensor], taught: Batch, batch: Batch, weight: float
    ) -> dict[str, Float[Tensor, ""]]:
        """The weighted term of every task: predictions for the view against the teacher's labels of it."""
        unlabelled = self.unlabelled(batch)
        share = weight * unlabelled / (self.divisor(unlabelled.sum(1))[:, None] * len(batch))
        terms = {}
        for column, task in enumerate(self.tasks):
            name = task.name
            if not taught.targets:
                terms[f"teacher/{name}"] = share.new_zeros(())
                continue
            valid = taught.valid[name]
            loss = task.loss(predictions[name].float(), taught.targets[name], valid)
            loss = self.task_weights[name] * loss * valid.float().mean((1, 2))
            terms[f"teacher/{name}"] = (loss * share[:, column]).sum()
        return terms

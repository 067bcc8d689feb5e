"""Cross-task consistency: predictions of unlabelled tasks agree with labels of others in joint pairwise spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.objectives.balance import GradientBalance
from mtpsl.objectives.base import labelled_images
from mtpsl.objectives.joint_space import JointSpace, MappingName
from mtpsl.objectives.mapping import cosine_distance
from mtpsl.objectives.pairs import PairPlan, draw_pairs, on_device, plan_pairs
from mtpsl.objectives.relations import PairRelations
from mtpsl.objectives.supervised import Reduction
from mtpsl.options import check_at_least_one, check_not_negative, check_share
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task

DECIDE_AT, MIN_GAIN = 0.2, 0.5
"""What `pairs: auto` does by default."""


class CrossTaskConsistency(JointSpace):
    """Eq. 1 plus, for every unlabelled task s and labelled task t of an image, a distance in the pair's joint space.

    Li, Liu, Bilen: Learning Multiple Dense Prediction Tasks from Partially Annotated Data, CVPR 2022, Eq. 4.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train (its feature map gives the mapping's size).
        weight: weight of the whole term (the authors: 2 on NYU-v2, 1 on Cityscapes).
        regularizer: weight of the distance between mapped maps and image features (the authors: 0.5); 0 is "w/o reg".
        views: 2 compares predictions for a second random crop of the image, run through the network together with the
            first (the authors' code; norms then see twice the images, which alone gained in
            benchmarks/partial_labels.md); 1 those for the image itself (the formula), at three quarters of the cost.
        flip_view: mirror half of the second crops once more (the authors' code for Cityscapes); belongs to two views.
        sample: draw the classes that stand for a predicted segmentation once per `image`, or anew for each `pair` (the
            authors' code), which computes the mapping's first layers once per pair.
        conditional: condition the mapping on the pair; without it one mapping serves all pairs ("w/o cond").
        reduction: `mean` divides by the number of labelled and unlabelled tasks (the paper); `sum` does not (its code).
        ramp: share of the training over which the weight rises linearly from 0; a full weight from the start slows
            short trainings (0.25 with one view did best in benchmarks/partial_labels.md).
        mapping: the mapping's architecture: `segnet` (published for NYU-v2 and Cityscapes) or `resnet18` (for PASCAL).
        mapping_lr: learning rate of the mapping, by default that of the network.
        film_lr: learning rate of its conditioning, by default that of the mapping (the authors: 1e-3 on NYU-v2).
        film_halving: halve `film_lr` after every so many epochs (the authors: 30).
        mapping_width: factor on the mapping's channels, 1 as published.
        mapping_stride: 2 computes the mapping at half resolution, with about a quarter of its operations.
        mapping_checkpoint: keep only what each stage of the mapping takes in, and compute the stage again in the
            backward pass: less memory, a second forward pass of the mapping, the same result.
        labelled_pairs: also map predictions of labelled tasks ("Ours+" of Tab. 11; with full supervision, Tab. 15, it
            makes all ordered pairs).
        pairs: `all` pairs of tasks, or `auto`: only those found related after the first part of the training
            (`PairRelations`; not in the paper, which names modelling all pairs as its limitation).
        decide_at: share of the training before which `auto` does not decide; it also waits for a clear gain.
        min_gain: smallest gain of a pair that `auto` keeps, as a share of the strongest pair's; the gain is how much
            nearer than another image's label the image's own label is, as a share of the distance.
        max_pairs: at most so many pairs per image and step, drawn anew each time and weighted to the same expected
            loss: the cost of a step does not grow with the number of tasks.
        balance: scale what the term asks of each task's predictions to the size of what the task's labels ask, times
            `weight` (`GradientBalance`; not in the paper).
        task_weights: weight of each task's supervised loss, 1 where a task is not named.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        weight: float = 1.0,
        regularizer: float = 0.5,
        views: int = 2,
        flip_view: bool = False,
        sample: Literal["image", "pair"] = "image",
        conditional: bool = True,
        reduction: Reduction = "mean",
        ramp: float = 0.0,
        mapping: MappingName = "segnet",
        mapping_lr: float | None = None,
        film_lr: float | None = None,
        film_halving: int | None = None,
        mapping_width: float = 1.0,
        mapping_stride: int = 1,
        mapping_checkpoint: bool = False,
        labelled_pairs: bool = False,
        pairs: Literal["all", "auto"] = "all",
        decide_at: float = DECIDE_AT,
        min_gain: float = MIN_GAIN,
        max_pairs: int | None = None,
        balance: bool = False,
        task_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(
            tasks,
            network,
            weight=weight,
            conditional=conditional,
            reduction=reduction,
            ramp=ramp,
            mapping=mapping,
            mapping_lr=mapping_lr,
            film_lr=film_lr,
            film_halving=film_halving,
            mapping_width=mapping_width,
            mapping_stride=mapping_stride,
            mapping_checkpoint=mapping_checkpoint,
            task_weights=task_weights,
        )
        check_not_negative(regularizer=regularizer)
        if views not in (1, 2):
            raise ValueError(f"views should be 1 or 2, not {views}")
        if flip_view and views == 1:
            raise ValueError("flip_view mirrors second crops: it belongs to views 2")
        if sample not in ("image", "pair"):
            raise ValueError(f"sample should be 'image' or 'pair', not {sample!r}")
        if pairs not in ("all", "auto"):
            raise ValueError(f"pairs should be 'all' or 'auto', not {pairs!r}")
        check_share("the training", decide_at=decide_at)
        check_share("the strongest pair's gain", min_gain=min_gain)
        for name, value, default in (("decide_at", decide_at, DECIDE_AT), ("min_gain", min_gain, MIN_GAIN)):
            if pairs == "all" and value != default:
                raise ValueError(
                    f"{name} belongs to pairs auto, not to all: choose auto, or leave {name} out ({default})"
                )
        check_at_least_one(max_pairs=max_pairs)
        self.regularizer, self.views = regularizer, views
        self.labelled_pairs, self.pairs, self.decide_at, self.max_pairs = labelled_pairs, pairs, decide_at, max_pairs
        self.relations = PairRelations(len(tasks), threshold=min_gain)
        self.balance = GradientBalance([task.name for task in tasks]) if balance else None
        self.flip_view, self.sample_pairs = flip_view, sample == "pair"
        self.second_view = Augmentation(tasks, flip=flip_view)

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Eq. 4 on the batch; auxiliary losses are named source->target."""
        if self.views == 1:
            output, first, seen = network(batch.images), batch, batch
            predictions = compared = output.predictions
            features = output.features[-1]
        else:
            first, seen = batch, self.second_view(batch)
            output, count = network(torch.cat([first.images, seen.images])), len(batch)
            predictions = {name: x[:count] for name, x in output.predictions.items()}
            compared = {name: x[count:] for name, x in output.predictions.items()}
            features = output.features[-1][count:]
        if self.balance is not None and self.training:
            predictions = self.balance.watch(predictions)
            compared = self.balance.scale(compared, self.current_weight())
        return Losses(self.supervised(predictions, first), self.consistency(compared, features, seen))

    def consistency(
        self, predictions: Mapping[str, Tensor], features: Float[Tensor, "b d h2 w2"], batch: Batch
    ) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms of all ordered pairs of tasks, zero for a pair that no image of the batch has.

        A user's own predictions can be passed in; `features` are detached here.
        """
        labelled = self.labelled(batch)
        weight = self.current_weight() / labelled_images(labelled)
        plan, share = self._plan(labelled, self.unlabelled(batch))
        if not len(plan):
            if self.training:
                self.relations.add(None)
            return self.pair_zeros(features)
        mapped_source, mapped_target = self.map_pairs(predictions, batch, plan)
        reference = features.detach()[on_device(plan.image, features.device)]
        between = cosine_distance(mapped_source, mapped_target)
        if self.training:
            self.relations.update(plan, mapped_source, mapped_target, between)
        distance = between
        if self.regularizer:
            distance = distance + self.regularizer * (
                cosine_distance(mapped_source, reference) + cosine_distance(mapped_target, reference)
            )
        return self.pair_sums(plan, weight * distance * on_device(share, features.device))

    def end_epoch(self) -> None:
        """Let the checkpoint hold what the last step's gradients counted."""
        if self.balance is not None:
            self.balance.collect()

    def _plan(self, labelled: Tensor, unlabelled: Tensor) -> tuple[PairPlan, Float[Tensor, " r"]]:
        """The rows to map and what each counts in its image's term: 1/|U| in Eq. 4."""
        undecided = self.pairs == "auto" and self.relations.related is None
        if undecided and self.training and (not self.decide_at or self.progress >= self.decide_at):
            self.relations.decide()
        related = self.relations.related if self.pairs == "auto" else None
        # the one host synchronization: which rows there are is control flow
        plan = plan_pairs(
            labelled.cpu(), unlabelled=unlabelled.cpu(), labelled_sources=self.labelled_pairs, related=related
        )
        share = 1 / plan.sources() if self.reduction == "mean" else torch.ones(len(plan))
        if self.max_pairs is None:
            return plan, share
        rows, stands_for = draw_pairs(plan, self.max_pairs)
        return plan[rows], stands_for * share[rows]

    def map_pairs(
        self, predictions: Mapping[str, Tensor], batch: Batch, plan: PairPlan
    ) -> tuple[Float[Tensor, "r d h2 w2"], Float[Tensor, "r d h2 w2"]]:
        """Map both sides of every row of the plan, all in one pass; stems are computed once per image and task."""
        sources, targets = self.plan_rows(plan)
        source, target = self.map_rows(predictions, batch, [*sources, *targets]).chunk(2)
        return source, target

    def mapped_features(
        self, predictions: Mapping[str, Tensor], batch: Batch
    ) -> dict[str, tuple[Float[Tensor, "1 d h2 w2"], Float[Tensor, "1 d h2 w2"]]]:
        """Mapped prediction of the source and mapped label of the target for all pairs of ONE image (paper Fig. 3).

        A pair counts when its target is labelled, whether or not its source is.
        """
        plan = plan_pairs(self.labelled(batch)[:1].cpu(), labelled_sources=True)
        if not len(plan):
            return {}
        source, target = self.map_pairs(predictions, batch, plan)
        return {
            f"{self.tasks[s].name} -> {self.tasks[t].name}": (source[row : row + 1], target[row : row + 1])
            for row, (s, t) in enumerate(zip(plan.source.tolist(), plan.target.tolist(), strict=True))
        }

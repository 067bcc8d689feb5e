"""Cross-task consistency: predictions of unlabelled tasks agree with labels of others in joint pairwise spaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.data.augment import Augmentation
from mtpsl.objectives.base import Objective, feature_shape
from mtpsl.objectives.mapping import MappingNetwork, cosine_distance
from mtpsl.objectives.pairs import PairPlan, draw_pairs, pair_index, plan_pairs
from mtpsl.objectives.relations import PairRelations
from mtpsl.objectives.supervised import Reduction, checked_reduction, checked_weights, supervised_losses
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task


class CrossTaskConsistency(Objective):
    """Eq. 1 plus, for every unlabelled task s and labelled task t of an image, a distance in the pair's joint space.

    Li, Liu, Bilen: Learning Multiple Dense Prediction Tasks from Partially Annotated Data, CVPR 2022, Eq. 4.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train (its feature map gives the mapping's size).
        weight: weight of the whole term (the authors: 2 on NYU-v2, 1 on Cityscapes).
        regularizer: weight of the distance between mapped maps and image features (the authors: 0.5); 0 is "w/o reg".
        views: 1 compares predictions for the image itself (the formula); 2 those for a second random crop of it, run
            through the network together with the first (the authors' code).
        conditional: condition the mapping on the pair; without it one mapping serves all pairs ("w/o cond").
        reduction: `mean` divides by the number of labelled and unlabelled tasks (the paper); `sum` does not (its code).
        ramp: share of the training over which the weight rises linearly from 0; a full weight from the start slows
            short trainings.
        mapping_lr: learning rate of the mapping, by default that of the network.
        film_lr: learning rate of its conditioning, by default that of the mapping (the authors: 1e-3 on NYU-v2).
        film_halving: halve `film_lr` after every so many epochs (the authors: 30).
        mapping_width: factor on the mapping's channels, 1 as published.
        mapping_stride: 2 computes the mapping at half resolution, with about a quarter of its operations.
        labelled_pairs: also map predictions of labelled tasks ("Ours+" of Tab. 11; with full supervision, Tab. 15, it
            makes all ordered pairs).
        pairs: `all` pairs of tasks, or `auto`: only those found related after the first part of the training
            (`PairRelations`; not in the paper, which names modelling all pairs as its limitation).
        decide_at: share of the training after which `auto` decides.
        min_gain: how much nearer than another image's label, as a share of the distance, the image's own label has to
            be for `auto` to keep a pair.
        max_pairs: at most so many pairs per image and step, drawn anew each time and weighted to the same expected
            loss: the cost of a step does not grow with the number of tasks.
        task_weights: weight of each task's supervised loss, 1 where a task is not named.
    """

    task_range = (2, None)

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        weight: float = 1.0,
        regularizer: float = 0.5,
        views: int = 1,
        conditional: bool = True,
        reduction: Reduction = "mean",
        ramp: float = 0.0,
        mapping_lr: float | None = None,
        film_lr: float | None = None,
        film_halving: int | None = None,
        mapping_width: float = 1.0,
        mapping_stride: int = 1,
        labelled_pairs: bool = False,
        pairs: Literal["all", "auto"] = "all",
        decide_at: float = 0.2,
        min_gain: float = 0.25,
        max_pairs: int | None = None,
        task_weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(tasks, network)
        if views not in (1, 2):
            raise ValueError(f"views should be 1 or 2, not {views}")
        for name, value in {"weight": weight, "regularizer": regularizer}.items():
            if value < 0:
                raise ValueError(f"{name} should not be negative: {value}")
        for name, value in {"ramp": ramp, "decide_at": decide_at}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is a share of the training, from 0 to 1, not {value}")
        if pairs not in ("all", "auto"):
            raise ValueError(f"pairs should be 'all' or 'auto', not {pairs!r}")
        if max_pairs is not None and max_pairs < 1:
            raise ValueError(f"max_pairs should be at least 1, not {max_pairs}")
        self.weight, self.regularizer, self.views, self.ramp = weight, regularizer, views, ramp
        self.reduction = checked_reduction(reduction)
        self.task_weights = checked_weights(tasks, task_weights)
        self.mapping_lr, self.film_lr, self.film_halving = mapping_lr, film_lr, film_halving
        channels, stride = feature_shape(network)
        self.mapping = MappingNetwork(
            [task.encoding_channels for task in tasks],
            channels,
            stride=stride,
            width=mapping_width,
            conditional=conditional,
            mapping_stride=mapping_stride,
        )
        self.labelled_pairs, self.pairs, self.decide_at, self.max_pairs = labelled_pairs, pairs, decide_at, max_pairs
        self.relations = PairRelations(len(tasks), threshold=min_gain)
        self.second_view = Augmentation(tasks)

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Eq. 4 on the batch; auxiliary losses are named source->target."""
        if self.views == 1:
            output, first, seen = network(batch.images), batch, batch
            predictions, features = output.predictions, output.features[-1]
            compared = predictions
        else:
            first, seen = batch, self.second_view.crop_view(batch)
            output, count = network(torch.cat([first.images, seen.images])), len(batch)
            predictions = {name: x[:count] for name, x in output.predictions.items()}
            compared = {name: x[count:] for name, x in output.predictions.items()}
            features = output.features[-1][count:]
        losses = supervised_losses(self.tasks, predictions, first, self.reduction, self.task_weights)
        return Losses(losses, self.consistency(compared, features, seen))

    def current_weight(self) -> float:
        """The weight at this point of the training."""
        return self.weight * (min(1.0, self.progress / self.ramp) if self.ramp else 1.0)

    def consistency(
        self, predictions: Mapping[str, Tensor], features: Float[Tensor, "b d h2 w2"], batch: Batch
    ) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms of all ordered pairs of tasks, zero for a pair that no image of the batch has.

        A user's own predictions can be passed in; `features` are detached here.
        """
        names = [task.name for task in self.tasks]
        count = len(self.tasks)
        labelled = torch.stack([batch.labelled(name) for name in names], 1)
        plan, share = self._plan(labelled)
        totals = features.new_zeros(count * count, dtype=torch.float32)
        if len(plan):
            mapped_source, mapped_target = self.map_pairs(predictions, batch, plan)
            reference = features.detach()[plan.image.to(features.device)]
            between = cosine_distance(mapped_source, mapped_target)
            if self.training:
                self.relations.update(plan, mapped_source, mapped_target, between)
            distance = between
            if self.regularizer:
                distance = distance + self.regularizer * (
                    cosine_distance(mapped_source, reference) + cosine_distance(mapped_target, reference)
                )
            place = (plan.source * count + plan.target).to(features.device)
            totals = totals.index_add(0, place, distance * share.to(features.device))
        totals = self.current_weight() * totals / labelled.any(1).sum().clamp(min=1)
        return {f"{s}->{t}": totals[i * count + j] for i, s in enumerate(names) for j, t in enumerate(names) if i != j}

    def _plan(self, labelled: Tensor) -> tuple[PairPlan, Float[Tensor, " r"]]:
        """The rows to map and what each counts in its image's term: 1/|U| in Eq. 4."""
        if self.pairs == "auto" and self.training and self.relations.related is None and self._decides():
            self.relations.decide()
        related = self.relations.related if self.pairs == "auto" else None
        # the one host synchronization: which rows there are is control flow
        plan = plan_pairs(labelled.cpu(), labelled_sources=self.labelled_pairs, related=related)
        share = 1 / plan.sources() if self.reduction == "mean" else torch.ones(len(plan))
        if self.max_pairs is None:
            return plan, share
        sources = dict(zip(plan.image.tolist(), share.tolist(), strict=True))  # counted before the draw
        drawn, stands_for = draw_pairs(plan, self.max_pairs)
        return drawn, stands_for * torch.tensor([sources[image] for image in drawn.image.tolist()])

    def _decides(self) -> bool:
        return self.progress > 0 and self.progress >= self.decide_at

    def map_pairs(
        self, predictions: Mapping[str, Tensor], batch: Batch, plan: PairPlan
    ) -> tuple[Float[Tensor, "r d h2 w2"], Float[Tensor, "r d h2 w2"]]:
        """Map both sides of every row of the plan, all in one pass; stems are computed once per image and task."""
        stems: list[Tensor] = []
        place: dict[tuple[bool, int, int], int] = {}
        for index, task in enumerate(self.tasks):
            sides: list[Tensor] = []
            for is_label, mine in ((False, plan.source == index), (True, plan.target == index)):
                images = plan.image[mine].unique()
                if not len(images):
                    continue
                rows = images.to(batch.images.device)
                if is_label:
                    target, valid = batch.targets[task.name][rows], batch.valid[task.name][rows]
                    sides.append(task.encode_target(target, valid))
                else:
                    sides.append(task.encode_prediction(predictions[task.name][rows]))
                for image in images.tolist():
                    place[is_label, index, image] = len(place)
            if sides:
                stems.append(self.mapping.stem(torch.cat(sides), index))
        rows = list(zip(plan.image.tolist(), plan.source.tolist(), plan.target.tolist(), strict=True))
        gather = [place[False, s, n] for n, s, _ in rows] + [place[True, t, n] for n, _, t in rows]
        device = batch.images.device
        pairs = pair_index(plan.source, plan.target, len(self.tasks)).repeat(2).to(device)
        source, target = self.mapping.gathered(torch.cat(stems), torch.tensor(gather, device=device), pairs).chunk(2)
        return source, target

    def mapped_features(
        self, predictions: Mapping[str, Tensor], batch: Batch
    ) -> dict[str, tuple[Float[Tensor, "1 d h2 w2"], Float[Tensor, "1 d h2 w2"]]]:
        """Mapped prediction of the source and mapped label of the target for all pairs of ONE image (paper Fig. 3).

        A pair counts when its target is labelled, whether or not its source is.
        """
        names = [task.name for task in self.tasks]
        pairs = [
            (s, t) for s in range(len(names)) for t in range(len(names)) if s != t and bool(batch.labelled(names[t])[0])
        ]
        if not pairs:
            return {}
        source, target = (torch.tensor(side) for side in zip(*pairs, strict=True))
        sides = self.map_pairs(predictions, batch, PairPlan(torch.zeros_like(source), source, target))
        return {
            f"{names[s]} -> {names[t]}": (sides[0][row : row + 1], sides[1][row : row + 1])
            for row, (s, t) in enumerate(pairs)
        }

    def parameter_groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """The mapping and its conditioning, each with its own learning rate."""
        mapping_lr = lr if self.mapping_lr is None else self.mapping_lr
        film_lr = mapping_lr if self.film_lr is None else self.film_lr
        groups = [{"params": self.mapping.backbone(), "lr": mapping_lr, "halve_every": None}]
        if conditioning := self.mapping.conditioning():
            groups.append({"params": conditioning, "lr": film_lr, "halve_every": self.film_halving})
        return groups

"""Cross-task consistency: predictions of unlabelled tasks agree with labels of others in joint pairwise spaces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.objectives.auxiliary import TermOptions
from mtpsl.objectives.balance import GradientBalance
from mtpsl.objectives.base import labelled_images
from mtpsl.objectives.distance import centered, cosine_distance
from mtpsl.objectives.extensions import Extensions
from mtpsl.objectives.fixed import fixed
from mtpsl.objectives.joint_space import JointSpace
from mtpsl.objectives.known_relations import RelationOptions
from mtpsl.objectives.mapping.options import JointMappingOptions
from mtpsl.objectives.mapping.pairs import Pair, Side, count_sources, draw_pairs, plan_pairs, to_device
from mtpsl.objectives.margins import LabelMargins
from mtpsl.objectives.relations import PairRelations
from mtpsl.objectives.supervised import LossOptions
from mtpsl.options import check_choice, check_not_negative
from mtpsl.structures import Batch, Losses
from mtpsl.tasks import Task


class CrossTaskConsistency(JointSpace):
    """Eq. 1 plus, for every unlabelled task s and labelled task t of an image, a distance in the pair's joint space.

    Li, Liu, Bilen: Learning Multiple Dense Prediction Tasks from Partially Annotated Data, CVPR 2022, Eq. 4. The
    authors' `term.weight` is 2 on NYU-v2 and 1 on Cityscapes.

    Args:
        regularizer: weight of the distance between mapped maps and image features (the authors: 0.5); 0 is "w/o reg".
        views: 2 compares predictions for a second random crop of the image, run through the network together with the
            first (the authors' code; norms then see twice the images, which alone gained in
            benchmarks/partial_labels.md); 1 those for the image itself (the formula), at three quarters of the cost.
        flip_view: mirror half of the second crops once more (the authors' code for Cityscapes); belongs to two views.
        sample: draw the classes that stand for a predicted segmentation once per `image`, or anew for each `pair` (the
            authors' code), which computes the mapping's first layers once per pair.
        labelled_pairs: also map predictions of labelled tasks ("Ours+" of Tab. 11; with full supervision, Tab. 15, it
            makes all ordered pairs).
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        network: nn.Module,
        *,
        losses: LossOptions = LossOptions(),
        relations: RelationOptions = RelationOptions(),
        term: TermOptions = TermOptions(),
        mapping: JointMappingOptions = JointMappingOptions(),
        regularizer: float = 0.5,
        views: int = 2,
        flip_view: bool = False,
        sample: Literal["image", "pair"] = "image",
        labelled_pairs: bool = False,
        extensions: Extensions = Extensions(),
    ) -> None:
        super().__init__(tasks, network, losses, term, mapping, relations)
        check_not_negative(regularizer=regularizer)
        check_choice((1, 2), views=views)
        check_choice(("image", "pair"), sample=sample)
        if flip_view and views == 1:
            raise ValueError("flip_view mirrors second crops: it belongs to views 2")
        self.regularizer, self.views, self.labelled_pairs = regularizer, views, labelled_pairs
        self.sample_pairs = sample == "pair"
        self.second_view = Augmentation(tasks, flip=flip_view)
        self.extensions, self.by_labels = extensions, extensions.fit == "labels"
        self.relations = PairRelations(len(tasks), threshold=extensions.min_gain)
        self.margins = LabelMargins(len(tasks)) if extensions.margin == "labels" else None
        self.balance = GradientBalance([task.name for task in tasks]) if extensions.balance else None

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Eq. 4 on the batch; auxiliary losses are named source->target."""
        if self.views == 1:
            output, compared_batch = network(batch.images), batch
            predictions = compared = output.predictions
            features = output.features[self.place]
        else:
            compared_batch = self.second_view(batch)
            output, count = network(torch.cat([batch.images, compared_batch.images])), len(batch)
            predictions = {name: x[:count] for name, x in output.predictions.items()}
            compared = {name: x[count:] for name, x in output.predictions.items()}
            features = output.features[self.place][count:]
        if self.balance is not None and self.training:
            predictions = self.balance.watch(predictions)
            compared = self.balance.scale(compared, self.current_weight())
        return self.add_up(predictions, batch, self.consistency(compared, features, compared_batch))

    def consistency(
        self, predictions: Mapping[str, Tensor], features: Float[Tensor, "b d h2 w2"], batch: Batch
    ) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms of all ordered pairs of tasks, zero for a pair that no image of the batch has.

        A user's own predictions can be passed in; `features`, of the level that pairs are compared at
        (`output.features[objective.place]`), are detached here.

        Raises:
            ValueError: `features` are of another level.
        """
        if features.shape[1] != self.channels:
            raise ValueError(
                f"features should be output.features[{self.place}] with {self.channels} channels, "
                f"not a map with {features.shape[1]}"
            )
        images = labelled_images(self.labelled(batch))
        weight = self.current_weight() / images
        pairs, share = self.choose_pairs(batch)
        fits: dict[str, Float[Tensor, ""]] = {}
        if self.by_labels:
            target, losses = self.fit_mapping(features, batch, pairs)
            fits = {name: loss / images for name, loss in losses.items()}
        if not pairs:
            if self.training:
                self.relations.add(None)
                if self.margins is not None:
                    none = features.new_zeros(0)
                    self.margins.update([], none, none, none)
            return self.pair_zeros(features) | fits
        if self.by_labels:
            with fixed(self.mapping):
                source = self.map_sides(predictions, batch, [Side.prediction(pair) for pair in pairs])
        else:
            source, target = self.map_pairs(predictions, batch, pairs)
        distance = cosine_distance(source, target)
        if self.training:
            self.relations.update(pairs, source, target, distance)
        if self.regularizer or self.margins is not None:
            image = self.image_maps(features, pairs)
            off, label_off = cosine_distance(source, image), cosine_distance(target, image)
            if self.margins is not None:
                if self.training:
                    self.margins.update(pairs, distance, off, label_off)
                distance, off = self.margins.limit(pairs, distance, off)
            distance = distance + self.regularizer * (off if self.by_labels else off + label_off)
        return self.pair_sums(pairs, weight * distance * to_device(share, features.device)) | fits

    def fit_mapping(
        self, features: Float[Tensor, "b d h2 w2"], batch: Batch, pairs: Sequence[Pair]
    ) -> tuple[Float[Tensor, "r d h2 w2"], dict[str, Float[Tensor, ""]]]:
        """Losses that teach the mapping what labels tell of their image's features, and the maps of the pairs' labels.

        Every label is mapped on both sides of its pairs, as a target and, where its task will be a source, as that; the
        mapping never sees a prediction. Losses are averaged over an image's maps and summed over images; maps carry no
        gradient.
        """
        others = plan_pairs(self.labelled(batch), labelled_sources=True, related=self.related_pairs())
        if self.extensions.max_pairs is not None:
            others = [others[place] for place in draw_pairs(others, self.extensions.max_pairs)[0]]
        targets = list(dict.fromkeys([*pairs, *others]))
        sources = [Pair(image, target, source) for image, source, target in targets]
        both = [*targets, *sources]
        if not both:
            return features.detach()[:0], self.pair_zeros(features, "mapping/")
        sides = [Side.label(pair) for pair in targets] + [Side.source_label(pair) for pair in sources]
        maps = self.map_sides({}, batch, sides)
        maps_of = Counter(pair.image for pair in both)
        share = to_device(1 / torch.tensor([maps_of[pair.image] for pair in both]), features.device)
        losses = self.pair_sums(both, share * cosine_distance(maps, self.image_maps(features, both)))
        place = {pair: row for row, pair in enumerate(targets)}
        chosen = maps.detach()[to_device([place[pair] for pair in pairs], features.device)]
        return chosen, {f"mapping/{name}": loss for name, loss in losses.items()}

    def image_maps(self, features: Float[Tensor, "b d h2 w2"], pairs: Sequence[Pair]) -> Float[Tensor, "r d h2 w2"]:
        """Each pair's image as the network's features have it, without a gradient."""
        image = features.detach()[to_device([pair.image for pair in pairs], features.device)]
        return centered(image) if self.center else image

    def choose_pairs(self, batch: Batch) -> tuple[list[Pair], Float[Tensor, " r"]]:
        """The pairs to map and what each counts in its image's term: 1/|U| in Eq. 4."""
        pairs = plan_pairs(
            self.labelled(batch),
            unlabelled=self.unlabelled(batch),
            labelled_sources=self.labelled_pairs,
            related=self.related_pairs(),
        )
        share = 1 / torch.tensor(count_sources(pairs)) if self.reduction == "mean" else torch.ones(len(pairs))
        if self.extensions.max_pairs is None:
            return pairs, share
        drawn, stands_for = draw_pairs(pairs, self.extensions.max_pairs)
        return [pairs[place] for place in drawn], stands_for * share[drawn]

    def related_pairs(self) -> Bool[Tensor, "k k"] | None:
        """The pairs that `extensions.pairs auto` has found related, on the CPU; None while all count."""
        if self.extensions.pairs == "all":
            return None
        if self.relations.related is None and self.training:
            decide_at = self.extensions.decide_at
            if not decide_at or self.progress >= decide_at:
                self.relations.decide()
        return self.relations.related

    def end_epoch(self) -> None:
        """Let the checkpoint hold what the last step's gradients counted."""
        if self.balance is not None:
            self.balance.collect()

    def mapped_features(
        self, predictions: Mapping[str, Tensor], batch: Batch
    ) -> dict[str, tuple[Float[Tensor, "1 d h2 w2"], Float[Tensor, "1 d h2 w2"]]]:
        """Mapped prediction of the source and mapped label of the target for all pairs of ONE image (paper Fig. 3).

        A pair counts when its target is labelled, whether or not its source is.
        """
        pairs = plan_pairs(self.labelled(batch)[:1], labelled_sources=True)
        if not pairs:
            return {}
        source, target = self.map_pairs(predictions, batch, pairs)
        return {
            f"{self.tasks[s].name} -> {self.tasks[t].name}": (source[row : row + 1], target[row : row + 1])
            for row, (_, s, t) in enumerate(pairs)
        }

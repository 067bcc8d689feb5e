"""Several binary maps: classes that may share a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.structures import TargetSpec, masked_mean
from mtpsl.tasks.base import paint_invalid
from mtpsl.tasks.binary import BinaryTask
from mtpsl.tasks.drawing import BOTH, FALSE, HIT, MISSED, ColorNames, ErrorKinds
from mtpsl.tasks.palette import palette

if TYPE_CHECKING:
    import torchmetrics  # takes two seconds, which what only reads data need not spend


class MultiLabel(BinaryTask):
    """Each class is at a pixel or not, whatever the others are: binary cross-entropy, mean IoU.

    Args:
        name: the task's name.
        class_names: one for each class.

    Raises:
        ValueError: no class, or two of one name.
    """

    score_types = {"miou": ("%", True)}
    primary = "miou"
    ground = (0.1, 0.1, 0.12)

    def __init__(self, name: str = "multilabel", *, class_names: Sequence[str]) -> None:
        super().__init__(name)
        if not class_names or len({*class_names}) < len(class_names):
            raise ValueError(f"{name}: class_names should be one or more different names, not {[*class_names]}")
        self.class_names = list(class_names)
        self.out_channels = self.encoding_channels = len(class_names)
        self.target_spec = TargetSpec(len(class_names), torch.float32)
        self.colors = palette(len(class_names))

    def options(self) -> dict[str, Any]:
        """The classes."""
        return {"class_names": self.class_names}

    def loss(
        self, prediction: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, " b"]:
        """Binary cross-entropy, averaged over classes and valid pixels."""
        target = target.masked_fill(~valid[:, None], 0.0)  # zero times a hidden NaN would be a NaN gradient
        pixels = F.binary_cross_entropy_with_logits(prediction, target, reduction="none")
        return masked_mean(pixels.mean(1), valid)

    def metric(self) -> torchmetrics.Metric:
        """Intersection over union at probability 0.5, over all valid pixels of the set."""
        from mtpsl.tasks.metrics.multilabel import MultiLabelMetric

        return MultiLabelMetric(len(self.class_names))

    def class_scores(self, metric: torchmetrics.Metric) -> dict[str, float]:
        """Intersection over union of every class, in percent; NaN for one neither predicted nor labelled."""
        from mtpsl.tasks.metrics.multilabel import MultiLabelMetric

        assert isinstance(metric, MultiLabelMetric)
        return dict(zip(self.class_names, (100 * metric.ious()).tolist(), strict=True))

    def colorize(
        self, values: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"] | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """The mean color of the classes that are there, on a dark one."""
        share = values.clamp(0, 1) if valid is None else values.masked_fill(~valid[:, None], 0.0).clamp(0, 1)
        rest = 1 - share.amax(1, keepdim=True)
        mixed = torch.einsum("bchw,cr->brhw", share, self.colors.to(share))
        mixed = (mixed + rest * share.new_tensor(self.ground).view(3, 1, 1)) / (share.sum(1, keepdim=True) + rest)
        return paint_invalid(mixed.clamp(0, 1), valid)

    def legend(self, values: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]) -> ColorNames | None:
        """The classes that occur; where several are, their colors are mixed."""
        present = (values.movedim(1, -1)[valid] > 0.5).any(0).nonzero()[:, 0].tolist()
        colors = self.colors.tolist()
        entries = [(self.class_names[i], (colors[i][0], colors[i][1], colors[i][2])) for i in present]
        return ColorNames((*entries, ("none of them", self.ground))) if entries else None

    def on_photo(self, values: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b h w"]]:
        """Classes that are there tint the photo."""
        share = (values > 0.5).to(values.dtype)
        mixed = torch.einsum("bchw,cr->brhw", share, self.colors.to(share)) / share.sum(1, keepdim=True).clamp(min=1)
        return mixed, self.opacity * share.amax(1)

    def error_map(
        self, prediction: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]
    ) -> ErrorKinds:
        """Where classes were missed, falsely found, or both; else where all that are there were found."""
        found, truth = prediction > 0, target > 0.5
        missed, false = (~found & truth).any(1), (found & ~truth).any(1)
        kind = torch.where(missed | false, missed + 2 * false, 4 * truth.any(1))
        entries = (
            ("rightly empty", None),
            ("class missed", MISSED),
            ("false class", FALSE),
            ("both", BOTH),
            ("all right", HIT),
        )
        return ErrorKinds(kind.long(), entries)

"""A class for every pixel, whatever the classes are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mtpsl.structures import TargetSpec, masked_mean
from mtpsl.tasks.base import Task, paint_invalid
from mtpsl.tasks.class_losses import balanced_weights, check_class_losses, dice_loss
from mtpsl.tasks.drawing import ColorNames, borders
from mtpsl.tasks.palette import palette

if TYPE_CHECKING:
    import torchmetrics  # takes two seconds, which what only reads data need not spend

Absent = Literal["skip", "zero"]
ClassWeights = Sequence[float] | Literal["balanced"] | None


class ClassMap(Task):
    """A class for every pixel, the base of such tasks: cross-entropy (and Dice loss), mIoU and pixel accuracy.

    Args:
        name: the task's name.
        num_classes: how many classes there are.
        class_names: their names, for pictures and messages.
        colors: an RGB triple from 0 to 255 for every class; None for one, or for all, stands for a color that is far
            from the others, see `palette`.
        absent: how a class that neither predictions nor labels show enters mIoU: `skip` leaves it out, `zero` counts it
            as 0, for comparison with code that does so.
        class_weights: what the cross-entropy of a pixel of each class is multiplied with, before it is averaged over
            all valid pixels; or `balanced`, until `balanced` gives numbers for the labels in use.
        label_smoothing: the part of each label that goes to all classes alike.
        dice: weight of a Dice loss that is added, see `class_losses.dice_loss`.
    """

    score_types = {"miou": ("%", True), "pixel_accuracy": ("%", True)}
    primary = "miou"
    samples = background = True

    def __init__(
        self,
        name: str = "segmentation",
        *,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        colors: Sequence[Sequence[int] | None] | None = None,
        absent: Absent = "skip",
        class_weights: ClassWeights = None,
        label_smoothing: float = 0.0,
        dice: float = 0.0,
    ) -> None:
        super().__init__(name)
        if num_classes < 2:
            raise ValueError(f"{name}: num_classes should be at least 2, not {num_classes}")
        if class_names is not None and len(class_names) != num_classes:
            raise ValueError(f"{name}: class_names should have {num_classes} entries, not {len(class_names)}")
        if colors is not None and len(colors) != num_classes:
            raise ValueError(f"{name}: colors should have {num_classes} entries, not {len(colors)}")
        if absent not in get_args(Absent):
            raise ValueError(f"{name}: absent should be skip or zero, not {absent!r}")
        try:
            check_class_losses(num_classes, class_weights, label_smoothing, dice)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        self.class_weights: ClassWeights = (
            class_weights if class_weights is None or isinstance(class_weights, str) else [*map(float, class_weights)]
        )
        self.label_smoothing, self.dice = float(label_smoothing), float(dice)
        self.absent: Absent = absent
        self.num_classes = self.out_channels = self.encoding_channels = num_classes
        self.class_names = list(class_names) if class_names is not None else [str(i) for i in range(num_classes)]
        self.colors = palette(num_classes, colors)
        self.target_spec = TargetSpec(0, torch.long)

    def options(self) -> dict[str, Any]:
        """Classes, their colors, how absent ones count, and the loss."""
        return {
            "num_classes": self.num_classes,
            "class_names": self.class_names,
            "colors": (self.colors * 255).round().int().tolist(),
            "absent": self.absent,
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
            "dice": self.dice,
        }

    def balanced(self, counts: Int[Tensor, " c"]) -> ClassMap:
        """The same task with the weights that `balanced` means for labels with so many pixels of each class."""
        return type(self)(self.name, **{**self.options(), "class_weights": balanced_weights(counts)})

    def loss(
        self, prediction: Float[Tensor, "b c h w"], target: Int[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, " b"]:
        """Cross-entropy, weighted and smoothed, and the Dice loss beside it.

        Raises:
            ValueError: `class_weights` is `balanced` still.
        """
        if isinstance(self.class_weights, str):
            raise ValueError(
                f"{self.name}: class_weights should be numbers in training, not {self.class_weights}: make the task "
                "that has them with balanced(counts)"
            )
        pixels = F.cross_entropy(
            prediction,
            target.masked_fill(~valid, -100),
            weight=None if self.class_weights is None else prediction.new_tensor(self.class_weights),
            ignore_index=-100,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        loss = masked_mean(pixels, valid)
        return loss + self.dice * dice_loss(prediction.softmax(1), target, valid) if self.dice else loss

    def decode(self, prediction: Float[Tensor, "b c h w"]) -> Int[Tensor, "b h w"]:
        """The most likely class."""
        return prediction.argmax(1)

    def confidence(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
        """The probability of the most likely class."""
        return self.soft_confidence(self.soft(prediction))

    def soft_confidence(self, soft: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
        """The probability of the most likely class."""
        return soft.amax(1)

    def soft(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The probability of every class."""
        return prediction.softmax(1)

    def encode_prediction(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """A sampled one-hot map with the gradient of a softmax: hard straight-through Gumbel-softmax, temperature 1."""
        return F.gumbel_softmax(prediction, tau=1.0, hard=True, dim=1)

    def encode_target(self, target: Int[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b c h w"]:
        """One-hot."""
        one_hot = torch.zeros((target.shape[0], self.num_classes, *target.shape[1:]), device=target.device)
        return one_hot.scatter_(1, target.masked_fill(~valid, 0)[:, None], 1.0) * valid[:, None]

    def resize(self, prediction: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c h2 w2"]:
        """Each pixel takes the classes of the nearest one, since classes cannot be interpolated."""
        return F.interpolate(prediction.float(), size=size, mode="nearest")

    def metric(self) -> torchmetrics.Metric:
        """MIoU and pixel accuracy, in percent."""
        from mtpsl.tasks.metrics.segmentation import SegmentationMetric

        return SegmentationMetric(self.num_classes, self.absent)

    def class_scores(self, metric: torchmetrics.Metric) -> dict[str, float]:
        """Intersection over union of every class, in percent; NaN for one neither predicted nor labelled."""
        from mtpsl.tasks.metrics.segmentation import SegmentationMetric

        assert isinstance(metric, SegmentationMetric)
        names = [
            f"{name} ({i})" if self.class_names.count(name) > 1 else name for i, name in enumerate(self.class_names)
        ]
        return dict(zip(names, (100 * metric.ious()).tolist(), strict=True))

    def colorize(
        self, values: Int[Tensor, "b h w"], valid: Bool[Tensor, "b h w"] | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """One color per class."""
        known = values if valid is None else values.masked_fill(~valid, 0)
        return paint_invalid(self.colors.to(values.device)[known].permute(0, 3, 1, 2), valid)

    def legend(self, values: Int[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]) -> ColorNames | None:
        """The classes that occur."""
        present = torch.bincount(values[valid], minlength=self.num_classes).nonzero()[:, 0].tolist()
        colors = self.colors.tolist()
        entries = [(self.class_names[i], (colors[i][0], colors[i][1], colors[i][2])) for i in present]
        return ColorNames(tuple(entries)) if entries else None

    def on_photo(self, values: Int[Tensor, "b h w"]) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b h w"]]:
        """Classes tint the photo, white lines part them; a class named background leaves it as it is."""
        border = borders(values)
        empty = torch.tensor([name.lower() == "background" for name in self.class_names], device=values.device)
        opacity = torch.where(border, 1.0, torch.where(empty[values], 0.0, 0.55))
        return self.colorize(values).masked_fill(border[:, None], 1.0), opacity

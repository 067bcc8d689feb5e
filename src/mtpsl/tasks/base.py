"""What a dense prediction task is: the only place where code may ask how a task's values behave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.structures import Score, TargetSpec
from mtpsl.tasks.drawing import WRONG, ErrorAmounts, ErrorKinds, ErrorMap, Legend

if TYPE_CHECKING:
    import torchmetrics  # takes two seconds, which what only reads data need not spend


class Task(ABC):
    """One dense prediction task.

    A subclass says how raw predictions are compared with labels, turned into what a person uses, fed to a mapping
    network, changed by flips and zooms, scored and drawn. It holds no parameters.

    Args:
        name: the task's name in batches, folders, tables and on the command line.
    """

    #: channels that a network predicts
    out_channels: int
    #: channels of `encode_prediction` and `encode_target`
    encoding_channels: int
    #: form of a label
    target_spec: TargetSpec
    #: how a label is resampled when an image is zoomed
    resampling: ClassVar[Literal["nearest", "bilinear"]] = "nearest"
    #: whether the label 0 can stand for what an image does not show
    background: ClassVar[bool] = False
    #: whether `encode_prediction` draws a sample, another one at each call
    samples: ClassVar[bool] = False
    #: unit and direction of every number that `metric().compute()` returns, in the order of tables
    score_types: dict[str, tuple[str, bool]]
    #: the number that counts in ΔMTL
    primary: ClassVar[str]

    def __init__(self, name: str) -> None:
        self.name = name

    def options(self) -> dict[str, Any]:
        """The constructor's keyword arguments that make the same task again."""
        return {}

    @abstractmethod
    def loss(
        self, prediction: Float[Tensor, "b c h w"], target: Tensor, valid: Bool[Tensor, "b h w"]
    ) -> Float[Tensor, " b"]:
        """The loss of each image, averaged over its valid pixels; zero for an image without any."""

    @abstractmethod
    def decode(self, prediction: Float[Tensor, "b c h w"]) -> Tensor:
        """Turn a raw prediction into the form of a label, each pixel by itself: large pictures are decoded in parts."""

    def confidence(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"] | None:
        """The probability, from 0 to 1, of what `decode` chooses; None for a task that does not choose."""
        return None

    @abstractmethod
    def soft(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Differentiable values in which two predictions are compared; `zoom` and `mirror` change them like labels."""

    def soft_confidence(self, soft: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"] | None:
        """The probability, from 0 to 1, of what soft values choose; None for a task that does not choose."""
        return None

    def label_from(self, soft: Float[Tensor, "b c h w"]) -> Tensor:
        """The label that soft values, or a mean of several, say; the most likely class of a task with an index map."""
        return self.resampled(soft) if self.target_spec.channels else soft.argmax(1)

    def unweighted(self, soft: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Soft values without what weights of the loss have added to the probability of what is rare."""
        return soft

    @abstractmethod
    def encode_prediction(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b e h w"]:
        """The differentiable input of a mapping network for a prediction."""

    @abstractmethod
    def encode_target(self, target: Tensor, valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b e h w"]:
        """The input of a mapping network for a label, of a constant value where it is not valid."""

    def resize(self, prediction: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c h2 w2"]:
        """A raw prediction at another size, to be scored there: what it says is resized, as tools do that store it."""
        return F.interpolate(prediction.float(), size=size, mode="bilinear", align_corners=False)

    @abstractmethod
    def metric(self) -> torchmetrics.Metric:
        """A metric: `update(prediction, target, valid)` on raw predictions; `compute()` gives `score_types`' keys."""

    @abstractmethod
    def colorize(self, values: Tensor, valid: Bool[Tensor, "b h w"] | None = None) -> Float[Tensor, "b 3 h w"]:
        """Draw labels or decoded predictions as RGB from 0 to 1, one scale for the whole batch; not valid is black."""

    def legend(self, values: Tensor, valid: Bool[Tensor, "b h w"]) -> Legend | None:
        """What the colors mean that `colorize` gives the same values; None where there is nothing to say."""
        return None

    def on_photo(self, values: Tensor) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b h w"]] | None:
        """Colors to lay over the photo and how opaque, from 0 to 1; None for values that would hide or blur it."""
        return None

    def error_map(self, prediction: Float[Tensor, "b c h w"], target: Tensor, valid: Bool[Tensor, "b h w"]) -> ErrorMap:
        """What is wrong with a raw prediction, pixel by pixel; whatever it says where not valid is not drawn.

        By default the absolute difference, averaged over channels, or whether a label without channels is another one.
        """
        decoded = self.decode(prediction)
        if not self.target_spec.channels:
            return ErrorKinds((decoded != target).long(), (("right", None), ("wrong", WRONG)))
        return ErrorAmounts((decoded - target).abs().mean(1))

    def mirror(self, target: Tensor) -> Tensor:
        """Change a label's values (not its pixels' places) as mirroring the image left to right does."""
        return target

    def zoom(self, target: Tensor, scale: Float[Tensor, " b"]) -> Tensor:
        """Change a label's values (not its pixels' places) as magnifying each image by `scale` does."""
        return target

    def rotate(self, target: Tensor, angle: Float[Tensor, " b"]) -> Tensor:
        """Change a label's values (not its pixels' places) as turning each image counterclockwise does (radians)."""
        return target

    def resampled(self, target: Tensor) -> Tensor:
        """Repair a label's values after bilinear interpolation."""
        return target

    def scores(self, values: dict[str, Tensor]) -> dict[str, Score]:
        """Attach unit and direction to what `metric().compute()` returned."""
        return {
            name: Score(float(values[name]), unit, higher_is_better)
            for name, (unit, higher_is_better) in self.score_types.items()
        }

    def class_scores(self, metric: torchmetrics.Metric) -> dict[str, float]:
        """Intersection over union of every class by its name, in percent; nothing for a task without classes."""
        return {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def paint_invalid(colors: Float[Tensor, "b 3 h w"], valid: Bool[Tensor, "b h w"] | None) -> Float[Tensor, "b 3 h w"]:
    """Black where not valid."""
    return colors if valid is None else colors.masked_fill(~valid[:, None], 0.0)

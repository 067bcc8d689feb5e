"""What every network of this package is: images in, raw predictions of all tasks and the encoder's maps out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.jit import is_tracing  # type: ignore[attr-defined]

from mtpsl.structures import Output


class MultiTaskNetwork(nn.Module, ABC):
    """A network with a prediction per task, for images of any size.

    A network of your own needs the first two attributes below and a `forward` that returns an `Output`; it need not
    inherit from this class. One that does writes `forward_divisible` and takes any size, too.

    While `torch.jit.trace` or `torch.export` record it, which know no `Output`, a call gives its predictions alone
    (`plain`).
    """

    #: the last feature map is smaller than the images by this factor, rounded up
    stride: int
    #: channels of the last map in `Output.features`
    feature_channels: int
    #: by how much each map in `Output.features` is smaller than the images, and its channels
    feature_levels: list[tuple[int, int]]

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """`forward`, in a form that can be recorded while it is."""
        output = super().__call__(*arguments, **options)
        return plain(output.predictions) if recorded() else output

    def forward(self, images: Float[Tensor, "b c h w"]) -> Output:
        """Predict every task at the images' size.

        Images whose sides `stride` does not divide are enlarged by repeating their lower and right border; predictions
        are cropped to the images again, features are not.
        """
        height, width = images.shape[-2:]
        output = self.forward_divisible(padded(images, self.stride))
        if torch.compiler.is_exporting() or height % self.stride or width % self.stride:
            return Output({name: x[..., :height, :width] for name, x in output.predictions.items()}, output.features)
        return output

    @abstractmethod
    def forward_divisible(self, images: Float[Tensor, "b c h w"]) -> Output:
        """Predict every task for images whose height and width are multiples of `stride`."""


def recorded() -> bool:
    """Whether `torch.jit.trace` or `torch.export` is recording what is computed."""
    return is_tracing() or torch.compiler.is_exporting()


def plain(predictions: dict[str, Tensor]) -> dict[str, Tensor] | tuple[Tensor, ...]:
    """Predictions as a recorded module may give them: a tuple for `torch.jit.trace`, which takes no dictionary."""
    return tuple(predictions.values()) if is_tracing() else predictions


def padded(x: Float[Tensor, "b c h w"], stride: int) -> Float[Tensor, "b c h2 w2"]:
    """Repeat the lower and right border up to the next multiple of `stride`; the same tensor where it divides.

    >>> padded(torch.tensor([[[[1.0, 2.0]]]]), 3)[0, 0].tolist()
    [[1.0, 2.0, 2.0], [1.0, 2.0, 2.0], [1.0, 2.0, 2.0]]
    """
    bottom, right = (-side % stride for side in x.shape[-2:])
    if (
        not torch.compiler.is_exporting() and not bottom and not right
    ):  # a question would fix an exported program's size
        return x
    return F.pad(x, (0, right, 0, bottom), mode="replicate")


def scaled(channels: int, width: float) -> int:
    """Channels of a layer in a network of another width, a multiple of 8 and at least 8."""
    return max(8, round(channels * width / 8) * 8)

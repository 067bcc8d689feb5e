"""What every network of this package is: images in, raw predictions of all tasks and the encoder's maps out."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.structures import Output


class MultiTaskNetwork(nn.Module, ABC):
    """A network with a prediction per task.

    A network of your own needs the two attributes below and a `forward` that returns an `Output`; it need not
    inherit from this class.
    """

    #: height and width of the images should be divisible by it; the last feature map is smaller by this factor
    stride: int
    #: channels of the last map in `Output.features`
    feature_channels: int

    @abstractmethod
    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Output:
        """Predict every task.

        Raises:
            ValueError: height or width is not divisible by `stride`.
        """

    def check_size(self, images: Float[Tensor, "b c h w"]) -> None:
        """Refuse images that pooling would not halve evenly."""
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride:
            padded = "x".join(str(-(-side // self.stride) * self.stride) for side in (height, width))
            raise ValueError(
                f"Image {height}x{width} should be divisible by {self.stride}: pad or resize it to {padded}."
            )


def scaled(channels: int, width: float) -> int:
    """Channels of a layer in a network of another width, a multiple of 8 and at least 8."""
    return max(8, round(channels * width / 8) * 8)

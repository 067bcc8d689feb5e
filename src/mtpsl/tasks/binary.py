"""What tasks have in common that tell one kind of pixel from all others."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtpsl.structures import TargetSpec
from mtpsl.tasks.base import Task, paint_invalid
from mtpsl.tasks.drawing import FOUND, ColorScale, ErrorKinds, Legend, binary_errors


class BinaryTask(Task):
    """A pixel belongs to what is looked for (1) or not (0): one logit per pixel.

    Args:
        name: the task's name.
    """

    background = True
    #: color of 0, as shares of red, green and blue
    ground: ClassVar[tuple[float, float, float]]
    #: how much of a photo is hidden by what is surely there
    opacity: ClassVar[float] = 0.6

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.out_channels = self.encoding_channels = 1
        self.target_spec = TargetSpec(1, torch.float32)

    def decode(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The probability of 1."""
        return prediction.sigmoid()

    def confidence(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
        """The probability of 1 or of 0, whichever is larger; of several maps the smallest of these."""
        return prediction.abs().amin(1).sigmoid()

    def soft_confidence(self, soft: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
        """The probability of 1 or of 0, whichever is larger; of several maps the smallest of these."""
        return torch.maximum(soft, 1 - soft).amin(1)

    def soft(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The probability of 1."""
        return prediction.sigmoid()

    def encode_prediction(self, prediction: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The probability of 1."""
        return prediction.sigmoid()

    def encode_target(self, target: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, "b c h w"]:
        """The label, 0 where not valid."""
        return target.masked_fill(~valid[:, None], 0.0)

    def resize(self, prediction: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c h2 w2"]:
        """Probabilities are interpolated."""
        return super().resize(self.decode(prediction.double()), size).clamp(0, 1).logit(1e-6)

    def colorize(
        self, values: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"] | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """White on a dark color."""
        unit = values.clamp(0, 1)
        return paint_invalid(unit + (1 - unit) * unit.new_tensor(self.ground).view(3, 1, 1), valid)

    def legend(self, values: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]) -> Legend | None:
        """From surely nothing to surely what is looked for."""
        ramp = torch.linspace(0, 1, 256).view(1, 1, 1, 256)
        return ColorScale(self.colorize(ramp)[0, :, 0], 0.0, 1.0, f"probability of {self.name}")

    def on_photo(self, values: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b h w"]]:
        """The more probable, the less of the photo is seen."""
        unit = values[:, 0].clamp(0, 1)
        color = unit.new_tensor(FOUND).view(1, 3, 1, 1).expand(len(unit), 3, *unit.shape[1:])
        return color, self.opacity * unit

    def error_map(
        self, prediction: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"], valid: Bool[Tensor, "b h w"]
    ) -> ErrorKinds:
        """Hit, missed and falsely found pixels at probability 0.5."""
        return binary_errors(prediction[:, 0] > 0, target[:, 0] > 0.5)

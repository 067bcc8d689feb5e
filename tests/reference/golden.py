"""The authors' checkpoint keys, rebuilt weights, and our names for them."""

from __future__ import annotations

import json
import zlib

import numpy as np
import torch
from torch import Tensor

from builders import SHARED, make_objective
from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency
from mtpsl.tasks import Depth, Normals, Segmentation

TASKS = [Segmentation(num_classes=13), Depth(), Normals()]


def golden_values() -> dict[str, np.ndarray]:
    """Inputs and outputs of the authors' code."""
    with np.load(SHARED / "golden" / "nyuv2_reference.npz") as stored:
        return {name: stored[name] for name in stored.files}


def golden_weights(part: str) -> dict[str, Tensor]:
    """The weights of `model` or `mapfns` under the authors' keys."""
    shapes = json.loads((SHARED / "golden" / "checkpoint_keys.json").read_text())[part]
    return {key: torch.from_numpy(np.asarray(value_of(f"{part}.{key}", key, shape))) for key, shape in shapes.items()}


def value_of(seed: str, key: str, shape: list[int]) -> np.ndarray:
    """One array, as the README beside the golden values says."""
    if key == "logsigma":
        return np.full(shape, -0.5, np.float32)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    z = np.random.default_rng(zlib.crc32(seed.encode())).standard_normal(shape)
    if len(shape) == 4:
        z = z * np.sqrt(2 / np.prod(shape[1:]))
    elif key.endswith("running_var"):
        z = 1 + 0.1 * np.abs(z)
    elif key.endswith(("running_mean", "beta", ".bias")):
        z = 0.1 * z
    else:
        z = 1 + 0.1 * z
    return z.astype(np.float32)


def golden_network() -> SegNet:
    """Our SegNet with the golden weights."""
    network = SegNet({task.name: task.out_channels for task in TASKS})
    theirs, ours = golden_weights("model"), {}
    for side, first, rest in (
        ("encoder", "encoder_block", "conv_block_enc"),
        ("decoder", "decoder_block", "conv_block_dec"),
    ):
        for stage in range(5):
            prefixes = [f"{first}.{stage}"]
            prefixes += [f"{rest}.{stage}"] if stage < 2 else [f"{rest}.{stage}.0", f"{rest}.{stage}.1"]
            for index, prefix in enumerate(prefixes):
                for layer in (0, 1):
                    for key in (k for k in theirs if k.startswith(f"{prefix}.{layer}.")):
                        ours[f"{side}.{stage}.{3 * index + layer}.{key.rsplit('.', 1)[1]}"] = theirs[key]
    for number, task in enumerate(TASKS, 1):
        for layer in (0, 1):
            for kind in ("weight", "bias"):
                ours[f"heads.{task.name}.{layer}.{kind}"] = theirs[f"pred_task{number}.{layer}.{kind}"]
    network.load_state_dict(ours)
    return network


def golden_objective(network: SegNet, **options: float) -> CrossTaskConsistency:
    """Our objective with the golden mapping network."""
    objective = make_objective(CrossTaskConsistency, TASKS, network, views=1, reduction="sum", **options)
    theirs, ours = golden_weights("mapfns"), {}
    for task in range(3):
        for layer, name in ((0, "conv"), (1, "norm")):
            for kind in ("weight", "bias"):
                ours[f"inputs.{task}.{name}.{kind}"] = theirs[f"mapfns.pred_encoder_source.{task}.{layer}.{kind}"]
    for stage in range(5):
        prefixes = [f"encoder_block.{stage}"]
        prefixes += (
            [f"conv_block_enc.{stage}"] if stage < 2 else [f"conv_block_enc.{stage}.0", f"conv_block_enc.{stage}.1"]
        )
        for index, prefix in enumerate(prefixes):
            place = f"stages.{stage}.{index}"
            for name, layer in (("conv", "conv"), ("norm", "bn")):
                for kind in ("weight", "bias"):
                    ours[f"{place}.{name}.{kind}"] = theirs[f"mapfns.{prefix}.{layer}.{kind}"]
            for kind in ("gamma", "beta"):
                ours[f"{place}.norm.{kind}"] = theirs[f"mapfns.{prefix}.{kind}"].T
    objective.mapping.load_state_dict(ours)
    return objective

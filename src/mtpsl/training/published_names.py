"""What the authors' code calls the weights of our networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from mtpsl.phrases import first_few

UNUSED = ("logsigma", "logsigma_dist", "con_tasks.", "pred_task3.")
"""Beginnings of keys that the authors' networks hold without using them (the third head: for Cityscapes)."""
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Ends of keys that our mapping does without: its norm takes each row's own statistics, as theirs does in training."""

TRANSPOSED = (".gamma", ".beta")
"""Ends of keys whose tensors are (channels, pairs) there and (pairs, channels) here."""


def network_names(keys: Iterable[str], tasks: list[str]) -> dict[str, str]:
    """The authors' names of the weights of a `SegNet`.

    Args:
        keys: those of its `state_dict`.
        tasks: in the order of the authors' heads.

    >>> network_names(["encoder.2.7.bias", "decoder.0.3.weight", "heads.depth.1.bias"], ["segmentation", "depth"])
    {'encoder.2.7.bias': 'conv_block_enc.2.1.1.bias',
     'decoder.0.3.weight': 'conv_block_dec.0.0.weight',
     'heads.depth.1.bias': 'pred_task2.1.bias'}
    """
    found = {}
    for key in keys:
        part, first, layer, kind = key.split(".")
        if part == "heads":
            found[key] = f"pred_task{tasks.index(first) + 1}.{layer}.{kind}"
        else:
            convolution, inner = divmod(int(layer), 3)  # each is followed by a norm and a ReLU
            found[key] = f"{place(part[:3], int(first), convolution)}.{inner}.{kind}"
    return found


def mapping_names(keys: Iterable[str]) -> dict[str, str]:
    """The authors' names of the weights of a `MappingNetwork`; their gamma and beta are transposed (`TRANSPOSED`).

    >>> mapping_names(["inputs.1.norm.bias", "stages.3.0.conv.weight", "stages.3.2.norm.gamma"])
    {'inputs.1.norm.bias': 'mapfns.pred_encoder_source.1.1.bias',
     'stages.3.0.conv.weight': 'mapfns.encoder_block.3.conv.weight',
     'stages.3.2.norm.gamma': 'mapfns.conv_block_enc.3.1.gamma'}
    """
    found = {}
    for key in keys:
        part, first, *rest, layer, kind = key.split(".")
        if part == "inputs":
            found[key] = f"mapfns.pred_encoder_source.{first}.{('conv', 'norm').index(layer)}.{kind}"
        else:
            prefix = f"mapfns.{place('enc', int(first), int(rest[0]))}"
            own = kind if kind in ("gamma", "beta") else f"{ {'conv': 'conv', 'norm': 'bn'}[layer] }.{kind}"
            found[key] = f"{prefix}.{own}"
    return found


def place(side: str, stage: int, convolution: int) -> str:
    """What the authors call a convolution of a stage of the encoder (`enc`) or decoder (`dec`)."""
    if convolution == 0:
        return f"{ {'enc': 'encoder', 'dec': 'decoder'}[side] }_block.{stage}"
    return f"conv_block_{side}.{stage}" + (f".{convolution - 1}" if stage > 1 else "")


def renamed(theirs: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Tensors under our names."""
    return {
        ours: (theirs[key].T if key.endswith(TRANSPOSED) else theirs[key]).contiguous()
        for ours, key in names.items()
        if key in theirs
    }


def difference(theirs: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> str:
    """What is wrong with tensors of which some should be there, in these shapes; empty where nothing is.

    >>> import torch
    >>> difference({"a": torch.zeros(2), "logsigma": torch.zeros(3)}, {"a": (3,), "b": (1,)})
    "it has no 'b'"
    """
    missing = [key for key in wanted if key not in theirs and not key.endswith("num_batches_tracked")]
    foreign = [key for key in theirs if key not in wanted and not key.startswith(UNUSED)]
    others = first_few([*map(repr, foreign)])
    if missing:
        return f"it has no {first_few([*map(repr, missing)])}" + (f", but {others}" if foreign else "")
    if foreign:
        return f"it has {others}, which that network does not have"
    for key, shape in wanted.items():
        if key in theirs and tuple(theirs[key].shape) != shape:
            return f"{key} should have shape {shape}, not {tuple(theirs[key].shape)}"
    return ""

"""An ONNX network in 8-bit whole numbers, for the CPU."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtpsl.inference.export.deployable import RAW


def in_int8(model: Any, images: Sequence[np.ndarray]) -> Any:
    """A model whose convolutions and matrix products compute with 8-bit whole numbers.

    Weights get a scale for every channel, activations one that is measured on images (static quantization of ONNX
    Runtime). The last convolution of every task stays as it is: depth in 256 steps would be coarse.

    Args:
        model: an `onnx.ModelProto`.
        images: what it is fed with, one batch each.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    name = model.graph.input[0].name

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.left, None)
            return None if image is None else {name: image}

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it is told twice to do what is done here
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            plain, folded, whole = (Path(folder) / f"{part}.onnx" for part in ("plain", "folded", "int8"))
            onnx.save(model, plain)
            quant_pre_process(plain, folded, skip_symbolic_shape=True)
            quantize_static(
                folded,
                whole,
                Images(),
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QInt8,
                op_types_to_quantize=OPERATORS,
                nodes_to_exclude=last_convolutions(onnx.load(folded).graph),
            )
            return onnx.load(whole)
    finally:
        root.setLevel(level)


OPERATORS = ["Conv", "MatMul", "Gemm", "Add", "Relu", "Clip", "MaxPool", "Concat"]
"""What computes in whole numbers."""


def last_convolutions(graph: Any) -> list[str]:
    """The names of the convolutions that end in the raw predictions."""
    maker = {output: node for node in graph.node for output in node.output}
    found = set()
    for output in graph.output:
        node = maker.get(output.name)
        while output.name.startswith(RAW) and node is not None and node.op_type not in ("Conv", "MatMul", "Gemm"):
            node = maker.get(node.input[0])
        if node is not None and node.op_type in ("Conv", "MatMul", "Gemm"):
            found.add(node.name)
    return sorted(found)


def without_raw(model: Any) -> Any:
    """A copy of a model without the raw predictions that stand beside the decoded ones."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = [output for output in copy.graph.output if not output.name.startswith(RAW)]
    del copy.graph.output[:]
    copy.graph.output.extend(kept)
    return copy

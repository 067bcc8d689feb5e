"""From a recorded network to an ONNX file, and what ONNX Runtime computes with it."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mtpsl.errors import UserError
from mtpsl.inference.export.description import KEY
from mtpsl.inference.export.recording import Recorded, every_module, first_line

LARGEST = 2**31
"""Bytes that one file can hold: a limit of its format, protocol buffers."""


def to_onnx(recorded: Recorded, input_name: str, output_names: Sequence[str]) -> Any:
    """A recorded network as an `onnx.ModelProto`, without traces of the machine it was made on.

    Raises:
        UserError: ONNX has no operator for a layer, or the network is too large for one file.
    """
    try:
        with quiet():
            made = torch.onnx.export(
                recorded.program,
                dynamo=True,
                verbose=False,
                input_names=[input_name],
                output_names=list(output_names),
            )
            assert made is not None
            model = made.model_proto
    except Exception as error:  # the exporter raises a dozen kinds
        raise UserError(without_operator(recorded, error)) from error
    if model.ByteSize() >= LARGEST:
        raise UserError(f"the network takes {model.ByteSize() / 1e9:.1f} GB, an .onnx file up to 2: write .pt2")
    clean(model.graph)
    for function in model.functions:
        clean(function)
    name_axes(model)
    return model


def without_operator(recorded: Recorded, error: Exception) -> str:
    """One line on what could not be converted, and in which layer it is."""
    lines, cause = [], error
    while cause is not None:
        lines.append(str(cause))
        cause = cause.__cause__  # type: ignore[assignment]
    found = re.search(r"No ONNX function found for <OpOverload\(op='(\w+)\.(\w+)", "\n".join(lines)) or re.search(
        r"target=torch\.ops\.(\w+)\.(\w+)", "\n".join(lines)
    )
    if not found:
        return f"torch cannot convert the network to ONNX ({first_line(error)}): write .pt2, or change the network"
    operator = f"{found[1]}.{found[2]}"
    return f"ONNX has no operator for {operator}{user_of(recorded, found[2])}: write .pt2, or choose another network"


def user_of(recorded: Recorded, operator: str) -> str:
    """The layer that uses an operator, as a part of a sentence; nothing if it cannot be found."""
    stages = (recorded.program, recorded.program.run_decompositions())  # the exporter takes operators apart, too
    for node in (node for stage in stages for part in every_module(stage) for node in part.graph.nodes):
        if operator in str(node.target) and node.meta.get("nn_module_stack"):
            path, kind = list(node.meta["nn_module_stack"].values())[-1]
            name = f"{kind if isinstance(kind, str) else kind.__name__}".rpartition(".")[2]
            return f", which layer {path} ({name}) uses" if path else f", which {name} uses"
    return ""


def clean(graph: Any) -> None:
    """Take out what the exporter notes of source files, whose paths are nobody's business, and names of layers."""
    graph.doc_string = ""
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                clean(attribute.g)
    for values in ("value_info", "input", "output", "initializer"):
        for value in getattr(graph, values, ()):
            if not isinstance(value, str):
                del value.metadata_props[:]


def name_axes(model: Any) -> None:
    """Call the axes that may vary batch, height and width instead of the symbols of torch."""
    names: dict[str, str] = {}
    axes = model.graph.input[0].type.tensor_type.shape.dim
    last = axes[-1].dim_value == 3
    for axis, name in zip(
        axes, ("batch", "height", "width", "") if last else ("batch", "", "height", "width"), strict=True
    ):
        if axis.dim_param:
            names[axis.dim_param] = name
    graph = model.graph
    for value in [*graph.input, *graph.output, *graph.value_info]:
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_param = re.sub(r"\bs\d+\b", lambda found: names.get(found[0], found[0]), axis.dim_param)


def describe_in(model: Any, description: Mapping[str, Any]) -> None:
    """Put the description into the model's metadata, in place of any other."""
    import onnx

    onnx.helper.set_model_props(model, {KEY: json.dumps(description)})


class Session:
    """ONNX Runtime on the CPU.

    Raises:
        UserError: it cannot run the model.
    """

    def __init__(self, model: Path | bytes, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = options.inter_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(
                str(model) if isinstance(model, Path) else model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of its own kinds, without a common one
            raise UserError(f"ONNX Runtime cannot run the network: {first_line(error)}") from error
        self.input = self.session.get_inputs()[0].name
        self.outputs = [output.name for output in self.session.get_outputs()]

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs by name."""
        try:
            return dict(zip(self.outputs, self.session.run(None, {self.input: images}), strict=True))
        except Exception as error:
            raise UserError(f"ONNX Runtime cannot run the network: {first_line(error)}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the exporter says of itself."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)

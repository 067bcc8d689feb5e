"""Predictions as JSON: the files that `mtpsl predict` writes, in base64, with what their numbers mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from mtpsl.inference.canvas import Canvas
from mtpsl.inference.explanation import explain_task


def answer(canvases: list[Canvas], seconds: float) -> list[bytes]:
    """The parts of a JSON object: `size`, `seconds`, and `tasks` by name, each as `explain_task` says with its map.

    A list, so that large maps are not copied once more to be put together.

    Args:
        canvases: the predictions of one picture; taken out of the list as they are encoded, to free their memory.
        seconds: that they took.
    """
    size = [int(side) for side in canvases[0].size] if canvases else []
    parts = [f'{{"size": {json.dumps(size)}, "seconds": {seconds:.4f}, "tasks": {{'.encode()]
    separator = ""
    while canvases:
        canvas = canvases.pop(0)
        parts.append(f"{separator}{json.dumps(canvas.task.name)}: ".encode())
        parts += encoded_map(canvas.values, explain_task(canvas.task, decoded=True), canvas.confidence)
        separator = ", "
    return [*parts, b"}}"]


def encoded_map(values: np.ndarray, said: dict[str, Any], confidence: np.ndarray | None) -> Iterator[bytes]:
    """The parts of a JSON object with what is `said` and a map: `format`, `dtype`, `shape`, `data`.

    Classes are a PNG of 8 or 16 bits, other numbers a NumPy file (.npy); `confidence` is a further map.
    """
    kind = "npy" if values.dtype.kind == "f" else "png"
    said = {**said, "format": kind, "dtype": str(values.dtype), "shape": list(values.shape)}
    yield json.dumps(said)[:-1].encode()
    if confidence is not None:
        yield b', "confidence": '
        yield from encoded_map(confidence, {}, None)
    yield b', "data": "'
    file = BytesIO()
    if kind == "png":
        Image.fromarray(values).save(file, "PNG")
    else:
        np.save(file, values, allow_pickle=False)
    yield base64.b64encode(file.getbuffer())
    yield b'"}'

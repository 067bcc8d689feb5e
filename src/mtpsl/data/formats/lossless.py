"""Labels as the files of a `folder` data set, without loss: PNG for whole numbers, npy for others and several maps."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.formats import FORMATS
from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.formats.own_format import OwnFormat
from mtpsl.errors import UserError
from mtpsl.plugins import class_name

#: what these files say about the numbers in them, in place of what the source's files said
STORED: dict[str, Any] = {"ignore": 255, "scale": 1.0, "missing": "nan", "threshold": 0.5, "values": None}
#: the same of one kind only
OF_KIND: dict[str, dict[str, Any]] = {"regression": {"offset": 0.0}}


def describe(name: str, label_format: LabelFormat) -> dict[str, Any]:
    """The entry in dataset.yaml of a task whose files `LabelFormat.encode` makes: the same task, other numbers in them.

    Raises:
        UserError: such an entry cannot say what the source's format says.
    """
    if isinstance(label_format, OwnFormat):
        return {**describe(name, label_format.base), "type": class_name(label_format.cls), **label_format.options}
    kind = label_format.kind
    entry: dict[str, Any] = {} if kind == name else {"type": kind}
    for field in fields(FORMATS[kind]):  # type: ignore[arg-type]
        said = STORED | OF_KIND.get(kind, {})
        value = said[field.name] if field.name in said else getattr(label_format, field.name, field.default)
        if value is not MISSING and value != field.default:
            entry[field.name] = _plain(value)
    if entry.get("ignore") and kind == "segmentation" and _classes(entry) > STORED["ignore"]:
        entry["ignore"] = 65535
    again = FORMATS[kind](**{key: value for key, value in entry.items() if key != "type"}).task(name)
    if again.options() != label_format.task(name).options():
        raise UserError(f"task {name}: a dataset.yaml cannot say {label_format.task(name).options()}")
    return entry


def lossless_format(label_format: LabelFormat) -> LabelFormat:
    """The format that encodes labels of another one, and reads them; of one's own task that of its base.

    Raises:
        UserError: as `describe`.
    """
    base = label_format.base if isinstance(label_format, OwnFormat) else label_format
    return FORMATS[base.kind](**{key: x for key, x in describe(base.kind, base).items() if key != "type"})


def require_equal(
    label_format: LabelFormat, array: np.ndarray, path: Path, target: Tensor, valid: Bool[Tensor, "h w"]
) -> None:
    """Require that a label's file gives the label back to the bit.

    Raises:
        UserError: it does not.
    """
    again, known = label_format.decode(array, path)
    if not torch.equal(known, valid) or not torch.equal(again, target):
        raise UserError(f"{path}: this label cannot be stored as such a file without loss: convert with --to packed")


def _classes(entry: dict[str, Any]) -> int:
    classes = entry["classes"]
    return classes if isinstance(classes, int) else len(classes)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value

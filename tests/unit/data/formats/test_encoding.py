"""What `mtpsl convert --to folder` and `autolabel` write is read back as the label that it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from builders import label
from mtpsl.data.convert.writers import save
from mtpsl.data.formats import FORMATS
from mtpsl.data.formats.lossless import lossless_format

OPTIONS = {
    "segmentation": {"classes": 5, "ignore": 7},
    "multilabel": {"classes": ["a", "b", "c"]},
    "depth": {"scale": 0.001},
    "regression": {"channels": 2, "offset": 3.0},
}
"""Some say other numbers of their files than what is written says of its own."""


@pytest.mark.parametrize("kind", FORMATS)
def test_an_encoded_label_is_read_back_with_its_holes(kind: str, tmp_path: Path) -> None:
    source = FORMATS[kind](**OPTIONS.get(kind, {}))  # type: ignore[call-arg]
    task, size = source.task(kind), (9, 14)
    valid = torch.rand(size) > 0.4
    target = label(task, size)
    target = torch.where(valid.expand_as(target), target, torch.zeros_like(target))
    reader = lossless_format(source)
    path = tmp_path / f"label{reader.suffix}"
    save(path, reader.encode(target, valid))
    again, known = reader.read(path, size)
    assert torch.equal(again, target)
    assert torch.equal(known, valid)
    assert again.dtype == target.dtype

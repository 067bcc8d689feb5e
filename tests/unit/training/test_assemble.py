"""What a configuration opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from folder_sets import write_folder_set
from mtpsl.data import FolderDataset, MergedDataset, PackedDataset, convert_dataset
from mtpsl.errors import UserError
from mtpsl.training.assemble import open_split
from mtpsl.training.settings import DataSettings


def test_the_layout_is_recognized(tmp_path: Path) -> None:
    folder = write_folder_set(tmp_path / "set")
    convert_dataset(folder, tmp_path / "packed", progress=False)
    (tmp_path / "merged.yaml").write_text("size: [8, 16]\nsources: {a: {root: set}}")
    assert isinstance(open_split(DataSettings(root=str(folder)), "train", None), FolderDataset)
    assert isinstance(open_split(DataSettings(root=str(tmp_path / "packed")), "train", None), PackedDataset)
    assert isinstance(open_split(DataSettings(root=str(tmp_path / "merged.yaml")), "train", None), MergedDataset)
    (folder / "dataset.yaml").rename(tmp_path / "other.yaml")
    settings = DataSettings(root=str(folder), description=str(tmp_path / "other.yaml"))
    assert isinstance(open_split(settings, "train", None), FolderDataset)


def test_what_has_no_known_layout_is_missed_as_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent"):
        open_split(DataSettings(root=str(tmp_path / "absent")), "train", None)
    with pytest.raises(UserError, match="images should lie in <split>/image"):
        open_split(DataSettings(root=str(tmp_path)), "train", None)
    with pytest.raises(UserError, match="name that layout, or none"):
        open_split(DataSettings(name="packed", root=str(write_folder_set(tmp_path / "set"))), "train", None)


def test_a_named_layout_opens_what_was_converted_from_it(tmp_path: Path) -> None:
    for folder, shape in {"image": (4, 6, 3), "label": (4, 6), "depth": (4, 6, 1), "normal": (4, 6, 3)}.items():
        (tmp_path / "mtan" / "val" / folder).mkdir(parents=True)
        np.save(tmp_path / "mtan" / "val" / folder / "0.npy", np.zeros(shape))
    packed = tmp_path / "packed"
    convert_dataset(tmp_path / "mtan", packed, progress=False)
    for options in ({}, {"classes": 13}):
        dataset = open_split(DataSettings(name="nyuv2", root=str(packed), **options), "val", None)  # type: ignore[arg-type]
        assert isinstance(dataset, PackedDataset)
    with pytest.raises(UserError, match=r"was converted from nyuv2, not from nyud: give --data\.name packed"):
        open_split(DataSettings(name="nyud", root=str(packed)), "val", None)
    with pytest.raises(UserError, match=r"was converted with 13 classes, not the 40 of data\.classes"):
        open_split(DataSettings(name="nyuv2", classes=40, root=str(packed)), "val", None)

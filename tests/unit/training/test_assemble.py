"""What a configuration opens."""

from __future__ import annotations

from pathlib import Path

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

"""Which layout a folder has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from folder_sets import write_folder_set
from mtpsl.data import DATASETS, convert_dataset, recognize
from mtpsl.data.registry import layout_title, open_layout, other_layout, require_layout
from mtpsl.errors import UserError


@pytest.fixture
def mtan(tmp_path: Path) -> Path:
    """NYU-v2 as arrays: it has what `folder` looks for, too."""
    for split in ("train", "val"):
        for name, shape in {"image": (4, 6, 3), "label": (4, 6), "depth": (4, 6, 1), "normal": (4, 6, 3)}.items():
            (tmp_path / "mtan" / split / name).mkdir(parents=True)
            np.save(tmp_path / "mtan" / split / name / "0.npy", np.zeros(shape))
    return tmp_path / "mtan"


def test_descriptions_decide(tmp_path):
    folder = write_folder_set(tmp_path / "set")
    assert recognize(folder) == "folder"
    convert_dataset(folder, tmp_path / "packed", progress=False)
    assert recognize(tmp_path / "packed") == "packed"
    (tmp_path / "merged.yaml").write_text("size: [8, 16]\nsources: {a: {root: set}}")
    assert recognize(tmp_path) == recognize(tmp_path / "merged.yaml") == "merged"
    (folder / "dataset.yaml").unlink()
    assert recognize(folder) == "folder"
    assert recognize(tmp_path / "absent") is None
    assert recognize(folder / "train") is None
    assert recognize(folder / "train/image/000.png") is None


def test_a_more_specific_layout_wins_and_a_wrong_name_is_corrected(mtan):
    assert recognize(mtan) == "nyuv2"
    assert other_layout(mtan, "nyuv2") == ""
    for make in (
        lambda: open_layout("folder", mtan, "train"),
        lambda: open_layout("packed", mtan, "train"),
        lambda: open_layout("merged", mtan, "train"),
    ):
        with pytest.raises(UserError, match=r"it looks like a nyuv2 data set: name that layout, or none"):
            make()


def test_a_split_without_normals_does_not_make_it_cityscapes(mtan):
    (mtan / "val" / "normal" / "0.npy").unlink()
    (mtan / "val" / "normal").rmdir()
    assert recognize(mtan) == "nyuv2"


def test_a_description_elsewhere_means_a_folder(tmp_path):
    described = (write_folder_set(tmp_path / "set") / "dataset.yaml").rename(tmp_path / "described.yaml")
    (tmp_path / "set" / "train" / "label").mkdir()  # as in other layouts
    convert_dataset(tmp_path / "set", tmp_path / "out", description=described, progress=False)
    assert recognize(tmp_path / "out") == "packed"


def test_no_layout_takes_a_foreign_folder_for_its_own(tmp_path):
    (tmp_path / "src" / "package").mkdir(parents=True)
    (tmp_path / "src" / "package" / "module.py").write_text("")
    (tmp_path / "notes.txt").write_text("")
    for root in (tmp_path, tmp_path / "src", tmp_path / "notes.txt", tmp_path / "absent"):
        assert {name: DATASETS[name].find_splits(root) for name in DATASETS} == {name: [] for name in DATASETS}
    with pytest.raises(UserError, match=r"none of the known layouts \(folder, .*unpack the whole archive"):
        require_layout(tmp_path)
    with pytest.raises(UserError, match="there is no such folder"):
        require_layout(tmp_path / "absent")
    with pytest.raises(UserError, match=r"notes.txt: is a file: give the folder that holds the data set"):
        require_layout(tmp_path / "notes.txt")


@pytest.mark.parametrize("name", ["train", "Train", "valid", "test"])
def test_a_split_in_place_of_its_data_set_names_the_folder_above(tmp_path, name, monkeypatch):
    (tmp_path / name / "image").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / name)
    for root in (tmp_path / name, "."):
        with pytest.raises(UserError) as caught:
            require_layout(root)
        assert f"this is a split: give the folder that holds it, {tmp_path};" in str(caught.value)


def test_every_layout_says_what_it_is():
    for name in DATASETS:
        assert 20 < len(layout_title(name)) < 120, name


def test_options_that_a_layout_does_not_have_are_refused(tmp_path):
    folder = write_folder_set(tmp_path / "set")
    assert len(open_layout("folder", folder, "train", classes=None, description=None)) == 4
    with pytest.raises(UserError, match="classes does not apply to data set folder: leave it out"):
        open_layout("folder", folder, "train", classes=13)

"""What a configuration opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from folder_sets import write_folder_set
from mtpsl.data import FolderDataset, MergedDataset, PackedDataset, ShardsDataset, convert_dataset
from mtpsl.errors import UserError
from mtpsl.tasks import Depth, Segmentation, Task
from mtpsl.training.config import parse_config
from mtpsl.training.data import check_same_tasks, open_scored, open_split
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.from_here import from_here
from mtpsl.training.run_data import run_data


def test_edges_of_scores_are_those_of_a_layout_that_has_several(tmp_path: Path) -> None:
    write_folder_set(tmp_path, ("segmentation", "edges"), splits={"val": 1})
    settings = DataSettings(root=str(tmp_path), score_edges="seg2bmap")
    with pytest.raises(UserError, match=r"data.score_edges seg2bmap: .*\(folder\) has edges of one kind"):
        open_scored(settings, "val", None)


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


def test_a_window_belongs_to_shards(tmp_path: Path) -> None:
    folder = write_folder_set(tmp_path / "set")
    with pytest.raises(UserError, match=r"data\.window belongs to data sets in shards: .*set \(folder\) is none"):
        open_split(DataSettings(root=str(folder), window=2), "train", None)
    convert_dataset(folder, tmp_path / "shards", to="shards", progress=False)
    opened = open_split(DataSettings(root=str(tmp_path / "shards"), window=2), "train", None)
    assert opened.windows is not None
    assert opened.windows.window == 2


@pytest.mark.parametrize(("form", "layout"), [("packed", PackedDataset), ("shards", ShardsDataset)])
def test_a_named_layout_opens_what_was_converted_from_it(tmp_path: Path, form: Any, layout: type) -> None:
    for folder, shape in {"image": (4, 6, 3), "label": (4, 6), "depth": (4, 6, 1), "normal": (4, 6, 3)}.items():
        (tmp_path / "mtan" / "val" / folder).mkdir(parents=True)
        np.save(tmp_path / "mtan" / "val" / folder / "0.npy", np.zeros(shape))
    packed = tmp_path / form
    convert_dataset(tmp_path / "mtan", packed, to=form, progress=False)
    for options in ({}, {"classes": 13}):
        dataset = open_split(DataSettings(name="nyuv2", root=str(packed), **options), "val", None)  # type: ignore[arg-type]
        assert isinstance(dataset, layout)
    with pytest.raises(UserError, match=rf"was converted from nyuv2, not from nyud: give --data\.name {form}"):
        open_split(DataSettings(name="nyud", root=str(packed)), "val", None)
    with pytest.raises(UserError, match=r"segmentation has 13 classes, not 40: give --data\.classes 13, or convert"):
        open_split(DataSettings(name="nyuv2", classes=40, root=str(packed)), "val", None)
    with pytest.raises(UserError, match="segmentation has 13 classes, not 40"):
        open_split(DataSettings(classes=40, root=str(packed)), "val", None)


def test_a_converted_set_has_as_many_classes_as_the_named_layout_has_by_default(tmp_path: Path) -> None:
    for folder, shape in {"image": (4, 6, 3), "label_19": (4, 6), "depth": (4, 6, 1)}.items():
        (tmp_path / "mtan" / "val" / folder).mkdir(parents=True)
        np.save(tmp_path / "mtan" / "val" / folder / "0.npy", np.zeros(shape))
    convert_dataset(tmp_path / "mtan", tmp_path / "packed", classes=19, progress=False)
    with pytest.raises(UserError, match="segmentation has 19 classes, not 7"):
        open_split(DataSettings(name="cityscapes_mtan", root=str(tmp_path / "packed")), "val", None)


def test_built_in_scenes_have_no_root_and_two_splits() -> None:
    with pytest.raises(UserError, match=r"data\.root does not apply to the built-in scenes .* add --data\.name auto"):
        open_split(DataSettings(name="scenes", root="DATA"), "train", None)
    with pytest.raises(UserError, match="no split 'test': there are train, val"):
        open_split(DataSettings(name="scenes"), "test", None)


def test_paths_of_a_run_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = parse_config(["--data.name", "pascal", "--data.root", "P", "--data.label_cache", "kept"], {})
    data = from_here(config).data
    assert (data.root, data.label_cache) == (str(tmp_path / "P"), str(tmp_path / "kept"))


@pytest.mark.parametrize(
    ("ours", "theirs", "named"),
    [
        (Segmentation(num_classes=7), Segmentation(num_classes=19), "num_classes 19"),
        (
            Segmentation(num_classes=2, class_names=["a", "b"]),
            Segmentation(num_classes=2, class_names=["b", "a"]),
            "class_names",
        ),
        (Depth(), Depth(unit="km"), "unit 'km'"),
        (Depth(unit="m"), Depth(unit="m", inverse=True), "inverse True"),
    ],
)
def test_labels_that_mean_something_else_are_not_scored(ours: Task, theirs: Task, named: str) -> None:
    with pytest.raises(UserError, match=named):
        check_same_tasks([ours], {ours.name: theirs}, "DATA")
    check_same_tasks([ours], {ours.name: ours}, "DATA")


@pytest.mark.parametrize("form", ["folder", "packed", "merged"])
def test_images_without_any_label_are_refused_left_out_or_kept(tmp_path: Path, form: str) -> None:
    folder = write_folder_set(tmp_path / "set")
    for task in ("segmentation", "depth", "normals", "edges"):
        for label in (folder / "train" / task).glob("000.*"):
            label.unlink()
    if form == "packed":
        convert_dataset(folder, folder := tmp_path / "packed", progress=False)
    if form == "merged":
        (folder / "merged.yaml").write_text(f"size: [32, 64]\nsources: {{one: {{root: {folder}, layout: folder}}}}")
    settings = {"data.root": str(folder), "data.size": "[32,64]"}
    words = [word for name, value in settings.items() for word in (f"--{name}", value)]
    with pytest.raises(UserError, match=r"image '(one/)?000' has no label of .* --data\.unlabelled skip, .* keep"):
        run_data(parse_config([*words, "--data.unlabelled", "refuse"], {}))
    kept = run_data(parse_config([*words, "--data.unlabelled", "keep"], {})).train.keys
    left = run_data(parse_config([*words, "--data.unlabelled", "skip", "--data.limit", "2"], {})).train.keys
    kept, left = ([key.removeprefix("one/") for key in keys] for keys in (kept, left))
    assert "000" in kept
    assert len(left) == 2
    assert "000" not in left
    with pytest.raises(UserError, match=r"data\.limit should be between 1 and 3"):
        run_data(parse_config([*words, "--data.unlabelled", "skip", "--data.limit", "4"], {}))


def test_a_task_without_any_training_label_can_be_left_out(tmp_path: Path) -> None:
    root = write_folder_set(tmp_path / "set", ["segmentation", "edges"], size=(8, 8))
    for path in (root / "train" / "edges").iterdir():
        path.unlink()
    words = ["--data.root", str(root), "--data.unlabelled", "skip", "--data.size", "8,8"]
    with pytest.raises(UserError, match=r"no image may show a label of task 'edges': .* --tasks segmentation"):
        run_data(parse_config(words, {}))
    for regime in ("full", "one", "random"):
        data = run_data(parse_config([*words, "--tasks", "segmentation", "--data.regime", regime], {}))
        assert [task.name for task in data.tasks] == ["segmentation"]
        assert data.train.mask[:, 0].all()


def test_images_without_any_label_are_skipped_with_a_note_in_data_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder_set(tmp_path / "set", splits={"train": 5, "val": 2})
    for task in ("segmentation", "depth", "normals", "edges"):
        for label in (folder / "train" / task).glob("00[03].*"):
            label.unlink()
    words = ["--data.root", str(folder), "--data.size", "32,64"]
    data = run_data(parse_config(words, {}))
    assert data.train.keys == ["001", "002", "004"]
    (note,) = data.notes
    assert note.startswith("2 of 5 training images have no label of any task and are skipped")
    assert not run_data(parse_config([*words, "--data.unlabelled", "keep"], {})).notes
    semi = run_data(parse_config([*words, "--data.regime", "semi", "--data.share", "0.6"], {}))
    assert len(semi.train) == 5
    monkeypatch.setattr(FolderDataset, "own", False)  # as published sets are
    with pytest.raises(UserError, match=r"image '000' \(and 1 more\) has no label"):
        run_data(parse_config(words, {}))


def test_the_options_of_splits_are_named_where_none_has_such_a_name(tmp_path: Path) -> None:
    folder = write_folder_set(tmp_path / "set")
    (folder / "val").rename(folder / "test")
    (folder / "train").rename(folder / "Training")
    words = ["--data.root", str(folder), "--data.size", "32,64"]
    with pytest.raises(UserError, match=r"no split 'val': there are Training, test: name .* with --data\.val_split$"):
        run_data(parse_config(words, {}))
    data = run_data(parse_config([*words, "--data.val_split", "test"], {}))
    assert (len(data.train), len(data.validation)) == (4, 2)

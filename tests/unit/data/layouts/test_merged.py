"""Merged sets: whose labels an image has, what is drawn in an epoch, and which descriptions are refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from builders import needs_shared
from folder_sets import assert_same_sample, write_folder_set
from mtpsl.data import EpochSampler, FolderDataset, MergedDataset, PartialDataset, convert_dataset, make_loader
from mtpsl.data.registry import open_layout
from mtpsl.data.shares import Shares
from mtpsl.errors import UserError

BENCHMARK = Path(__file__).parents[4] / "benchmarks" / "data" / "merged.yaml"
CONTENT: dict[str, Any] = {
    "name": "both",
    "size": [8, 16],
    "sources": {
        "streets": {"root": "streets", "tasks": ["segmentation", "edges"], "share": 0.5},
        "rooms": {"root": "rooms", "splits": {"train": "fit", "val": "val"}, "tasks": ["depth", "normals"], "share": 1},
    },
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_folder_set(tmp_path / "streets", splits={"train": 3, "val": 2})
    write_folder_set(tmp_path / "rooms", splits={"fit": 6, "val": 2, "extra": 1}, size=(14, 10), seed=1)
    return write(tmp_path, CONTENT)


def write(root: Path, content: Any) -> Path:
    (root / "merged.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return root


def changed(source: str, **entries: Any) -> dict[str, Any]:
    """The description with other entries of one source; None removes one."""
    sources = {name: dict(entry) for name, entry in CONTENT["sources"].items()}
    sources[source] = {key: value for key, value in (sources[source] | entries).items() if value is not None}
    return {**CONTENT, "sources": sources}


def test_every_image_has_the_labels_of_its_source(root):
    merged = MergedDataset(root, "train")
    assert merged.name == "both"
    assert [*merged.tasks] == ["segmentation", "edges", "depth", "normals"]
    streets = FolderDataset(root / "streets", "train", size=(8, 16), tasks=["segmentation", "edges"])
    rooms = FolderDataset(root / "rooms", "fit", size=(8, 16), tasks=["depth", "normals"])
    assert merged.keys == [f"streets/{key}" for key in streets.keys] + [f"rooms/{key}" for key in rooms.keys]
    assert merged.available[:3].tolist() == [[*row, False, False] for row in streets.available.tolist()]
    assert merged.available[3:].tolist() == [[False, False, *row] for row in rooms.available.tolist()]
    for index in range(9):
        sample = merged[index]
        source = streets[index] if index < 3 else rooms[index - 3]
        assert sample.key.split("/")[1] == source.key
        assert_same_sample(type(source)(sample.key, source.image, source.targets, source.valid), sample)
        assert sample.image.shape == (3, 8, 16)


def test_tasks_size_and_the_file_can_be_chosen(root):
    merged = MergedDataset(root / "merged.yaml", "val", size=(4, 6), tasks=["depth", "segmentation"])
    assert [*merged.tasks] == ["segmentation", "depth"]
    assert merged[3].image.shape == (3, 4, 6)
    assert MergedDataset.find_splits(root) == MergedDataset.find_splits(root / "merged.yaml") == ["train", "val"]
    with pytest.raises(UserError, match=r"unknown task 'saliency': .* have segmentation, edges, depth, normals"):
        MergedDataset(root, "val", tasks=["saliency"])
    with pytest.raises(UserError, match="no source has a split 'test': there are train, val"):
        MergedDataset(root, "test")


def test_a_split_may_be_missing_in_a_source(root):
    write(root, changed("rooms", splits={"train": "extra", "test": "val"}))
    assert MergedDataset.find_splits(root) == ["train", "val", "test"]
    assert [key.split("/")[0] for key in MergedDataset(root, "val").keys] == ["streets"] * 2
    assert [key.split("/")[0] for key in MergedDataset(root, "test").keys] == ["rooms"] * 2


def test_sources_may_call_their_splits_by_other_names(tmp_path):
    """A source whose `valid` is not `val` to the letter would be left out of validation in silence."""
    write_folder_set(tmp_path / "a")
    write_folder_set(tmp_path / "b")
    (tmp_path / "merged.yaml").write_text("size: [8, 12]\nsources: {a: {root: a}, b: {root: b}}")
    (tmp_path / "b/val").rename(tmp_path / "b/valid")
    assert MergedDataset(tmp_path, "val").keys == ["a/000", "a/001", "b/000", "b/001"]


def test_an_epoch_draws_each_source_by_its_share(root):
    merged = MergedDataset(root, "train")
    loader = make_loader(PartialDataset(merged, merged.available), specs(merged), batch_size=2, shuffle=True, seed=3)
    seen: Counter[str] = Counter()
    orders = []
    for epoch in range(6):
        loader.sampler.set_epoch(epoch)
        orders.append([key for batch in loader for key in batch.keys])
        # 9 images in shares of 1/3 and 2/3
        assert Counter(key.split("/")[0] for key in orders[-1]) == {"streets": 3, "rooms": 6}
        seen.update(orders[-1])
    assert {*seen} == {*merged.keys}
    assert orders[0] != orders[1]
    loader.sampler.set_epoch(0)
    assert [key for batch in loader for key in batch.keys] == orders[0]


def specs(dataset) -> dict:
    return {name: task.target_spec for name, task in dataset.tasks.items()}


def test_a_small_source_is_repeated_and_a_large_one_rotates():
    shares = Shares(torch.tensor([0] * 4 + [1] * 20), [1, 1])
    sampler = EpochSampler(24, shuffle=True, seed=1, shares=shares)
    seen: set[int] = set()
    for epoch in range(8):
        sampler.set_epoch(epoch)
        counts = Counter(sampler)
        assert [counts[index] for index in range(4)] == [3] * 4
        large = {index for index in counts if index >= 4}
        assert len(large) == 12
        assert all(counts[index] == 1 for index in large)
        seen |= large
    assert seen == {*range(4, 24)}
    parts = [EpochSampler(24, shuffle=True, seed=1, shares=shares, rank=rank, world_size=2) for rank in range(2)]
    assert Counter([*parts[0], *parts[1]]) == Counter(EpochSampler(24, shuffle=True, seed=1, shares=shares))


def test_images_that_are_left_out_take_no_share():
    shares = Shares(torch.tensor([0, 0, 1, 1, 1, 2]), [1, 8, 1]).subset([0, 1, 5])
    assert sorted(shares.draw(torch.Generator()).tolist()) in ([0, 1, 2], [0, 2, 2], [1, 2, 2])
    only = Shares(torch.tensor([0, 0, 1, 1]), [1, 5]).subset([0, 1])
    assert sorted(only.draw(torch.Generator()).tolist()) == [0, 1]


def test_evaluation_and_sets_without_shares_take_every_image_once(root):
    merged = MergedDataset(root, "train")
    loader = make_loader(PartialDataset(merged, merged.available), specs(merged), batch_size=9, shuffle=False)
    assert [*next(iter(loader)).keys] == merged.keys
    content = {**CONTENT, "sources": {name: {**one, "share": None} for name, one in CONTENT["sources"].items()}}
    write(root, content)
    merged = MergedDataset(root, "train")
    assert merged.shares is None
    loader = make_loader(PartialDataset(merged, merged.available), specs(merged), batch_size=9, shuffle=True)
    assert sorted(next(iter(loader)).keys) == sorted(merged.keys)


def test_a_task_that_two_sources_have_must_mean_the_same(root, tmp_path):
    write(root, changed("rooms", tasks=["segmentation", "depth"]))
    merged = MergedDataset(root, "train")
    assert [*merged.tasks] == ["segmentation", "edges", "depth"]
    assert merged.available[:, 0].any()
    assert merged.available[3:, 0].any()
    write_folder_set(
        root / "rooms", splits={"fit": 6}, size=(14, 10), segmentation={"classes": ["floor", "wall", "lamp"]}
    )
    with pytest.raises(UserError, match=r"streets and rooms disagree about task segmentation: class_names is .*lamp"):
        MergedDataset(root, "train")


def test_sources_may_have_any_layout_and_a_description_elsewhere(root):
    convert_dataset(root / "rooms", root / "packed", progress=False)
    (root / "streets/dataset.yaml").rename(root / "streets.yaml")
    before = MergedDataset(write(root, changed("streets", description="streets.yaml")), "train")
    write(
        root,
        {
            **CONTENT,
            "sources": {
                "streets": {**CONTENT["sources"]["streets"], "description": "streets.yaml"},
                "rooms": {**CONTENT["sources"]["rooms"], "root": "packed"},
            },
        },
    )
    after = MergedDataset(root, "train")
    for index in range(len(before)):
        assert_same_sample(before[index], after[index])


WRONG: dict[str, tuple[Any, str]] = {
    "no mapping": ([1], "a merged set should have the keys name, size, sources"),
    "an unknown key": ({**CONTENT, "shares": 1}, "a merged set has the unknown key 'shares'"),
    "no size": ({**CONTENT, "size": None}, "`size` should be a height and a width"),
    "no source": ({**CONTENT, "sources": {}}, "`sources` should name at least one"),
    "a strange name": ({**CONTENT, "sources": {"a/b": {"root": "rooms"}}}, "source 'a/b' should have a name of"),
    "no root": (changed("rooms", root=None), "`root` of source rooms should be a text"),
    "an unknown entry": (changed("rooms", path="x"), "source rooms has the unknown key 'path'"),
    "a share of nothing": (changed("rooms", share=0), "`share` of source rooms should be a positive number"),
    "a share for one only": (
        changed("rooms", share=None),
        "`share` should be given for every source or for none: rooms",
    ),
    "tasks in one word": (changed("rooms", tasks="depth"), "`tasks` of source rooms should be a list"),
    "splits in numbers": (changed("rooms", splits={"train": 1}), "`splits` of source rooms should map names"),
    "an absent folder": (changed("rooms", root="absent"), "absent: there is no such folder"),
    "an absent split": (changed("rooms", splits={"train": "absent"}), "no split 'absent'"),
    "an unknown layout": (changed("rooms", layout="folders"), "layout 'folders' is unknown"),
    "an absent task": (changed("rooms", tasks=["saliency"]), "unknown task 'saliency'"),
    "a folder for another layout": (
        changed("rooms", label_cache="kept"),
        "label_cache does not apply to data set folder",
    ),
    "an option of another layout": (changed("rooms", classes=13), "classes does not apply to data set folder"),
    "itself": (changed("rooms", root="."), "should not be merged itself"),
    "itself, whatever its splits": (changed("rooms", root=".", splits=None), "should not be merged itself"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_description_is_refused_in_one_line(root, name):
    content, message = WRONG[name]
    with pytest.raises(UserError) as caught:
        MergedDataset(write(root, content), "train")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_text_that_yaml_takes_for_an_impossible_date_is_named(root):
    (root / "merged.yaml").write_text("name: 2024-02-30\n" + (root / "merged.yaml").read_text())
    with pytest.raises(UserError, match=r"merged\.yaml: is not YAML: day is out of range"):
        MergedDataset(root, "train")


def test_what_is_no_merged_set_is_named(root):
    with pytest.raises(UserError, match=r"it looks like a folder data set: name that layout, or none"):
        open_layout("merged", root / "rooms", "fit")
    with pytest.raises(UserError, match="give the YAML file that lists the sources"):
        MergedDataset(root / "absent", "fit")
    (root / "merged.yaml").write_text("sources: [")
    with pytest.raises(UserError, match="is not YAML"):
        MergedDataset(root, "fit")


def test_a_merged_set_is_not_converted_as_a_whole(root, tmp_path):
    with pytest.raises(UserError, match=r"convert its sources, and name the converted sets in merged\.yaml"):
        convert_dataset(root / "merged.yaml", tmp_path.parent / f"{tmp_path.name}-out", progress=False)


@needs_shared
def test_the_benchmarks_merged_set_has_four_tasks_and_half_of_each_source():
    merged = MergedDataset(BENCHMARK, "train")
    assert dict(zip(merged.tasks, merged.available.sum(0).tolist(), strict=True)) == {
        "segmentation": 367,
        "edges": 367,
        "depth": 552,
        "normals": 552,
    }
    assert merged.shares is not None
    drawn = merged.shares.draw(torch.Generator().manual_seed(0))
    assert len(drawn) == 919
    assert abs(int((drawn < 367).sum()) - 919 / 2) < 1
    assert [*merged[0].targets] == ["segmentation", "edges"]
    assert [*merged[918].targets] == ["depth", "normals"]
    assert merged[0].image.shape == merged[918].image.shape == (3, 96, 128)

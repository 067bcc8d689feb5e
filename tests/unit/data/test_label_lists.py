"""Lists of labels: published files, CSV and YAML; nothing in them is executed, whatever is wrong is one line."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from builders import SHARED, needs_shared
from mtpsl.data.label_lists import describe_split, numeric_order, read_split
from mtpsl.errors import UserError
from mtpsl.training.config import RunConfig
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.run_data import run_data
from mtpsl.training.settings import TrainingSettings

LISTS = {"segmentation": ["b", "c"], "depth": ["a", "b"]}
MASK = [[False, True], [True, True], [True, False], [False, False]]  # of a, b, c, d


def write(path: Path, content: object) -> Path:
    """Write a split file of the kind that the suffix says."""
    if path.suffix == ".pth":
        torch.save(content, path)
    elif path.suffix == ".npy":
        np.save(path, content, allow_pickle=True)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def weights(rows: list[list[float]], **more: object) -> dict[str, object]:
    return {"labels_weights": torch.tensor(rows), **more}


@needs_shared
@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("cityscapes/onelabel.pth", {"segmentation": 1487, "depth": 1488}),
        ("nyuv2/onelabel.pth", {"segmentation": 265, "depth": 265, "normals": 265}),
        ("nyuv2/randomlabels.pth", {"segmentation": 392, "depth": 408, "normals": 385}),
        (
            "pascal/onelabel.npy",
            {"segmentation": 1000, "human_parts": 999, "normals": 1000, "saliency": 1000, "edges": 999},
        ),
        (
            # the paper prints 2553 for human parts
            "pascal/randomlabels.npy",
            {"segmentation": 2450, "human_parts": 847, "normals": 2480, "saliency": 2445, "edges": 2557},
        ),
    ],
)
def test_the_published_files_have_the_counts_of_the_paper(file, counts):
    """Table 8 of the paper."""
    assert describe_split(SHARED / "splits" / file) == counts


@needs_shared
@pytest.mark.parametrize("name", ["onelabel", "randomlabels"])
def test_pickled_names_are_those_that_numpy_reads(name):
    path = SHARED / "splits" / "pascal" / f"{name}.npy"
    lists = np.load(path, allow_pickle=True).item()
    split = read_split(path)
    assert len(split.keys) == 4998
    for theirs, ours in {"semseg": "segmentation", "sal": "saliency", "edge": "edges", "normals": "normals"}.items():
        column = split.labels[:, split.tasks.index(ours)].tolist()
        assert {key for key, labelled in zip(split.keys, column, strict=True) if labelled} == {*map(str, lists[theirs])}


@needs_shared
def test_a_row_of_a_published_file_belongs_to_the_image_of_that_number():
    split = read_split(SHARED / "splits" / "nyuv2" / "randomlabels.pth")
    stored = torch.load(split.path, weights_only=True)["labels_weights"].bool()
    keys = sorted(str(number) for number in range(795))  # as a folder lists 0.npy, 1.npy, 10.npy, ...
    mask = split.mask(keys, ["normals", "segmentation", "depth"])
    for place in (0, 1, 2, 100, 794):
        assert mask[place].tolist() == stored[int(keys[place])][[2, 0, 1]].tolist()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.csv", "key,depth,segmentation\na,1,0\nb,1,1\nc,0,1\nd,0,0\n"),
        ("list.csv", "\ufeffkey, depth, segmentation\r\nd,0,0\r\n\r\nb, 1,1\r\na,1,0\r\nc,0,1\r\n"),
        ("list.yaml", LISTS),
        ("list.yml", "segmentation: [b, c]\ndepth: [b, a, b]\n"),
        ("list.pth", weights([[0, 1], [1, 1], [1, 0], [0, 0]])),
        ("list.pth", weights([[1.0, 0.0], [1, 1], [0, 1], [0, 0]], tasks=["depth", "segmentation"])),
        ("list.npy", {"semseg": ["b", "c"], "depth": ["a", "b"]}),
        ("list.npy", {"semseg": [np.str_("b"), np.str_("c")], "depth": {"a", "b"}}),
        ("list.npy", {"semseg": np.array(["b", "c"]), "depth": np.array(["a", "b"], dtype=">U3")}),
        ("list.npy", {np.str_("segmentation"): np.array(["b", "c"], dtype=object), "depth": ("b", "a")}),
    ],
)
def test_every_form_says_the_same(name, content, tmp_path):
    split = read_split(write(tmp_path / name, content))
    assert split.mask(["a", "b", "c", "d"], ["segmentation", "depth"]).tolist() == MASK
    assert split.mask(["d", "c", "b", "a"], ["depth", "segmentation"]).flip(1).tolist() == MASK[::-1]


def test_files_pickled_by_an_older_numpy_are_read(tmp_path):
    path = write(tmp_path / "list.npy", {"semseg": [np.str_("2008_000008")]})
    content = path.read_bytes()
    old = pickle.dumps(np.array({"semseg": [np.str_("2008_000008")]}, dtype=object), protocol=3)
    path.write_bytes(content[:128] + old.replace(b"numpy._core", b"numpy.core"))
    assert read_split(path).keys == ("2008_000008",)


def test_names_that_look_like_numbers_stay_names(tmp_path):
    path = write(tmp_path / "list.yaml", "depth: [010, 2008_000008, 1e3, on, 2020-01-01]")
    assert read_split(path).keys == ("010", "1e3", "2008_000008", "2020-01-01", "on")


def test_images_are_ordered_by_number_only_where_all_names_are_numbers():
    assert numeric_order(["10", "9", "1"]) == ["1", "9", "10"]
    assert numeric_order(["010", "009", "1"]) == ["1", "009", "010"]
    assert numeric_order(["10", "9", "x"]) == ["10", "9", "x"]


class Evil:
    """Makes a folder when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.mark,)


@pytest.mark.parametrize("name", ["list.npy", "list.pth"])
def test_a_pickle_executes_nothing(name, tmp_path):
    mark = tmp_path / "executed"
    for content in (Evil(mark), {"depth": [Evil(mark)]}, {"depth": ["a"], Evil: ["b"]}, {"labels_weights": Evil(mark)}):
        path = write(tmp_path / name, content)
        with pytest.raises(UserError, match=name) as error:
            read_split(path)
        assert "\n" not in str(error.value)
        assert "weights_only" not in str(error.value)  # torch would advise to switch it off
    assert not mark.exists()
    for kind in ("eval", "getattr", "__import__"):
        path = tmp_path / "list.npy"
        np.save(path, np.array({}, dtype=object), allow_pickle=True)
        path.write_bytes(path.read_bytes()[:128] + f"cbuiltins\n{kind}\n(S'1'\ntR.".encode())
        with pytest.raises(UserError, match=f"builtins.{kind}"):
            read_split(path)


def test_a_yaml_file_executes_nothing(tmp_path):
    mark = tmp_path / "executed"
    path = write(tmp_path / "list.yaml", f"!!python/object/apply:os.mkdir ['{mark}']")
    with pytest.raises(UserError, match=r"list\.yaml"):
        read_split(path)
    write(path, f"depth: !!python/object/apply:os.mkdir ['{mark}']")
    assert read_split(path).keys == (str(mark),)  # to this loader, a list with one name
    assert not mark.exists()


def test_a_pickle_cannot_change_the_reader(tmp_path):
    """Pickles may set attributes; these set some of numpy's names."""
    path = tmp_path / "list.npy"
    np.save(path, np.array({}, dtype=object), allow_pickle=True)
    head = path.read_bytes()[:128]
    for name in ("numpy\ndtype", "numpy\nndarray", "numpy.core.multiarray\nscalar"):
        for state in (b"}S'text'\nNs", b"(N}S'text'\nNst", b"(N}S'__new__'\nNst"):
            path.write_bytes(head + b"c" + name.encode() + b"\n" + state + b"b.")
            with pytest.raises(UserError, match="damaged or foreign"):
                read_split(path)
    write(path, {"depth": [np.str_("a")]})
    assert read_split(path).keys == ("a",)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("list.txt", "a", r"one of \.csv, .*not \.txt"),
        ("list.csv", "", "first line should be `key`"),
        ("list.csv", "key;depth\na;1\n", "first line should be `key`"),
        ("list.csv", "image,depth\na,1\n", "first line should be `key`"),
        ("list.csv", "key,depth,depth\na,1,1\n", "first line should be `key`"),
        ("list.csv", "key,depth\na,1\nb,2\n", "line 3: should be an image's name and 1 times 0 or 1"),
        ("list.csv", "key,depth\na\n", "line 2: should be"),
        ("list.csv", "key,depth\na,1\na,0\n", "line 3: image 'a' is listed twice"),
        ("list.csv", 'key,"de\npth"\na,1\n', "not the name of a task"),
        ("list.csv", b"key,depth\n\xff,1\n", "damaged or foreign"),
        ("list.yaml", "[a, b]", "should hold `task"),
        ("list.yaml", "depth: a", "list of image names"),
        ("list.yaml", "depth: &x [*x]", "damaged or foreign"),
        ("list.yaml", "depth: {a: 1}", "list of image names"),
        ("list.yaml", "{}", "at least one task"),
        ("list.yaml", "a: [", "damaged or foreign"),
        ("list.yaml", "[" * 500, "damaged or foreign"),
        ("list.pth", {"weights": 1}, "labels_weights"),
        ("list.pth", [1], "labels_weights"),
        ("list.pth", weights([[0.5, 1]]), "of 0 and 1"),
        ("list.pth", weights([[float("nan"), 1]]), "of 0 and 1"),
        ("list.pth", {"labels_weights": torch.ones(3)}, "labels_weights"),
        ("list.pth", weights([[1, 1, 1, 1]]), "4 columns: name them"),
        ("list.pth", weights([[1, 1]], tasks=["depth", "depth"]), "name them"),
        ("list.pth", weights([[1, 1]], tasks=["depth"]), "name them"),
        ("list.pth", weights([[1, 1]], tasks=2), "name them"),
        ("list.npy", np.ones(3), "damaged or foreign"),
        ("list.npy", [1, 2], "damaged or foreign"),
        ("list.npy", {1: ["a"]}, "dictionary of tasks"),
        ("list.npy", {"depth": [1]}, "list of image names"),
        ("list.npy", {"depth": np.ones(3)}, "damaged or foreign"),
        ("list.npy", {"depth": "a"}, "list of image names"),
        ("list.npy", {}, "at least one task"),
    ],
)
def test_what_is_no_list_is_one_line_that_names_the_file(name, content, named, tmp_path):
    path = write(tmp_path / name, content)
    with pytest.raises(UserError, match=named) as error:
        read_split(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["list.pth", "list.npy", "list.csv"])
def test_a_truncated_or_missing_file_is_named(name, tmp_path):
    path = tmp_path / name
    with pytest.raises(UserError, match=f"{name}: there is no such file"):
        read_split(path)
    write(path, {"list.pth": weights([[1, 1]]), "list.npy": LISTS, "list.csv": 'key,depth\n"a,1\n'}[name])
    for size in (0, 5, path.stat().st_size // 2):
        path.write_bytes(path.read_bytes()[:size] if size else b"")
        with pytest.raises(UserError, match=name):
            read_split(path)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("list.pth", weights([[1, 1], [1, 0]]), "lists 2 images, but the training split has 4"),
        ("list.csv", "key,segmentation,depth\na,1,0\n", "lists 1 images, but the training split has 4"),
        ("list.yaml", {**LISTS, "depth": ["a", "x", "y"]}, r"image 'x' \(and 1 more\) is not .* as 'a'"),
        ("list.yaml", {"segmentation": ["a"]}, r"nothing of task 'depth', only .*--data.tasks segmentation"),
        ("list.yaml", {**LISTS, "edges": ["a"]}, r"task 'edges' is not .*--data.tasks segmentation,depth"),
        ("list.yaml", {"edges": ["a"]}, "says nothing of task 'segmentation', only of edges: add it$"),
    ],
)
def test_a_list_that_does_not_fit_the_data_set_says_why(name, content, named, tmp_path):
    split = read_split(write(tmp_path / name, content))
    with pytest.raises(UserError, match=named) as error:
        split.mask(["a", "b", "c", "d"], ["segmentation", "depth"])
    assert str(error.value).startswith(str(split.path))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve images named 0 to 11; number 7 has no depth."""
    for split, count in (("train", 12), ("val", 1)):
        for kind in ("image", "segmentation", "depth"):
            folder = tmp_path / "data" / split / kind
            folder.mkdir(parents=True)
            for number in range(count):
                if (kind, number) != ("depth", 7):
                    values = np.ones((4, 4, 3) if kind == "image" else (4, 4), np.uint8)
                    Image.fromarray(values).save(folder / f"{number}.png")
    described = {"name": "few", "tasks": {"segmentation": {"classes": 3}, "depth": {}}}
    (tmp_path / "data" / "dataset.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    return tmp_path / "data"


def few(data: Path, *, run: list[str] | None = None, **options: object) -> RunConfig:
    return RunConfig(DataSettings(root=str(data), **options), TrainingSettings(), "segnet", {}, "supervised", {}, run)


def test_a_run_uses_the_listed_labels_that_exist_and_keeps_images_without(data, tmp_path):
    rows = [[0, 1] if number in (2, 7, 10) else [1, 0] if number in (0, 10, 11) else [0, 0] for number in range(12)]
    path = str(write(tmp_path / "list.pth", weights(rows)))
    train = run_data(few(data, regime="file", labels=path)).train
    labelled = {key: row for key, row in zip(train.keys, train.mask.tolist(), strict=True) if any(row)}
    assert labelled == {"0": [True, False], "11": [True, False], "2": [False, True], "10": [False, True]}
    assert len(train) == 12
    # an image whose labels belong to tasks outside of the run is left out, as in every regime
    train = run_data(few(data, run=["depth"], regime="file", labels=path)).train
    assert {*train.keys} == {str(number) for number in range(12)} - {"0", "11"}


def test_a_limit_chooses_images_first(data, tmp_path):
    rows = [[number % 2, 1 - number % 2] for number in range(12)]
    path = str(write(tmp_path / "list.pth", weights(rows)))
    train = run_data(few(data, regime="file", labels=path, limit=5, label_seed=1)).train
    assert train.keys == run_data(few(data, regime="full", limit=5, label_seed=1)).train.keys
    assert train.mask.tolist() == [[int(key) % 2 == 1, int(key) % 2 == 0] for key in train.keys]


def test_a_list_that_leaves_a_task_without_labels_is_named(data, tmp_path):
    path = write(tmp_path / "list.yaml", {"segmentation": ["0"], "depth": ["7"]})
    with pytest.raises(UserError, match=r"task 'depth' has no label left .*list\.yaml"):
        run_data(few(data, regime="file", labels=str(path)))


def test_tasks_that_are_not_wanted_may_be_in_the_list(data, tmp_path):
    path = write(tmp_path / "list.pth", weights([[1, 1, 1]] * 12))
    with pytest.raises(UserError, match=r"task 'normals' .*--data.tasks segmentation,depth"):
        run_data(few(data, regime="file", labels=str(path)))
    names = ["depth", "segmentation"]
    assert run_data(few(data, regime="file", labels=str(path), tasks=names)).train.mask.sum(0).tolist() == [12, 11]


def test_a_ratio_follows_the_order_of_the_option_not_that_of_the_description(data):
    mask = run_data(few(data, regime="ratio", ratio=[3, 1], tasks=["depth", "segmentation"])).train.mask
    assert mask.sum(0).tolist() == [3, 9]

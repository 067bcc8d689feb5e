import math
import os

import numpy as np
import pytest
import torch
from PIL import Image

from builders import SHARED, needs_shared
from mtpsl.data.label_lists import read_split
from mtpsl.data.partial import PartialDataset
from mtpsl.data.published import pascal as pascal_module
from mtpsl.data.published.pascal import PascalContext
from mtpsl.data.published.pascal_labels import human_parts
from mtpsl.data.regimes import label_mask
from mtpsl.data.registry import recognize
from mtpsl.errors import UserError
from mtpsl.structures import Batch
from pascal_tree import PERSON, box, save_context, save_parts, save_png, thing, write_image, write_pascal

TASKS = ["segmentation", "human_parts", "normals", "saliency", "edges"]
SIZE = (2, 4)


@pytest.fixture
def tree(tmp_path):
    return write_pascal(tmp_path / "PASCAL_MT")


@pytest.fixture
def counted(monkeypatch):
    """The names of the .mat files that were opened for parts or edges."""
    opened = []

    def count(derive):
        return lambda path: (opened.append(f"{path.parent.name}/{path.stem}"), derive(path))[1]

    for name, function in list(pascal_module.DERIVED.items()):
        monkeypatch.setitem(pascal_module.DERIVED, name, count(function))
    return opened


def one_image(root):
    """Every number of one image chosen by hand."""
    write_image(root, "a", SIZE)
    (root / "ImageSets" / "Context").mkdir(parents=True)
    (root / "ImageSets" / "Context" / "train.txt").write_text("a\n")
    save_png(root / "semseg" / "VOC12" / "a.png", np.array([[0, 1, 15, 255], [20, 255, 0, 7]]), palette=True)
    head = box(SIZE, 0, 0, 1, 2)
    save_parts(
        root / "human_parts" / "a.mat", [thing(PERSON, head, [("head", head), ("rfoot", box(SIZE, 1, 3, 2, 4))])]
    )
    normals = np.zeros((*SIZE, 3))
    normals[0] = [(255, 128, 128), (0, 127, 127), (128, 255, 128), (128, 128, 0)]
    normals[1] = [(0, 0, 0), (218, 218, 128), (128, 128, 255), (255, 128, 128)]
    save_png(root / "normals_distill" / "a.png", normals)
    save_png(root / "sal_distill" / "a.png", np.array([[0, 127, 128, 255], [1, 200, 100, 129]]))
    save_context(root / "pascal-context" / "trainval" / "a.mat", np.array([[284, 284, 158, 158], [284, 284, 158, 360]]))
    return PascalContext(root, "train")


def test_every_number_means_what_the_release_says(tmp_path):
    sample = one_image(tmp_path)[0]
    assert [*sample.targets] == TASKS
    assert sample.targets["segmentation"].tolist() == [[0, 1, 15, 0], [20, 0, 0, 7]]
    assert sample.valid["segmentation"].tolist() == [[True, True, True, False], [True, False, True, True]]
    assert sample.targets["human_parts"].tolist() == [[1, 1, 0, 0], [0, 0, 0, 6]]
    assert sample.valid["human_parts"].all()
    assert sample.targets["saliency"].tolist() == [[[0, 0, 1, 1], [0, 1, 0, 1]]]
    assert sample.valid["saliency"].all()
    assert sample.valid["edges"].all()
    assert sample.targets["edges"].shape == (1, *SIZE)
    # one black pixel; one of the sky, a class without normals
    assert sample.valid["normals"].tolist() == [[True] * 4, [False, True, True, False]]
    normals = sample.targets["normals"]
    assert normals[:, 0, 0].tolist() == pytest.approx([1, 1 / 255, 1 / 255], abs=1e-4)
    assert normals[:, 0, 1].tolist() == pytest.approx([-1, -1 / 255, -1 / 255], abs=1e-4)
    assert normals[:, 0, 3].tolist() == pytest.approx([1 / 255, 1 / 255, -1], abs=1e-4)
    assert normals[:, 1, 1].tolist() == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 0], abs=5e-3)
    assert not normals[:, ~sample.valid["normals"]].any()


def test_edges_are_those_of_the_label_map(tmp_path):
    dataset = one_image(tmp_path)
    save_context(tmp_path / "pascal-context" / "trainval" / "a.mat", np.array([[284, 284, 1, 2]] * 2))
    # the ramp's Laplacians: 0 at the left, 1 - 284 = -283, 283 + 1 = 284, mirrored 1 + 1 - 2 * 2 = -2
    raw = np.array([[0, 1, 1, 1]] * 2)
    edges = dataset[0].targets["edges"][0].numpy()
    assert edges.any()
    assert not (edges > raw).any()


def test_the_tasks_are_those_of_the_benchmark(tree):
    dataset = PascalContext(tree, "train")
    assert list(dataset.tasks) == TASKS
    assert [task.out_channels for task in dataset.tasks.values()] == [21, 7, 3, 1, 1]
    assert dataset.tasks["segmentation"].class_names[15] == "person"
    assert (dataset.tasks["segmentation"].colors[15] * 255).round().tolist() == [192, 128, 128]
    assert dataset.tasks["normals"].options()["loss"] == "l1"
    assert dataset.tasks["edges"].options()["positive_weight"] == 0.95
    assert dataset.tasks["edges"].options()["tolerance"] == 0.0075
    assert PascalContext.published == {"train": 4998, "val": 5105}


def test_images_keep_the_order_of_the_list_and_their_sizes(tree):
    dataset = PascalContext(tree, "train")
    assert dataset.keys == ["2008_000008", "2008_000002", "2009_000015"]
    assert [tuple(sample.image.shape) for sample in dataset] == [(3, 6, 8), (3, 7, 7), (3, 6, 6)]
    for number, key in enumerate(dataset.keys):
        with Image.open(tree / "JPEGImages" / f"{key}.jpg") as picture:
            expected = [part / 255 for part in picture.getpixel((3, 2))]
        assert dataset[number].image[:, 2, 3].tolist() == pytest.approx(expected)


def test_all_images_of_a_batch_get_the_wanted_size(tree):
    dataset = PascalContext(tree, "train", size=(10, 12))
    batch = Batch.collate([*dataset], {name: task.target_spec for name, task in dataset.tasks.items()})
    assert batch.images.shape == (3, 3, 10, 12)
    assert batch.labelled("human_parts").tolist() == [True, False, True]


def test_an_image_without_a_person_has_no_parts_label(tree):
    dataset = PascalContext(tree, "train")
    assert dataset.available.tolist() == [[True] * 5, [True, False, True, True, True], [True] * 5]
    assert [*dataset[1].targets] == ["segmentation", "normals", "saliency", "edges"]


def test_a_person_whose_parts_are_not_marked_gives_no_parts_label(tree):
    save_parts(tree / "human_parts" / "2008_000008.mat", [thing(PERSON, np.ones((6, 8)))])
    assert PascalContext(tree, "train", tasks=["human_parts"]).available.tolist() == [[False], [False], [True]]


def test_segmentation_comes_from_voc_first(tree):
    save_png(tree / "semseg" / "pascal-context" / "2008_000008.png", np.full((6, 8), 3))
    save_png(tree / "semseg" / "VOC12" / "2008_000008.png", np.full((6, 8), 4), palette=True)
    save_png(tree / "semseg" / "pascal-context" / "2008_000002.png", np.full((7, 7), 5))
    dataset = PascalContext(tree, "train", tasks=["segmentation"])
    assert dataset[0].targets["segmentation"].unique().tolist() == [4]
    assert dataset[1].targets["segmentation"].unique().tolist() == [5]


def test_no_mat_file_is_opened_again(tree, counted):
    for _ in range(2):
        dataset = PascalContext(tree, "train")
        assert [len(sample.targets) for sample in dataset] == [5, 4, 5]
    assert sorted(counted) == sorted(
        f"{folder}/{key}" for folder in ("human_parts", "trainval") for key in dataset.keys
    )
    files = {path.relative_to(tree / "mtpsl_cache").as_posix() for path in (tree / "mtpsl_cache").rglob("*.*")}
    ids = ("2008_000008", "2008_000002", "2009_000015")
    pictures = {f"{kind}/{key}.png" for kind in ("edges", "normals") for key in ids}
    assert files == pictures | {"human_parts.json", f"human_parts/{ids[0]}.png", f"human_parts/{ids[2]}.png"}


def test_hidden_labels_are_not_computed(tree, counted):
    dataset = PascalContext(tree, "train")
    mask = torch.zeros_like(dataset.available)
    mask[:, TASKS.index("saliency")] = True
    assert [[*sample.targets] for sample in PartialDataset(dataset, mask)] == [["saliency"]] * 3
    assert {name.split("/")[0] for name in counted} == {"human_parts"}  # once each, to know where persons are


def test_a_changed_file_is_noticed(tree, counted):
    PascalContext(tree, "train", tasks=["human_parts"])
    path = tree / "human_parts" / "2008_000002.mat"
    whole = np.ones((7, 7))
    save_parts(path, [thing(PERSON, whole, [("neck", whole)])])
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    dataset = PascalContext(tree, "train", tasks=["human_parts"])
    assert dataset.available.all()
    assert dataset[1].targets["human_parts"].unique().tolist() == [2]
    assert len(counted) == 4


def test_a_killed_search_goes_on_where_it_was(tree, counted, monkeypatch):
    path = tree / "human_parts" / "2009_000015.mat"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with pytest.raises(UserError, match=r"2009_000015\.mat: cannot be read as a MATLAB file"):
        PascalContext(tree, "train")
    path.write_bytes(whole)
    assert PascalContext(tree, "train").available[:, 1].tolist() == [True, False, True]
    assert counted == [f"human_parts/{key}" for key in ("2008_000008", "2008_000002", "2009_000015", "2009_000015")]


def test_computed_labels_can_be_kept_elsewhere(tree, tmp_path):
    cache = tmp_path / "elsewhere"
    assert PascalContext(tree, "train", label_cache=cache)[0].targets["edges"].any()
    assert (cache / "edges" / "2008_000008.png").is_file()
    assert not (tree / "mtpsl_cache").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*cannot be written .*--data\.label_cache \(check, convert"):
        PascalContext(tree, "train", label_cache=tmp_path / "file")


def test_a_tree_is_recognized_and_its_splits_found(tree):
    assert PascalContext.find_splits(tree) == ["train", "val"]
    assert PascalContext.find_splits(tree.parent) == []
    assert recognize(tree) == "pascal"
    with pytest.raises(UserError, match=r"no split 'test': there are train, val"):
        PascalContext(tree, "test")
    with pytest.raises(UserError, match=r"there is no split in it: give the folder that holds ImageSets/Context"):
        PascalContext(tree.parent, "train")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("JPEGImages/2008_000002.jpg", r"JPEGImages: there is no 2008_000002\.jpg, which .*train\.txt lists: unpack"),
        (
            "semseg/pascal-context/2008_000002.png",
            r"VOC12: there is no 2008_000002\.png nor in .*pascal-context, which",
        ),
        ("human_parts/2008_000002.mat", r"human_parts: there is no 2008_000002\.mat, which"),
        ("normals_distill/2008_000002.png", r"normals_distill: there is no 2008_000002\.png"),
        ("sal_distill/2008_000002.png", r"sal_distill: there is no 2008_000002\.png"),
        ("pascal-context/trainval/2008_000002.mat", r"trainval: there is no 2008_000002\.mat"),
    ],
)
def test_a_missing_file_is_named_at_once(tree, file, message):
    (tree / file).unlink()
    with pytest.raises(UserError, match=message):
        PascalContext(tree, "train")


def test_a_missing_folder_concerns_only_its_tasks(tree):
    (tree / "pascal-context").rename(tree / "elsewhere")
    message = r"trainval: there is no such folder, which holds normals: .* segmentation,human_parts,saliency,edges "
    with pytest.raises(UserError, match=message):
        PascalContext(tree, "train")
    assert len(PascalContext(tree, "train", tasks=["segmentation", "saliency"])[0].targets) == 2
    with pytest.raises(UserError, match="unknown task 'depth': pascal has segmentation, human_parts, normals"):
        PascalContext(tree, "train", tasks=["depth"])


COLORS = np.arange(144).reshape(6, 8, 3)


@pytest.mark.parametrize(
    ("task", "save", "message"),
    [
        ("segmentation", lambda root: save_png(root / "semseg/VOC12/2008_000008.png", np.full((6, 8), 21)), "index 21"),
        ("segmentation", lambda root: save_png(root / "semseg/VOC12/2008_000008.png", np.zeros((5, 8))), "6x8"),
        ("normals", lambda root: save_png(root / "normals_distill/2008_000008.png", np.zeros((6, 9, 3))), "LabelMap"),
        ("normals", lambda root: save_png(root / "normals_distill/2008_000008.png", np.full((6, 8), 9)), "normals"),
        (
            "saliency",
            lambda root: save_png(root / "sal_distill/2008_000008.png", np.arange(144).reshape(6, 8, 3)),
            "1 channel",
        ),
        ("edges", lambda root: save_context(root / "pascal-context/trainval/2008_000008.mat", np.eye(9)), "6x8"),
        (
            "edges",
            lambda root: (root / "pascal-context/trainval/2008_000008.mat").write_bytes(b"MATLAB"),
            "MATLAB file",
        ),
    ],
)
def test_a_wrong_label_is_named_when_it_is_read(tree, task, save, message):
    save(tree)
    dataset = PascalContext(tree, "train", tasks=[task])
    with pytest.raises(UserError, match=rf"2008_000008\.(png|mat): .*{message}"):
        dataset[0]
    assert dataset[2].targets


def test_a_parts_label_of_another_size_than_its_image_is_named(tree):
    whole = np.ones((9, 9))
    save_parts(tree / "human_parts" / "2008_000008.mat", [thing(PERSON, whole, [("head", whole)])])
    with pytest.raises(UserError, match=r"2008_000008\.mat: a label should have its image's size 6x8"):
        PascalContext(tree, "train")[0]


@pytest.fixture(scope="module")
def all_ids(tmp_path_factory):
    """All files that the published lists' images have, empty; one folder takes the place of every one."""
    root = tmp_path_factory.mktemp("all")
    keys = read_split(SHARED / "splits" / "pascal" / "onelabel.npy").keys
    for folder in ("ImageSets/Context", "semseg", "pascal-context", "every"):
        (root / folder).mkdir(parents=True)
    (root / "ImageSets" / "Context" / "train.txt").write_text("\n".join(keys))
    for folder in (
        "JPEGImages",
        "semseg/VOC12",
        "human_parts",
        "normals_distill",
        "sal_distill",
        pascal_module.CONTEXT,
    ):
        (root / folder).symlink_to(root / "every")
    for key in keys:
        for suffix in (".jpg", ".png", ".mat"):
            os.close(os.open(root / "every" / f"{key}{suffix}", os.O_CREAT))
    return root


@needs_shared
@pytest.mark.parametrize(
    ("file", "counts"),
    [("onelabel.npy", [1000, 999, 1000, 1000, 999]), ("randomlabels.npy", [2450, 847, 2480, 2445, 2557])],
)
def test_the_published_lists_fit_and_give_the_published_counts(all_ids, tmp_path, monkeypatch, file, counts):
    """In this tree a person is in each image that the list gives a parts label."""
    split = read_split(SHARED / "splits" / "pascal" / file)
    persons = dict(zip(split.keys, split.labels[:, split.tasks.index("human_parts")].tolist(), strict=True))
    part = np.ones((1, 1), np.uint8)
    monkeypatch.setitem(pascal_module.DERIVED, "human_parts", lambda path: part if persons[path.stem] else None)
    dataset = PascalContext(all_ids, "train", label_cache=tmp_path)
    assert len(dataset) == PascalContext.published["train"]
    allowed = split.mask(dataset.keys, list(dataset.tasks))
    mask = label_mask(dataset.available, "file", 0, allowed=allowed)
    assert mask.sum(0).tolist() == counts
    row = split.keys.index(dataset.keys[100])
    assert mask[100].tolist() == split.labels[row][[split.tasks.index(task) for task in TASKS]].tolist()
    monkeypatch.setitem(pascal_module.DERIVED, "human_parts", human_parts)  # would fail: the files are empty
    assert torch.equal(PascalContext(all_ids, "train", label_cache=tmp_path).available, dataset.available)


def test_edges_of_the_benchmark_are_read_where_asked_and_kept_apart(tree, tmp_path):
    usual, other = (
        PascalContext(tree, "train", label_cache=tmp_path / "kept", edges=e) for e in ("laplacian", "seg2bmap")
    )
    assert not torch.equal(usual[0].targets["edges"], other[0].targets["edges"])
    assert {"edges", "edges_seg2bmap"} <= {path.name for path in (tmp_path / "kept").iterdir()}
    with pytest.raises(ValueError, match="edges should be laplacian or seg2bmap, not 'sobel'"):
        PascalContext(tree, "train", edges="sobel")

"""Label regimes where labels of a task follow from those of another one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from mtpsl.training.config import parse_config
from mtpsl.training.run_data import RunData, run_data

SIZE = (16, 24)
TASKS = {
    "segmentation": {"classes": 2},
    "depth": {},
    "normals": {"from": "depth", "camera": {"focal": 20, "size": [*SIZE]}},
    "edges": {"from": "segmentation"},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images with segmentation and depth, from which all other labels follow."""
    root = tmp_path_factory.mktemp("data")
    for split in ("train", "val"):
        for kind in ("image", "segmentation", "depth"):
            (root / split / kind).mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", SIZE[::-1], (number, 0, 0)).save(root / split / "image" / f"{number}.png")
            np.save(root / split / "segmentation" / f"{number}.npy", np.eye(*SIZE, dtype=np.uint8))
            np.save(root / split / "depth" / f"{number}.npy", np.full(SIZE, 2.0, np.float32))
    (root / "dataset.yaml").write_text(yaml.safe_dump({"name": "d", "tasks": TASKS}, sort_keys=False))
    (root / "list.csv").write_text("key,segmentation,depth\n" + "".join(f"{n},{n % 2},{n // 6}\n" for n in range(8)))
    return root


def opened(data: Path, *words: str) -> RunData:
    return run_data(parse_config(["--data.root", str(data), *words], {}))


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (("--data.regime", "one"), (4, 4)),
        (("--data.regime", "random", "--data.label_seed", "2"), (5, 3)),
        (("--data.regime", "ratio", "--data.ratio", "[1,3]"), (2, 6)),
        (("--data.regime", "semi", "--data.share", "0.5"), (4, 4)),
        (("--data.regime", "file", "--data.labels", "LIST"), (4, 2)),
    ],
)
def test_labels_follow_from_those_that_the_regime_leaves(data: Path, words: tuple[str, ...], counts: tuple[int, int]):
    found = opened(data, *(str(data / "list.csv") if word == "LIST" else word for word in words))
    mask, derived = found.train.mask, found.train.derived
    assert torch.equal(derived[:, 2], mask[:, 1])
    assert torch.equal(derived[:, 3], mask[:, 0])
    assert not mask[:, 2:].any()
    assert not derived[:, :2].any()
    for index, row in enumerate(found.train.shown.tolist()):
        names = [name for name, shown in zip(TASKS, row, strict=True) if shown]
        assert sorted(found.train[index].targets) == sorted(names)
    left = mask.sum(0).tolist()[:2]
    assert left == [*counts]
    assert "random" not in words or (mask.sum(1) == 1).all()  # 1 to K - 1 of the two that exist


def test_runs_of_other_tasks_have_the_labels_that_follow_from_the_same(data: Path):
    words = ("--data.regime", "one", "--training.seed", "3")
    every = opened(data, *words)
    single = opened(data, *words, "--tasks", "[normals]")
    with_normals = [every.train.keys[row] for row in every.train.derived[:, 2].nonzero().flatten().tolist()]
    assert single.train.keys == with_normals
    assert [*single.train[0].targets] == ["normals"]
    assert [*single.validation[0].targets] == ["normals"]
    assert not single.train.mask.any()


def test_only_what_data_tasks_names_is_read(data: Path):
    with pytest.raises(ValueError, match="no image may show a label of task 'normals'"):
        opened(data, "--data.tasks", "[segmentation,normals]")

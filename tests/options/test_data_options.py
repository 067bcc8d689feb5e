"""Every option of `DataSettings` changes what it should, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from lines import Line, check, check_no_other

from folder_sets import write_folder_set
from mtpsl.data import convert_dataset
from mtpsl.structures import Sample
from mtpsl.tasks import describe_task
from mtpsl.training.config import parse_config
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.loaders import Loaders
from mtpsl.training.reading import with_reading
from mtpsl.training.run_data import run_data
from mtpsl.training.settings import names
from pascal_tree import write_pascal

SCENES = "--data.name scenes --data.size [32,32] --data.scenes_train 2 --data.scenes_val 2"
PASCAL = "--data.name pascal --data.root PASCAL --data.tasks [edges] --data.size [32,32]"
MTAN = "--data.name cityscapes_mtan --data.root MTAN"
ALL = {"tasks", "train", "train pixels", "train labels", "val", "val pixels", "val labels"}
OTHER_IMAGES = {"train", "train pixels", "train labels"}
LINES = {
    "name": Line("auto", ALL, default="scenes"),
    "root": Line("OTHER", {"train pixels", "train labels", "val pixels", "val labels"}, default="SET"),
    "description": Line("OTHER/other.yaml", {"tasks"}),
    "classes": Line("19", {"tasks", "train labels", "val labels"}, default="7", beside=MTAN),
    "label_cache": Line("CACHE", {"files"}, beside=PASCAL),
    "size": Line("[32,64]", {"train pixels", "train labels", "val pixels", "val labels"}),
    "score_edges": Line("seg2bmap", {"val labels"}, beside=PASCAL),
    "score_size": Line("own", {"val labels"}, beside="--data.size [32,64]"),
    "regime": Line("one", {"train labels"}),
    "ratio": Line("[4,1,1]", {"train labels"}, default="[1,1,4]", beside="--data.regime ratio"),
    "share": Line("0.8", {"train labels"}, default="0.5", beside="--data.regime semi"),
    "labels": Line("OTHER/b.csv", {"train labels"}, default="OTHER/a.csv", beside="--data.regime file"),
    "label_seed": Line("1", {"train labels"}, beside="--data.regime one"),
    "tasks": Line("[depth,segmentation]", {"tasks", "train labels", "val labels"}),
    "unlabelled": Line("keep", OTHER_IMAGES, default="skip", beside="--data.train_split sparse"),
    "epoch_images": Line("all", OTHER_IMAGES, beside="--data.regime one --tasks [depth]"),
    "train_split": Line("more", OTHER_IMAGES),
    "val_split": Line("more", {"val", "val pixels", "val labels"}),
    "limit": Line("3", OTHER_IMAGES),
    "scenes_train": Line("3", OTHER_IMAGES, beside=SCENES),
    "scenes_val": Line("3", {"val", "val pixels", "val labels"}, beside=SCENES),
    "workers": Line("1", {"workers"}),
    "cache": Line("none", {"cached"}, default="memory"),
    "cache_folder": Line("CACHE", {"files"}, default="SET", beside="--data.cache disk"),
    "cache_limit": Line("1e-9", {"cached"}, beside="--data.cache disk --data.cache_folder CACHE"),
    "window": Line("3", {"shards at a time"}, default="1", beside="--data.root SHARDS"),
    "broken": Line("skip", {"broken"}),
}
"""Observations are those of `observe_data`."""
PLACES = ("SET", "OTHER", "MTAN", "PASCAL", "CACHE", "SHARDS")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    tasks, splits = ("segmentation", "depth", "normals"), {"train": 6, "val": 2, "more": 3, "sparse": 4}
    for name, seed in (("SET", 0), ("OTHER", 1)):
        write_folder_set(folder / name, tasks, splits=splits, seed=seed)
        for task in tasks:
            (folder / name / "sparse" / task / "000.png").unlink(missing_ok=True)
    described = yaml.safe_load((folder / "SET" / "dataset.yaml").read_text())
    described["tasks"]["segmentation"]["classes"] = ["a", "b", "c"]
    (folder / "OTHER" / "other.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    for name, fifth in (("a", "1,0,0"), ("b", "0,1,0")):
        lines = ["key,segmentation,depth,normals", "000,1,0,0", "001,0,0,1", "002,0,1,0", "003,1,0,0", f"004,{fifth}"]
        (folder / "OTHER" / f"{name}.csv").write_text("\n".join([*lines, "005,1,0,0"]))
    for split in ("train", "val"):
        for kind, shape in {"image": (3,), "label_7": (), "label_19": (), "depth": (1,)}.items():
            (folder / "MTAN" / split / kind).mkdir(parents=True)
            counted = np.arange(1024 * max(shape, default=1)).reshape(32, 32, *shape)
            array = counted % 256 / 255 if kind == "image" else counted % (7 if kind == "label_7" else 19) / 1.0
            np.save(folder / "MTAN" / split / kind / "0.npy", array)
    write_pascal(folder / "PASCAL")
    convert_dataset(folder / "SET", folder / "SHARDS", to="shards", shard_mb=0.006, progress=False)
    return folder


def observe_data(words: Sequence[str], folder: Path) -> dict[str, Any]:
    """What a run reads."""
    words = [*words]
    if "--data.root" not in words and "scenes" not in words:
        words += ["--data.root", "SET"]
    if "--data.size" not in words:
        words += ["--data.size", "[32,32]"]
    if words == ["--data.name", "scenes", "--data.size", "[32,32]"]:
        words += ["--data.scenes_train", "2", "--data.scenes_val", "2"]
    if "--data.workers" not in words:
        words += ["--data.workers", "0"]
    for place in PLACES:
        words = [str(folder / word) if word.split("/")[0] == place else word for word in words]
    before = {path for path in folder.rglob("*") if path.is_file()}
    config = parse_config(words, {})
    data, _ = with_reading(config, run_data(config), folder / "RUN")
    train, val = (
        [data.train[i] for i in range(len(data.train))],
        [data.validation[i] for i in range(len(data.validation))],
    )
    written = {path for path in folder.rglob("*") if path.is_file()} - before
    cached = [part.cached_bytes > 0 for part in (data.train, data.validation)]
    for path in written:
        path.unlink()
    return {
        "tasks": [describe_task(task) for task in data.tasks],
        "train": data.train.keys,
        "train pixels": [sample.image for sample in train],
        "train labels": [labels_of(sample) for sample in train],
        "val": data.validation.keys,
        "val pixels": [sample.image for sample in val],
        "val labels": [labels_of(sample) for sample in val],
        "cached": cached,
        "shards at a time": shards_at_a_time(Loaders(config, data)),
        "broken": "stop" if data.train.broken is None else "skip",
        "workers": Loaders(config, data).validation_loader(0, 1).num_workers,
        "files": sorted(path.relative_to(folder).parts[0] for path in written),
    }


def shards_at_a_time(loaders: Loaders) -> int | None:
    """Among how many shards an epoch jumps at most."""
    if (windows := loaders.data.train.windows) is None:
        return None
    order = windows.shard[[index for batch in loaders.training_loader(0, 1).batch_sampler for index in batch]]
    seen = [(order == shard).nonzero().flatten() for shard in order.unique()]
    return max(sum(int(one[0]) <= place <= int(one[-1]) for one in seen) for place in range(len(order)))


def labels_of(sample: Sample) -> dict[str, Any]:
    return {
        name: (target * sample.valid[name] if target.ndim > 1 else target) for name, target in sample.targets.items()
    }


@pytest.mark.parametrize("option", names(DataSettings))
def test_a_data_option_changes_what_it_should(option: str, folder: Path) -> None:
    table = "LINES in tests/options/test_data_options.py"
    check(f"data.{option}", LINES.get(option), lambda words: observe_data(words, folder), table)


def test_every_line_is_of_a_data_option() -> None:
    check_no_other(LINES, names(DataSettings), "tests/options/test_data_options.py")

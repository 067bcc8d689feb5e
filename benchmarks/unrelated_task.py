"""Write a data set with a task that is unrelated to the others: labels of shuffled images.

    python benchmarks/unrelated_task.py ../shared/data/indoor benchmarks/data/indoor.yaml OUT
    mtpsl train benchmarks/data/indoor_recipe.yaml --data.root OUT --data.regime one --objective.extensions.pairs auto

OUT has links to the images and labels of the set and a fourth task, `shuffled`: the segmentation of another image of
the split. `pairs: auto` should find that it is related to nothing (results: related_pairs.md).
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import yaml


def main() -> None:
    """Write the set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="a `folder` data set with the task segmentation")
    parser.add_argument("description", type=Path, help="its dataset.yaml")
    parser.add_argument("out", type=Path, help="the folder to make")
    options = parser.parse_args()
    root, out = options.root.resolve(), options.out
    description = yaml.safe_load(options.description.read_text())
    out.mkdir(parents=True)
    for split in sorted(folder for folder in root.iterdir() if (folder / "segmentation").is_dir()):
        (out / split.name / "shuffled").mkdir(parents=True)
        for name in ("image", *description["tasks"]):
            (out / split.name / name).symlink_to(split / name)
        labels = sorted((split / "segmentation").iterdir())
        others = list(labels)
        random.Random(0).shuffle(others)
        for label, other in zip(labels, others, strict=True):
            (out / split.name / "shuffled" / label.name).symlink_to(other)
    description["name"] += "_shuffled"
    description["tasks"]["shuffled"] = {"type": "segmentation", **description["tasks"]["segmentation"]}
    (out / "dataset.yaml").write_text(yaml.safe_dump(description, sort_keys=False))


if __name__ == "__main__":
    main()

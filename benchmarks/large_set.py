"""How a training behaves on a set of very many images: seconds to its first step, memory, order after a restart.

    python benchmarks/large_set.py                                      # 200,000 images of 32 x 32, all links to a few
    python benchmarks/large_set.py --count 10000 --size 375 500 --pascal --distinct 200
    python benchmarks/large_set.py --count 20000 --shard_mb 4 --batches 3000                # in shards, 8 at a time

A tree of an image and two labels each is made in a temporary folder (`--pascal`: an image of 375 x 500 pixels and five
labels, read at 512 x 512 as in the PASCAL recipe) and read by the loader of a run; files are hard links to `--distinct`
different ones. With `--shard_mb` the tree is converted into shards first, from which nothing is kept in memory. Nothing
is trained: the figures are those of the side that reads. Measured: large_set.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

TASKS = {
    "segmentation": {"classes": ["a", "b", "c"], "ignore": 255},
    "depth": {"scale": 0.001, "missing": 0, "unit": "m"},
}
PASCAL = {
    "segmentation": {"classes": [f"class {number}" for number in range(21)], "ignore": 255},
    "human_parts": {"type": "segmentation", "classes": [f"part {number}" for number in range(7)], "ignore": 255},
    "normals": {"offset": 128, "divisor": 127},
    "saliency": {"threshold": 128},
    "edges": {"values": [0, 1], "ignore": 255},
}


def write_tree(root: Path, count: int, size: tuple[int, int], tasks: dict[str, dict], distinct: int) -> None:
    """`count` images for training and a hundredth of that for validation, linked to a few files."""
    random = np.random.default_rng(0)
    for split, number in (("train", count), ("val", max(count // 100, 4))):
        for kind in ("image", *tasks):
            folder = root / split / kind
            folder.mkdir(parents=True)
            firsts = [folder / f"{index:07}.png" for index in range(min(distinct, number))]
            for path in firsts:
                Image.fromarray(picture(kind, size, random)).save(path)
            for index in range(len(firsts), number):
                os.link(firsts[index % len(firsts)], folder / f"{index:07}.png")
    (root / "dataset.yaml").write_text(yaml.safe_dump({"name": "large", "tasks": tasks}))


def picture(kind: str, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Blocks of random values, as large as things in photographs."""
    coarse = tuple(-(-side // 16) for side in size)
    values = np.kron(random.integers(0, 2 if kind == "edges" else 3, coarse), np.ones((16, 16), int))[
        : size[0], : size[1]
    ]
    if kind == "normals":
        return np.array([(128, 128, 255), (255, 128, 128), (128, 255, 128)], np.uint8)[values]
    if kind == "image":
        noise = random.integers(0, 40, (*size, 3))
        return (values[..., None] * (60, 70, 80) + noise).astype(np.uint8)
    scale = {"depth": 1000, "saliency": 120}.get(kind, 1)
    return (values * scale).astype(np.uint16 if kind == "depth" else np.uint8)


def peak() -> float:
    """The most memory that this process had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Make the tree, open it as a run does, and read."""
    parser = argparse.ArgumentParser(description="Start, memory and order of a training on very many images.")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--size", type=int, nargs=2, default=(32, 32))
    parser.add_argument("--distinct", type=int, default=8)
    parser.add_argument("--pascal", action="store_true")
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--cache", default="auto")
    parser.add_argument("--limit", type=float, default=1.0, help="--data.cache_limit of the copy, in GB")
    parser.add_argument("--shard_mb", type=float, help="convert the tree into shards of so many megabytes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        write_tree(
            root, arguments.count, tuple(arguments.size), PASCAL if arguments.pascal else TASKS, arguments.distinct
        )
        if arguments.shard_mb:
            root = convert(root, Path(folder) / "shards", arguments.shard_mb)
            arguments.cache = "none"
        words = ["--data.root", str(root), "--data.cache_folder", str(Path(folder) / "copies")]
        words += ["--data.workers", str(arguments.workers), "--data.cache", arguments.cache]
        words += ["--data.cache_limit", str(arguments.limit), "--data.regime", "one", "--objective", "supervised"]
        words += ["--data.size", "512,512" if arguments.pascal else "32,32", "--training.batch_size", "6"]
        words += ["--training.accelerator", "cpu"]
        measure(words, Path(folder), arguments.batches)


def convert(root: Path, out: Path, shard_mb: float) -> Path:
    """The same data set in shards, made by a process of its own."""
    begun = time.perf_counter()
    words = ["convert", str(root), str(out), "--to", "shards", "--shard_mb", str(shard_mb)]
    subprocess.run([sys.executable, "-m", "mtpsl", *words], check=True)
    shards = [path.stat().st_size for path in out.glob("*.tar")]
    print(f"converted in {time.perf_counter() - begun:.0f} s: {len(shards)} shards, {sum(shards) / 1e9:.2f} GB")
    return out


def measure(words: list[str], folder: Path, count: int) -> None:
    """Seconds to the first batch, memory, and the order of an epoch that is entered in its middle."""
    begun = time.perf_counter()
    from mtpsl.training.config import parse_config
    from mtpsl.training.loaders import Loaders
    from mtpsl.training.reading import with_reading
    from mtpsl.training.run_data import run_data, training_sizes

    before = peak()
    imported = time.perf_counter()
    config = parse_config(words, {})
    data = run_data(config)
    opened = time.perf_counter()
    data, said = with_reading(config, data, folder / "run")
    print(said)
    sizes = training_sizes(data, (32, 32))
    loader = Loaders(config, data).training_loader(0, 1)
    batches = iter(loader)
    first = next(batches).keys
    started = time.perf_counter()
    print(f"imports {imported - begun:.1f} s, listing {opened - imported:.1f} s, rest {started - opened:.1f} s")
    print(
        f"first batch of {len(data.train)} images after {started - begun:.1f} s ({time.process_time():.1f} s computing)"
    )
    print(f"peak {peak():.2f} GB, after the imports {before:.2f} GB; {len(sizes.stored)} sizes")
    seen = [first, *(batch.keys for batch in islice(batches, count - 1))]
    took = time.perf_counter() - started
    kept = data.train.cached_bytes / 1e9
    print(f"{6 * (count - 1) / took:.0f} images/s, peak {peak():.2f} GB; kept beside it {kept:.2f} GB")
    middle = Loaders(config, data).training_loader(0, 1)
    middle.start(0, count // 2)
    again = [batch.keys for batch in islice(middle, count - count // 2)]
    print("order after a restart in the middle of the epoch:", "the same" if again == seen[count // 2 :] else "ANOTHER")


if __name__ == "__main__":
    main()

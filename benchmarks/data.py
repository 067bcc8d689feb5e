"""Images per second of each data set's reader and of the converted form, against what training takes.

    python benchmarks/data.py [--layouts nyuv2 pascal] [--count 24] [--rounds 3]

Random trees of every layout (benchmarks/trees.py) at the sizes in which the sets are published are read one image after
another by one process with one thread: as they are, and resized to the size of the published experiments; then they are
converted at that size and read again. The training step is `supervised` on SegNet (the quickest of all objectives) at
the same size and with as many tasks, with all threads. All files are in the page cache. "times training" is the rate of
one reader over that of training; below 3 the rate should come from `--data.workers` or from converting.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from trees import TREES, write_tree

from mtpsl.data import DATASETS, StoredDataset, convert_dataset
from mtpsl.networks import SegNet
from mtpsl.objectives import Supervised
from mtpsl.structures import Batch
from mtpsl.training.malloc import keep_freed_memory

#: height and width of the published experiments
SIZES = {
    "folder": (288, 384),
    "nyuv2": (288, 384),
    "nyuv2_raw": (288, 384),
    "nyud": (288, 384),
    "cityscapes_mtan": (128, 256),
    "cityscapes": (128, 256),
    "taskonomy": (256, 256),
    "pascal": (512, 512),
}


def reading_rate(dataset: StoredDataset, rounds: int) -> float:
    """Images per second, the best of some passes; one pass before fills caches."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for index in range(len(dataset)):
            dataset[index]
        times.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return len(dataset) / min(times[1:])


def training_rate(dataset: StoredDataset, batch_size: int, width: float, rounds: int, device: torch.device) -> float:
    """Images per second of a supervised step of SegNet on this data set's images and labels, the median."""
    tasks = list(dataset.tasks.values())
    samples = [dataset[index % len(dataset)] for index in range(batch_size)]
    batch = Batch.collate(samples, {task.name: task.target_spec for task in tasks}).to(device)
    network = SegNet({task.name: task.out_channels for task in tasks}, width=width).to(device)
    objective = Supervised(tasks, network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        loss = objective(network, batch).total()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        times.append(time.perf_counter() - start)
    return batch_size / median(times[1:])


def measure(name: str, folder: Path, options: argparse.Namespace) -> dict[str, float | str]:
    """The rates of one layout."""
    size = SIZES[name]
    root = write_tree(folder / name, name, options.count)
    source = DATASETS[name](root, "train", size=size)
    start = time.perf_counter()
    convert_dataset(root, folder / f"{name}-packed", name=name, splits=["train"], size=size, progress=False)
    conversion = options.count / (time.perf_counter() - start)
    packed = DATASETS["packed"](folder / f"{name}-packed", "train", size=size)
    rates = {
        "stored size": reading_rate(DATASETS[name](root, "train"), options.rounds),
        "resized": reading_rate(source, options.rounds),
        "conversion": conversion,
        "packed": reading_rate(packed, options.rounds),
    }
    training = training_rate(packed, options.batch, options.width, options.rounds, torch.device(options.device))
    stored = sum(path.stat().st_size for path in (folder / f"{name}-packed").iterdir()) / options.count / 2**20
    return {
        "layout": name,
        "size": f"{size[0]}x{size[1]}",
        "tasks": str(len(source.tasks)),
        **{key: round(rate, 1) for key, rate in rates.items()},
        "MiB per image": round(stored, 2),
        "training": round(training, 2),
        "reader, times training": round(rates["resized"] / training, 1),
        "packed, times training": round(rates["packed"] / training, 1),
    }


def main() -> None:
    """Measure all layouts and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layouts", nargs="+", default=list(TREES), choices=list(TREES))
    parser.add_argument("--count", type=int, default=24, help="images per tree")
    parser.add_argument("--rounds", type=int, default=3, help="passes over the images, and training steps")
    parser.add_argument("--batch", type=int, default=2, help="images per training step")
    parser.add_argument("--width", type=float, default=1.0, help="of SegNet")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="of the training step")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    keep_freed_memory()  # as `mtpsl train` does
    print(
        f"images per second, {options.count} images, one reading thread; training: SegNet width {options.width:g}, "
        f"batch {options.batch}, {options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}\n"
    )
    rows = []
    for name in options.layouts:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(name, Path(folder), options)
        if not rows:
            print("| " + " | ".join(row) + " |\n|" + "---|" * len(row))
        rows.append(row)
        print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()

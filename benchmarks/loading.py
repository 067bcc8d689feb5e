"""Images per second of reading a data set, decoding and cached.

    python benchmarks/loading.py ../shared/data/indoor benchmarks/data/indoor.yaml
    python benchmarks/loading.py ../shared/data/camvid benchmarks/data/camvid.yaml

Both sets are 144 x 192 and resized to 96 x 128; batches of 8. "one label": the regime `one`; "cached": the second pass.
Expected: cached reading is at least ten times quicker than decoding, and far quicker than any training step.

Measured, two cores of an Intel Xeon at 2.5 GHz, torch 2.15, images per second of computing (other work was running on
both cores, wall-clock rates were half of these); indoor / camvid:
all labels: decoding 164 / 211, cached 2901 / 5541 (156 / 32 MB); one label: decoding 317 / 354, cached 5279 / 5156
(66 / 23 MB).
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from mtpsl.data import FolderDataset, PartialDataset, label_mask, make_loader
from mtpsl.structures import Batch


def images_per_second(loader: DataLoader[Batch], count: int, repeats: int) -> tuple[float, float, float]:
    """Median and best over passes, and the median per second of this process's own computing."""
    rates, computing = [], []
    for _ in range(repeats):
        start, computed = time.perf_counter(), time.process_time()
        for _ in loader:
            pass
        rates.append(count / (time.perf_counter() - start))
        computing.append(count / (time.process_time() - computed))
    return median(rates), max(rates), median(computing)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Images per second of reading a data set.")
    parser.add_argument("root")
    parser.add_argument("description", nargs="?")
    parser.add_argument("--split", default="train")
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = FolderDataset(
        arguments.root, arguments.split, size=tuple(arguments.size), description=arguments.description
    )
    specs = {name: task.target_spec for name, task in dataset.tasks.items()}
    table = Table(
        "labels", "reading", "workers", "median images/s", "best", "per CPU second", "MB cached", title=dataset.name
    )
    for regime in ("full", "one"):
        mask = label_mask(dataset.available, regime, seed=0)
        for cache, workers in ((False, 0), (False, arguments.workers), (True, 0)):
            partial = PartialDataset(dataset, mask, cache=cache)
            if cache:
                for index in range(len(partial)):
                    _ = partial[index]
            memory = partial.cached_bytes / 1e6
            loader = make_loader(partial, specs, batch_size=arguments.batch_size, shuffle=True, workers=workers)
            rates = images_per_second(loader, len(dataset), arguments.repeats)
            numbers = [f"{rate:.0f}" for rate in rates]
            numbers[2] = "-" if workers else numbers[2]
            reading = "cached" if cache else "decoding"
            table.add_row(regime, reading, str(workers), *numbers, f"{memory:.0f}" if cache else "-")
    Console().print(table)


if __name__ == "__main__":
    main()

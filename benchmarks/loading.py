"""Images per second of reading a data set, decoding and cached.

    python benchmarks/loading.py ../shared/data/indoor benchmarks/data/indoor.yaml
    python benchmarks/loading.py ../shared/data/camvid benchmarks/data/camvid.yaml

Both sets are 144 x 192 and resized to 96 x 128; batches of 8. "one label": the regime `one`; "cached": the second pass.
Expected: cached reading is at least ten times quicker than decoding, and far quicker than any training step.
MEASURED
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


def images_per_second(loader: DataLoader[Batch], count: int, repeats: int) -> tuple[float, float]:
    """Median and best over passes."""
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in loader:
            pass
        rates.append(count / (time.perf_counter() - start))
    return median(rates), max(rates)


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
    table = Table("labels", "reading", "workers", "median images/s", "best images/s", "MB cached", title=dataset.name)
    for regime in ("full", "one"):
        mask = label_mask(dataset.available, regime, seed=0)
        for cache, workers in ((False, 0), (False, arguments.workers), (True, 0)):
            partial = PartialDataset(dataset, mask, cache=cache)
            memory = partial.preload() / 1e6 if cache else 0.0
            loader = make_loader(partial, specs, batch_size=arguments.batch_size, shuffle=True, workers=workers)
            rates = images_per_second(loader, len(dataset), arguments.repeats)
            row = [regime, "cached" if cache else "decoding", str(workers), *(f"{rate:.0f}" for rate in rates)]
            table.add_row(*row, f"{memory:.0f}" if cache else "-")
    Console().print(table)


if __name__ == "__main__":
    main()

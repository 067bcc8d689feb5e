"""How quickly the built-in rooms are rendered and written.

    python benchmarks/scenes.py [--size 96 128] [--count 300] [--rounds 3]

Every round renders new images with one process, with a loader of two worker processes, and writes a data set; PyTorch
uses one thread in each process. Best and median images/s over the rounds, and processor time of one process per image.
A loader's workers take a second or two to start, which is not counted.

Measured with `--count 150` on a virtual machine with two x86 cores (Python 3.11, numpy 2.4), while other work kept both
busy (load 3.7 to 4.5), so that a second worker could add little:

    one process          best  32.0  median  31.6 images/s  1,000: 32 s
    loader, two workers  best  39.4  median  30.0 images/s  1,000: 33 s
    write_scenes         best  22.6  median  22.5 images/s  1,000: 45 s
    processor time of one process 21.3 ms an image
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Subset

from mtpsl.data.scenes import ScenesDataset, write_scenes
from mtpsl.structures import Sample


def first(samples: list[Sample]) -> Sample:
    """A loader's batch of one."""
    return samples[0]


def one_process(dataset: ScenesDataset, start: int, count: int) -> float:
    """Seconds to render images in this process."""
    begin = time.perf_counter()
    for index in range(start, start + count):
        dataset[index]
    return time.perf_counter() - begin


def two_workers(dataset: ScenesDataset, start: int, count: int) -> float:
    """Seconds to receive images from two processes, from the third image on."""
    loader = DataLoader(Subset(dataset, range(start, start + count + 2)), num_workers=2, collate_fn=first)
    images = iter(loader)
    next(images), next(images)
    begin = time.perf_counter()
    for _ in images:
        pass
    return time.perf_counter() - begin


def written(size: tuple[int, int], seed: int, count: int) -> float:
    """Seconds to write a data set."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        write_scenes(Path(folder) / "scenes", {"train": count}, size=size, seed=seed, progress=False)
        return time.perf_counter() - begin


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--count", type=int, default=300, help="images in a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    size, count = tuple(options.size), options.count
    dataset = ScenesDataset(count * options.rounds + 2, size=size)
    one_process(dataset, 0, 5)

    seconds: dict[str, list[float]] = {"one process": [], "loader, two workers": [], "write_scenes": []}
    processor = 0.0
    for turn in range(options.rounds):
        begin = time.process_time()
        seconds["one process"].append(one_process(dataset, turn * count, count))
        processor += time.process_time() - begin
        seconds["loader, two workers"].append(two_workers(dataset, turn * count, count))
        seconds["write_scenes"].append(written(size, turn, count))
    print(f"{count} images of {size[0]} x {size[1]}, {options.rounds} rounds")
    for name, times in seconds.items():
        rates = [count / time_ for time_ in times]
        middle = statistics.median(rates)
        print(f"{name:20} best {max(rates):5.1f}  median {middle:5.1f} images/s  1,000: {1000 / middle:.0f} s")
    print(f"processor time of one process {1000 * processor / count / options.rounds:.1f} ms an image")


if __name__ == "__main__":
    main()

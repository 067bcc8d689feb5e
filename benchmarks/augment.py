"""How quickly whole batches are augmented, beside a plain loop over images that does the same.

    python benchmarks/augment.py [--size 96 128] [--batch 8] [--repeats 200]

Segmentation, depth, normals and edges, every image with every label. Each line gives the minimum and the median time of
a batch and the images per second of each; methods take turns, so that a disturbance meets all of them.

The minimum of few images can be the time of a batch that happened to stay as it was, which costs nothing.

Measured on a virtual machine with two x86 cores, torch 2.15.0, while about six other programs ran on them: compare the
lines with each other, and repeat this on an idle machine before quoting a rate (two threads wait for each other here).

                      1 thread: min, median           2 threads: min, median
    whole batch       9.7 ms  23 ms   829 / 345 /s    17.9 ms  328 ms   447 / 24 /s
    loop over images  16.1 ms  38 ms  498 / 208 /s    54.2 ms  724 ms   148 / 11 /s
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.structures import Batch
from mtpsl.tasks import Depth, Edges, Normals, Segmentation, Task

TASKS: list[Task] = [Segmentation(num_classes=13), Depth(), Normals(), Edges()]


def random_batch(count: int, height: int, width: int) -> Batch:
    """Labels of every task for every image, one pixel in ten not valid."""
    targets = {
        "segmentation": torch.randint(0, 13, (count, height, width)),
        "depth": torch.rand(count, 1, height, width) * 5 + 0.5,
        "normals": F.normalize(torch.randn(count, 3, height, width), dim=1),
        "edges": (torch.rand(count, 1, height, width) < 0.1).float(),
    }
    valid = {name: torch.rand(count, height, width) > 0.1 for name in targets}
    keys = tuple(str(i) for i in range(count))
    return Batch(keys, torch.rand(count, 3, height, width), targets, valid)


def loop(batch: Batch, scales: tuple[float, ...] = (1.0, 1.2, 1.5)) -> Batch:
    """One image and one label at a time, with crops and `interpolate`."""
    height, width = batch.images.shape[-2:]
    images: list[Tensor] = []
    targets: dict[str, list[Tensor]] = {task.name: [] for task in TASKS}
    valid: dict[str, list[Tensor]] = {task.name: [] for task in TASKS}
    for row in range(len(batch)):
        scale = scales[int(torch.randint(len(scales), ()))]
        tall, wide = int(height / scale), int(width / scale)
        top, left = int(torch.randint(height - tall + 1, ())), int(torch.randint(width - wide + 1, ()))
        mirrored = bool(torch.rand(()) < 0.5)

        def resize(x: Tensor, mode: str) -> Tensor:
            crop = x[..., top : top + tall, left : left + wide].float().view(1, -1, tall, wide)  # noqa: B023
            corners = True if mode == "bilinear" else None
            y = F.interpolate(crop, (height, width), mode=mode, align_corners=corners)
            return y.flip(-1) if mirrored else y  # noqa: B023

        images.append(resize(batch.images[row], "bilinear"))
        for task in TASKS:
            mask = batch.valid[task.name][row]
            target = batch.targets[task.name][row]
            if task.resampling == "bilinear":
                target = task.resampled(resize(target.masked_fill(~mask, 0), "bilinear"))
            else:
                target = resize(target, "nearest").view(target.shape).to(target.dtype)[None]
            target = task.zoom(target, torch.tensor([scale]))
            targets[task.name].append(task.mirror(target) if mirrored else target)
            valid[task.name].append(resize(mask, "nearest")[0] > 0.5)
    return Batch(
        batch.keys,
        torch.cat(images),
        {name: torch.cat(x) for name, x in targets.items()},
        {name: torch.cat(x) for name, x in valid.items()},
    )


def measured(methods: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every call, the methods taking turns."""
    times: dict[str, list[float]] = {name: [] for name in methods}
    for turn in range(repeats + 5):
        for name, method in methods.items():
            start = time.perf_counter()
            method()
            if turn >= 5:
                times[name].append(time.perf_counter() - start)
    return times


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=int, default=8, help="images in a batch")
    parser.add_argument("--repeats", type=int, default=200, help="timed batches of each method")
    options = parser.parse_args()

    batch = random_batch(options.batch, *options.size)
    augment = Augmentation(TASKS)
    methods = {
        "whole batch": lambda: augment(batch),
        "whole batch, crop_view": lambda: augment.crop_view(batch),
        "loop over images": lambda: loop(batch),
    }
    height, width = options.size
    print(f"{options.batch} images of {height} x {width}, {len(TASKS)} tasks, torch {torch.__version__}")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for name, times in measured(methods, options.repeats).items():
            best, middle = min(times), statistics.median(times)
            milliseconds = f"min {best * 1e3:6.2f} ms  median {middle * 1e3:6.2f} ms"
            rates = f"{options.batch / best:6.0f} / {options.batch / middle:6.0f} images/s"
            print(f"{threads} thread{'s' * (threads > 1)}  {name:24} {milliseconds}  {rates}")


if __name__ == "__main__":
    main()

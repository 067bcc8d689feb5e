"""Images/s, peak memory and arithmetic of a training step, beside a loop over images and pairs.

    python benchmarks/train_step.py [--width 1.0] [--batch 4] [--size 96 128] [--rounds 7] [--authors DIR]

Every variant is timed once per round, in turn, so that a slow moment of the machine hits all alike; minimum and median
over the rounds are printed. The loops call the mapping network for one image and one pair at a time: "naive loop" a
plain one of the same weights (convolution, batch norm, FiLM and ReLU one after another, everything anew for each pair),
as one would write it from the paper, "loop, own layers" the package's, so that only the batching differs.
Memory is what the step adds to the process (its own process per variant), GFLOP is counted by torch's FlopCounterMode,
and the share of peak relates GFLOP/s to a convolution measured in the same run and precision.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from authors_step import make_authors_step
from mapping_loops import Loop, PlainMapping
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency, JointMappingOptions, Objective, Supervised
from mtpsl.structures import Batch, Sample
from mtpsl.tasks import Depth, Normals, Segmentation, Task
from mtpsl.training.malloc import keep_freed_memory

AUTHORS = "MTPSL_AUTHORS"
"""Where their checkout lies, for the processes that measure memory."""
TASKS: list[Task] = [Segmentation(num_classes=13), Depth(), Normals()]


@dataclass(frozen=True)
class Variant:
    """What a step does.

    Args:
        kind: supervised, cross_task, one of the loops, or authors.
        views: of cross_task and the loops.
        bf16: mixed precision, and channels_last.
        stride: of the mapping's first convolution.
        compiled: torch.compile of network and mapping, as `--training.compile true` has it.
    """

    kind: str
    views: int = 1
    bf16: bool = False
    stride: int = 1
    compiled: bool = False


VARIANTS = {
    "supervised": Variant("supervised"),
    "supervised, compiled": Variant("supervised", compiled=True),
    "supervised bf16": Variant("supervised", bf16=True),
    "supervised bf16, compiled": Variant("supervised", bf16=True, compiled=True),
    "cross_task, 1 view": Variant("cross_task"),
    "cross_task, 1 view, bf16": Variant("cross_task", bf16=True),
    "cross_task, 1 view, bf16, compiled": Variant("cross_task", bf16=True, compiled=True),
    "cross_task, 1 view, bf16, stride 2": Variant("cross_task", bf16=True, stride=2),
    "cross_task, 2 views": Variant("cross_task", views=2),
    "cross_task, 2 views, bf16": Variant("cross_task", views=2, bf16=True),
    "loop, own layers, 1 view": Variant("loop"),
    "loop, own layers, 2 views": Variant("loop", views=2),
    "naive loop, 1 view": Variant("naive"),
    "naive loop, 2 views": Variant("naive", views=2),
    "authors, 2 views": Variant("authors", views=2),
}
"""The authors' needs `--authors`."""


def make_batch(size: tuple[int, int], count: int) -> Batch:
    """Random images with one label each."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for index in range(count):
        targets = {
            "segmentation": torch.randint(0, 13, size, generator=generator),
            "depth": torch.rand((1, *size), generator=generator) * 5 + 0.5,
            "normals": torch.nn.functional.normalize(torch.randn((3, *size), generator=generator), dim=0),
        }
        valid = {name: torch.ones(size, dtype=torch.bool) for name in targets}
        sample = Sample(str(index), torch.rand((3, *size), generator=generator), targets, valid)
        samples.append(sample.with_labels_of([TASKS[index % 3].name]))
    return Batch.collate(samples, {task.name: task.target_spec for task in TASKS})


def full_labels(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Random labels of all three tasks for every image: the authors' data has them all, and hides some."""
    count, _, *size = images.shape
    generator = torch.Generator().manual_seed(0)
    depth = torch.rand((count, 1, *size), generator=generator) * 5 + 0.5
    normals = F.normalize(torch.randn((count, 3, *size), generator=generator), dim=1)
    segmentation = torch.randint(0, 13, (count, *size), generator=generator)
    return segmentation.to(images.device), depth.to(images.device), normals.to(images.device)


def make_step(variant: str, width: float, batch: Batch) -> Callable[[], None]:
    """One optimization step of a variant, as a function."""
    chosen = VARIANTS[variant]
    if chosen.kind == "authors":
        return make_authors_step(Path(os.environ[AUTHORS]), batch.images, full_labels(batch.images))
    kind, bf16 = chosen.kind, chosen.bf16
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in TASKS}, width=width)
    objective: Objective
    if kind == "supervised":
        objective = Supervised(TASKS, network)
    else:
        kinds = {"cross_task": CrossTaskConsistency, "loop": Loop, "naive": Loop}
        mapping = JointMappingOptions(width=width, stride=chosen.stride)
        objective = kinds[kind](TASKS, network, views=chosen.views, mapping=mapping)
        if kind == "naive":
            objective.mapping = PlainMapping(objective.mapping)
    device = batch.images.device
    network.to(device), objective.to(device)
    images = batch.images
    if bf16:
        network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    data = Batch(batch.keys, images, batch.targets, batch.valid)
    if chosen.compiled:
        network.compile()
        if isinstance(objective, CrossTaskConsistency):
            objective.mapping.compile_steps()
    optimizer = torch.optim.Adam([*network.parameters(), *objective.parameters()], lr=1e-4)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext():
            loss = objective(network, data).total()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def peak_gflops(bf16: bool, device: torch.device) -> float:
    """GFLOP/s of a large convolution, forward and backward: what this machine can do."""
    conv = torch.nn.Conv2d(256, 256, 3, padding=1).to(device)
    x = torch.randn(8, 256, 48, 64, device=device, requires_grad=True)
    if bf16:
        conv, x = (
            conv.to(memory_format=torch.channels_last),
            x.detach().contiguous(memory_format=torch.channels_last).requires_grad_(),
        )
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext():
            y = conv(x)
        y.float().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 3 * 2 * 8 * 48 * 64 * 256 * 256 * 9 / best / 1e9


def bf16_instructions(device: torch.device) -> str:
    """What the processor has for bf16, in words."""
    if device.type != "cpu":
        return torch.cuda.get_device_name()
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    found = [name for name in ("amx_bf16", "avx512_bf16") if name in flags]
    return f"processor with {', '.join(found)}" if found else "a processor without bf16 instructions"


def peak_memory(variant: str, width: float, size: tuple[int, int], count: int, queue: multiprocessing.Queue) -> None:
    """What two steps add to this process at most, in MiB."""
    keep_freed_memory()
    batch = make_batch(size, count)
    before = peak_resident()
    step = make_step(variant, width, batch)
    step()
    step()
    queue.put(peak_resident() - before)


def peak_resident() -> float:
    """The most memory this process has had, in MiB (getrusage would count the process that started this one)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def measure_memory(variant: str, width: float, size: tuple[int, int], count: int, device: str) -> float:
    """Peak memory of a variant: of the GPU, or of a process of its own."""
    if device == "cuda":
        step = make_step(variant, width, make_batch(size, count).to(device))
        torch.cuda.reset_peak_memory_stats()
        step()
        step()
        return torch.cuda.max_memory_allocated() / 2**20
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=peak_memory, args=(variant, width, size, count, queue))
    process.start()
    process.join()
    return float(queue.get())


def main() -> None:
    """Measure all variants and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), help="only these")
    parser.add_argument("--authors", type=Path, help="a checkout of the authors' code: their step beside ours")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    size = (options.size[0], options.size[1])
    if options.authors is not None:
        os.environ[AUTHORS] = str(options.authors.resolve())
    if options.variants is None:
        options.variants = [name for name in VARIANTS if VARIANTS[name].kind != "authors" or options.authors]
    keep_freed_memory()  # as `mtpsl train` does
    device = torch.device(options.device)
    batch = make_batch(size, options.batch).to(device)
    steps = {variant: make_step(variant, options.width, batch) for variant in options.variants}
    gflop = {}
    for variant, step in steps.items():
        with FlopCounterMode(display=False) as counter:
            step()
        gflop[variant] = counter.get_total_flops() / 1e9
    times: dict[str, list[float]] = {variant: [] for variant in options.variants}
    for _ in range(options.rounds):
        for variant, step in steps.items():
            start = time.perf_counter()
            step()
            times[variant].append(time.perf_counter() - start)
    peak = {bf16: peak_gflops(bf16, device) for bf16 in (False, True)}
    steps.clear()
    print(
        f"SegNet width {options.width:g}, batch {options.batch}, {size[0]} x {size[1]}, 3 tasks, one label per image, "
        f"{device}"
    )
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"peak {peak[False]:.0f} (fp32), {peak[True]:.0f} (bf16) GFLOP/s, {bf16_instructions(device)}\n"
    )
    print("| step | ms min | ms median | images/s (min) | GFLOP | share of peak | peak MiB |")
    print("|---|---|---|---|---|---|---|")
    rows = {}
    for variant in options.variants:
        fastest, median = min(times[variant]), statistics.median(times[variant])
        memory = measure_memory(variant, options.width, size, options.batch, device.type)
        share = gflop[variant] / fastest / peak[VARIANTS[variant].bf16]
        rows[variant] = {"min": fastest, "median": median, "gflop": gflop[variant], "mib": memory, "share": share}
        print(
            f"| {variant} | {1e3 * fastest:.0f} | {1e3 * median:.0f} | {options.batch / fastest:.1f} "
            f"| {gflop[variant]:.0f} | {share:.0%} | {memory:.0f} |",
            flush=True,
        )
    for views in ("1 view", "2 views"):
        for loop in (f"naive loop, {views}", f"loop, own layers, {views}", "authors, 2 views"):
            for ours in [name for name in times if name.startswith(f"cross_task, {views}")]:
                if loop not in times:
                    continue
                ratio = [a / b for a, b in zip(times[loop], times[ours], strict=True)]
                print(
                    f"\n{ours}: {min(times[loop]) / min(times[ours]):.2f} times the {loop} "
                    f"(paired median {statistics.median(ratio):.2f})"
                )
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"size": size, "batch": options.batch, "width": options.width, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()

"""Images/s, peak memory and arithmetic of a training step, beside a loop over images and pairs.

    python benchmarks/train_step.py [--width 1.0] [--batch 4] [--size 96 128] [--rounds 7]

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
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency, JointMappingOptions, Objective, Supervised
from mtpsl.objectives.distance import cosine_distance
from mtpsl.objectives.mapping import MappingNetwork
from mtpsl.objectives.mapping.layers import MappingLayer
from mtpsl.objectives.mapping.pairs import Pair
from mtpsl.structures import Batch, Sample
from mtpsl.tasks import Depth, Normals, Segmentation, Task
from mtpsl.training.malloc import keep_freed_memory

TASKS: list[Task] = [Segmentation(num_classes=13), Depth(), Normals()]
VARIANTS = {
    "supervised": ("supervised", 1, False),
    "supervised bf16": ("supervised", 1, True),
    "cross_task, 1 view": ("cross_task", 1, False),
    "cross_task, 1 view, bf16": ("cross_task", 1, True),
    "cross_task, 2 views": ("cross_task", 2, False),
    "cross_task, 2 views, bf16": ("cross_task", 2, True),
    "loop, own layers, 1 view": ("loop", 1, False),
    "loop, own layers, 2 views": ("loop", 2, False),
    "naive loop, 1 view": ("naive", 1, False),
    "naive loop, 2 views": ("naive", 2, False),
}


class PlainLayer(nn.Module):
    """Convolution, batch norm, FiLM and ReLU of a `MappingLayer`, one after another."""

    def __init__(self, layer: MappingLayer) -> None:
        super().__init__()
        self.conv, self.gamma, self.beta = layer.conv, layer.norm.gamma, layer.norm.beta
        self.norm = nn.BatchNorm2d(layer.conv.out_channels, track_running_stats=False)
        self.norm.weight, self.norm.bias = layer.norm.weight, layer.norm.bias

    def forward(self, x: Tensor, pair: Tensor) -> Tensor:
        """All four, for one image."""
        x = self.norm(self.conv(x))
        if self.gamma is not None and self.beta is not None:
            x = self.gamma[pair][:, :, None, None] * x + self.beta[pair][:, :, None, None]
        return F.relu(x)


class PlainMapping(nn.Module):
    """The mapping network as one would write it from the paper, with the weights of ours."""

    def __init__(self, mapping: MappingNetwork) -> None:
        super().__init__()
        self.inputs = nn.ModuleList(PlainLayer(layer) for layer in mapping.inputs)
        self.stages = nn.ModuleList(nn.ModuleList(PlainLayer(layer) for layer in stage) for stage in mapping.stages)
        self.halvings = mapping.halvings

    def stem(self, encoding: Tensor, task: int) -> Tensor:
        """The task's input layer."""
        return self.inputs[task](encoding, torch.tensor([0]))

    def forward(self, x: Tensor, pair: Tensor) -> Tensor:
        """Everything else, for one image and pair."""
        for number, stage in enumerate(self.stages):
            for layer in stage:
                x = layer(x, pair)
            x = F.max_pool2d(x, 2) if number < self.halvings else x
        return x


class Loop(CrossTaskConsistency):
    """The same losses from a loop over images and pairs, for comparison only."""

    def consistency(self, predictions: dict[str, Tensor], features: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Sum pair after pair."""
        totals: dict[str, Tensor] = {}
        for n in range(len(batch)):
            one = Batch(
                (batch.keys[n],),
                batch.images[n : n + 1],
                {name: x[n : n + 1] for name, x in batch.targets.items()},
                {name: x[n : n + 1] for name, x in batch.valid.items()},
            )
            labelled = [bool(one.labelled(task.name)) for task in self.tasks]
            for s in range(len(self.tasks)):
                for t in range(len(self.tasks)):
                    if labelled[s] or not labelled[t]:
                        continue
                    only = {
                        name: valid if name == self.tasks[t].name else torch.zeros_like(valid)
                        for name, valid in one.valid.items()
                    }
                    pair = CrossTaskPair(self, s, t)
                    name = f"{self.tasks[s].name}->{self.tasks[t].name}"
                    term = pair(
                        {key: x[n : n + 1] for key, x in predictions.items()},
                        features[n : n + 1],
                        Batch(one.keys, one.images, one.targets, only),
                    )
                    weight = 1 / (len(batch) * (len(self.tasks) - sum(labelled)))
                    totals[name] = totals.get(name, torch.zeros(())) + term * weight
        return totals


class CrossTaskPair:
    """One pair of one image."""

    def __init__(self, objective: CrossTaskConsistency, source: int, target: int) -> None:
        self.objective, self.source, self.target = objective, source, target

    def __call__(self, predictions: dict[str, Tensor], features: Tensor, one: Batch) -> Tensor:
        """Both sides, each in its own call."""
        tasks, mapping = self.objective.tasks, self.objective.mapping
        s, t = tasks[self.source], tasks[self.target]
        pair = torch.tensor([Pair(0, self.source, self.target).column(len(tasks))])
        source = mapping(mapping.stem(s.encode_prediction(predictions[s.name]), self.source), pair)
        label = t.encode_target(one.targets[t.name], one.valid[t.name])
        target = mapping(mapping.stem(label, self.target), pair)
        reference = features.detach()
        regularizer = cosine_distance(source, reference) + cosine_distance(target, reference)
        return (cosine_distance(source, target) + self.objective.regularizer * regularizer).sum()


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


def make_step(variant: str, width: float, batch: Batch) -> Callable[[], None]:
    """One optimization step of a variant, as a function."""
    kind, views, bf16 = VARIANTS[variant]
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in TASKS}, width=width)
    objective: Objective
    if kind == "supervised":
        objective = Supervised(TASKS, network)
    else:
        kinds = {"cross_task": CrossTaskConsistency, "loop": Loop, "naive": Loop}
        objective = kinds[kind](TASKS, network, views=views, mapping=JointMappingOptions(width=width))
        if kind == "naive":
            objective.mapping = PlainMapping(objective.mapping)
    device = batch.images.device
    network.to(device), objective.to(device)
    images = batch.images
    if bf16:
        network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    data = Batch(batch.keys, images, batch.targets, batch.valid)
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
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), help="only these")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    size = (options.size[0], options.size[1])
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
        f"peak {peak[False]:.0f} (fp32), {peak[True]:.0f} (bf16) GFLOP/s\n"
    )
    print("| step | ms min | ms median | images/s (min) | GFLOP | share of peak | peak MiB |")
    print("|---|---|---|---|---|---|---|")
    rows = {}
    for variant in options.variants:
        fastest, median = min(times[variant]), statistics.median(times[variant])
        memory = measure_memory(variant, options.width, size, options.batch, device.type)
        share = gflop[variant] / fastest / peak[VARIANTS[variant][2]]
        rows[variant] = {"min": fastest, "median": median, "gflop": gflop[variant], "mib": memory, "share": share}
        print(
            f"| {variant} | {1e3 * fastest:.0f} | {1e3 * median:.0f} | {options.batch / fastest:.1f} "
            f"| {gflop[variant]:.0f} | {share:.0%} | {memory:.0f} |",
            flush=True,
        )
    for views in ("1 view", "2 views"):
        for loop in (f"naive loop, {views}", f"loop, own layers, {views}"):
            for ours in (f"cross_task, {views}", f"cross_task, {views}, bf16"):
                if loop not in times or ours not in times:
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

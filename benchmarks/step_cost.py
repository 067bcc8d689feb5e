"""Time and memory of a training step of every objective and weighting, and how they grow with the number of tasks.

    python benchmarks/step_cost.py methods [--rounds 5]
    python benchmarks/step_cost.py growth [--rounds 5] [--plot benchmarks/growth.svg]

Steps are timed in turn, round by round, so that a slow moment of the machine hits all alike: minimum and median. Memory
is what two steps add at most to a process of their own. SegNet and mappings at a quarter of the width, batch 8,
64 x 96, one label per image.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from train_step import peak_resident

from mtpsl.networks import SegNet
from mtpsl.objectives import OBJECTIVES, Extensions
from mtpsl.structures import Batch, Sample
from mtpsl.tasks import Depth, Normals, Segmentation, Task
from mtpsl.training.malloc import keep_freed_memory
from mtpsl.weighting import WEIGHTINGS

SIZE, BATCH, WIDTH = (64, 96), 8, 0.25
GROWTH = {
    "supervised": ("supervised", {}),
    "cross_task, all pairs": ("cross_task", {"views": 1}),
    "cross_task, extensions.max_pairs 2": ("cross_task", {"views": 1, "extensions": Extensions(max_pairs=2)}),
    "jtr": ("jtr", {}),
}


def make_tasks(count: int) -> list[Task]:
    """Segmentation, depth, normals, segmentation, depth, ..."""
    kinds: list[Callable[[str], Task]] = [lambda name: Segmentation(name, num_classes=13), Depth, Normals]
    return [kinds[index % 3](f"task{index}") for index in range(count)]


def make_batch(tasks: list[Task]) -> Batch:
    """Random images with one label each, in turn."""
    random = torch.Generator().manual_seed(0)
    samples = []
    for index in range(BATCH):
        task = tasks[index % len(tasks)]
        target = torch.rand(task.target_spec.shape(*SIZE), generator=random) + 0.5
        if task.target_spec.channels == 0:
            target = torch.randint(0, 13, SIZE, generator=random)
        elif task.target_spec.channels == 3:
            target = torch.nn.functional.normalize(target, dim=0)
        valid = {task.name: torch.ones(SIZE, dtype=torch.bool)}
        samples.append(Sample(str(index), torch.rand((3, *SIZE), generator=random), {task.name: target}, valid))
    return Batch.collate(samples, {task.name: task.target_spec for task in tasks})


def make_step(count: int, objective: str, options: Mapping[str, Any], weighting: str = "uniform") -> Callable[[], None]:
    """One optimization step, as a function."""
    torch.manual_seed(0)
    tasks = make_tasks(1 if objective == "stl" else count)
    network = SegNet({task.name: task.out_channels for task in tasks}, width=WIDTH)
    known = OBJECTIVES[objective].__init__.__kwdefaults__ or {}
    mapping = {"mapping": dataclasses.replace(known["mapping"], width=WIDTH)} if "mapping" in known else {}
    chosen = {**mapping, **options}
    method = OBJECTIVES[objective](tasks, network, **chosen)
    method.set_progress(0.5)
    balance = WEIGHTINGS[weighting]([task.name for task in tasks])
    batch = make_batch(tasks)
    modules = (network, method, balance)
    optimizer = torch.optim.Adam([p for module in modules for p in module.parameters()], lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        balance.backward(method(network, batch), network, batch, others=method.parameters())
        optimizer.step()

    return step


def peak_memory(arguments: tuple[Any, ...], queue: multiprocessing.Queue) -> None:
    """What two steps add to this process at most, in MiB."""
    keep_freed_memory()
    before = peak_resident()
    step = make_step(*arguments)
    step()
    step()
    queue.put(peak_resident() - before)


def measure(steps: Mapping[str, tuple[Any, ...]], rounds: int) -> dict[str, tuple[float, float, float]]:
    """Fastest and median time in seconds, and memory in MiB, of every step."""
    keep_freed_memory()
    made = {name: make_step(*arguments) for name, arguments in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in made}
    for turn in range(rounds + 1):
        for name, step in made.items():
            start = time.perf_counter()
            step()
            if turn:  # the first warms up
                times[name].append(time.perf_counter() - start)
    made.clear()
    context = multiprocessing.get_context("spawn")
    memory = {}
    for name, arguments in steps.items():
        queue = context.Queue()
        process = context.Process(target=peak_memory, args=(arguments, queue))
        process.start()
        memory[name] = float(queue.get())
        process.join()
    return {name: (min(times[name]), statistics.median(times[name]), memory[name]) for name in steps}


def methods(rounds: int) -> None:
    """Print the cost of every objective and weighting for three tasks."""
    steps: dict[str, tuple[Any, ...]] = {name: (3, name, {}) for name in OBJECTIVES}
    steps["cross_task"] = (3, "cross_task", {"views": 1})
    steps["cross_task, 2 views"] = (3, "cross_task", {"views": 2})
    steps |= {f"supervised + {name}": (3, "supervised", {}, name) for name in WEIGHTINGS if available(name)}
    found = measure(steps, rounds)
    base = found["supervised"]
    print("| step | ms min | ms median | times supervised | MiB | times supervised |\n|---|--:|--:|--:|--:|--:|")
    for name, (fastest, median, memory) in found.items():
        print(
            f"| {name} | {1e3 * fastest:.0f} | {1e3 * median:.0f} | {fastest / base[0]:.2f} "
            f"| {memory:.0f} | {memory / base[2]:.2f} |"
        )


def available(weighting: str) -> bool:
    """Whether a weighting's solver is installed."""
    try:
        make_step(3, "supervised", {}, weighting)
    except ValueError as error:
        print(f"left out: {error}\n")
        return False
    return True


def growth(rounds: int, plot: Path | None) -> None:
    """Print, and draw, the cost for 2 to 8 tasks."""
    counts = list(range(2, 9))
    steps = {f"{name}/{count}": (count, *method) for name, method in GROWTH.items() for count in counts}
    found = measure(steps, rounds)
    for index, title in enumerate(("ms per step (min)", "ms per step (median)", "MiB")):
        scale = 1 if index == 2 else 1e3
        print(f"\n{title}\n\n| tasks | {' | '.join(map(str, counts))} |\n|---|{'--:|' * len(counts)}")
        for name in GROWTH:
            figures = [scale * found[f"{name}/{count}"][index] for count in counts]
            print(f"| {name} | {' | '.join(f'{x:.0f}' for x in figures)} |")
    if plot:
        draw(counts, found, plot)


def draw(counts: list[int], found: Mapping[str, tuple[float, float, float]], path: Path) -> None:
    """Time and memory by the number of tasks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, index, label in zip(figure.subplots(1, 2), (0, 2), ("seconds per step", "MiB"), strict=True):
        for name in GROWTH:
            axes.plot(counts, [found[f"{name}/{count}"][index] for count in counts], marker="o", label=name)
        axes.set(xlabel="tasks", ylabel=label, ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    figure.savefig(path)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["methods", "growth"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}\n")
    if options.what == "methods":
        methods(options.rounds)
    else:
        growth(options.rounds, options.plot)


if __name__ == "__main__":
    main()

"""Memory and time of a training step of the PASCAL-Context recipe: five tasks, 512 x 512, batch 6, one label per image.

    python benchmarks/pascal_step.py [--size 512 512] [--batch 6] [--steps 1]

The shipped recipe `pascal_one_label` on random images, as it is (cross_task, two views), with one view, with the
mapping computed again in the backward pass, and with `supervised`. Memory is what the steps add at most to a process of
their own (on a GPU: what torch allocates at most); beside it what the tensors of a step take at most, which leaves out
weights, scratch space of the kernels and holes between buffers.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import time
import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from train_step import peak_resident

from mtpsl.shipped_files import find
from mtpsl.structures import Batch, Sample
from mtpsl.tasks import Edges, HumanParts, Normals, Saliency, Segmentation, Task
from mtpsl.training.build import build_network, build_objective
from mtpsl.training.config import read_config
from mtpsl.training.malloc import keep_freed_memory
from mtpsl.training.option_groups import merge_options

TASKS: list[Task] = [Segmentation(num_classes=21), HumanParts(), Normals(loss="l1"), Saliency(), Edges()]
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "supervised": ("supervised", {}),
    "cross_task, 1 view": ("cross_task", {"views": 1}),
    "cross_task, 2 views": ("cross_task", {"views": 2}),
    "cross_task, 1 view, mapping.checkpoint": ("cross_task", {"views": 1, "mapping": {"checkpoint": True}}),
    "cross_task, 2 views, mapping.checkpoint": ("cross_task", {"views": 2, "mapping": {"checkpoint": True}}),
}


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of all tensors that operations made and that are still there; `peak` is the most."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count what one operation returns."""
        result = func(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if isinstance(x, torch.Tensor) and x.untyped_storage()._cdata not in self.known:
                storage = x.untyped_storage()
                self.known.add(storage._cdata)
                self.bytes += storage.nbytes()
                weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.bytes)
        return result

    def _gone(self, storage: int, count: int) -> None:
        self.known.discard(storage)
        self.bytes -= count


def make_batch(size: tuple[int, int], count: int) -> Batch:
    """Random images with one label each, in turn."""
    random = torch.Generator().manual_seed(0)
    samples = []
    for index in range(count):
        task = TASKS[index % len(TASKS)]
        target = torch.rand(task.target_spec.shape(*size), generator=random)
        if task.target_spec.channels == 0:
            target = torch.randint(0, task.out_channels, size, generator=random)
        elif task.target_spec.channels == 3:
            target = torch.nn.functional.normalize(target, dim=0)
        else:
            target = (target < 0.1).float()
        valid = {task.name: torch.ones(size, dtype=torch.bool)}
        samples.append(Sample(str(index), torch.rand((3, *size), generator=random), {task.name: target}, valid))
    return Batch.collate(samples, {task.name: task.target_spec for task in TASKS})


def measure(
    variant: str, size: tuple[int, int], count: int, steps: int, device: str, queue: multiprocessing.Queue
) -> None:
    """MiB at most, those of tensors, and the seconds of each step."""
    keep_freed_memory()
    name, options = VARIANTS[variant]
    config = read_config(find("recipes", "pascal_one_label"))
    if name == "supervised":
        options = {"losses": config.objective_options["losses"]}
    else:
        options = merge_options(config.objective_options, options)
    config = dataclasses.replace(config, objective=name, objective_options=options)
    batch = make_batch(size, count).to(torch.device(device))
    before = peak_resident()
    network = build_network(config, TASKS, pretrained=False).to(device)
    objective = build_objective(config, TASKS, network).to(device)
    optimizer = torch.optim.Adam([*network.parameters(), *objective.parameters()], lr=1e-4)

    def step(data: Batch) -> float:
        start = time.perf_counter()
        loss = objective(network, data).total()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    step(make_batch((64, 64), count).to(torch.device(device)))  # now the optimizer has its state
    times = [step(batch) for _ in range(steps)]
    peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else peak_resident() - before
    with LiveTensors() as tensors:
        step(batch)
    queue.put((peak, tensors.peak / 2**20, times))


def main() -> None:
    """Print one row per variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 512))
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), help="only these")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.device}\n")
    print("| step | peak GiB | of it tensors | s (min of steps) |\n|---|--:|--:|--:|")
    context = multiprocessing.get_context("spawn")
    for variant in options.variants:
        queue = context.Queue()
        arguments = (variant, tuple(options.size), options.batch, options.steps, options.device, queue)
        process = context.Process(target=measure, args=arguments)
        process.start()
        process.join()
        if process.exitcode:
            print(f"| {variant} | does not fit (exit code {process.exitcode}) | – | – |", flush=True)
            continue
        peak, tensors, times = queue.get()
        print(f"| {variant} | {peak / 1024:.1f} | {tensors / 1024:.1f} | {min(times):.1f} |", flush=True)


if __name__ == "__main__":
    main()

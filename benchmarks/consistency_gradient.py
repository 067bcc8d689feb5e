"""What the cross-task term asks of the predictions, against what the hidden labels would ask.

    python benchmarks/consistency_gradient.py runs/indoor/cross_task-0 [RUN ...]

For every pair s->t of a trained run, on batches of its training images: the cosine between the gradient of the pair's
term and the gradient that the hidden labels of s would give (1: the term replaces the missing labels; 0: it says
nothing about them), at the network's parameters, for each batch (mean ± standard error) and for the sum over
batches; and the size of the term's gradient at the prediction, relative to the hidden labels'.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from mtpsl.structures import Batch
from mtpsl.training.run_data import run_data
from mtpsl.training.trained import load_run


def main() -> None:
    """Print a table for every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--batches", type=int, default=15)
    options = parser.parse_args()
    for path in options.runs:
        print(f"\n{path}\n\n| pair | cosine, by batch | cosine, summed | size |\n|---|--:|--:|--:|")
        for pair, row in measure(path, options.batches).items():
            print(f"| {pair} | {row[0]:+.2f} ± {row[1]:.2f} | {row[2]:+.2f} | {row[3]:.2f} |")


def measure(path: Path, batches: int) -> dict[str, tuple[float, float, float, float]]:
    """Mean and standard error of the cosine, the cosine of the sums, and the relative size, by pair."""
    run = load_run(path)
    few, every = run_data(run.config), run_data(replace(run.config, data=replace(run.config.data, regime="full")))
    network, objective, tasks = run.network.train(), run.objective.eval(), run.tasks
    objective.set_progress(1.0)
    specs = {task.name: task.target_spec for task in tasks}
    parameters = list(network.parameters())

    def gradient(loss: Tensor) -> Tensor:
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        return torch.cat(
            [
                torch.zeros_like(p).flatten() if g is None else g.flatten()
                for p, g in zip(parameters, found, strict=True)
            ]
        )

    cosines, sizes = defaultdict(list), defaultdict(list)
    sums: dict[str, list[Tensor]] = {}
    torch.manual_seed(0)
    for _ in track(range(batches), "batches", transient=True):
        rows = torch.randperm(len(few.train))[: run.config.training.batch_size].tolist()
        batch = Batch.collate([few.train[i] for i in rows], specs)
        full = Batch.collate([every.train[i] for i in rows], specs)
        output = network(batch.images)
        terms = objective.consistency(output.predictions, output.features[objective.place], batch)  # type: ignore
        for task in tasks:
            prediction = output.predictions[task.name]
            hidden = task.loss(prediction, full.targets[task.name], full.valid[task.name])
            loss = (hidden * ~batch.labelled(task.name)).mean()
            wanted, size = gradient(loss), torch.autograd.grad(loss, prediction, retain_graph=True)[0].norm()
            for name, term in terms.items():
                if name.split("->")[0] != task.name or not term.detach():
                    continue
                found = gradient(term)
                cosines[name].append(torch.cosine_similarity(found, wanted, 0))
                sizes[name].append(torch.autograd.grad(term, prediction, retain_graph=True)[0].norm() / size)
                total = sums.setdefault(name, [torch.zeros_like(found), torch.zeros_like(found)])
                total[0] += found
                total[1] += wanted
    return {
        name: (
            float(torch.stack(values).mean()),
            float(torch.stack(values).std()) / math.sqrt(len(values)),
            float(torch.cosine_similarity(*sums[name], 0)),
            float(torch.stack(sizes[name]).mean()),
        )
        for name, values in cosines.items()
    }


if __name__ == "__main__":
    main()

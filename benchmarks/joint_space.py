"""How near predictions come to other tasks' labels in the joint space of a cross_task run, beside true labels.

    python benchmarks/joint_space.py runs/cross_1 runs/supervised_1

The first run gives the mapping. For every pair s->t, on validation images that have both labels: the mean cosine
distance of the mapped label of s to the mapped label of t, then that of each run's mapped prediction of s to the same,
and to the label of s. A prediction that is nearer to t than its own label is shows what s does not.

Then, for runs that predict depth: its absolute error, and how well its boundaries are found. A boundary is a pixel
around which (3 x 3) depth differs by more than a tenth; it is found if the other map has one within a pixel.
"""

from __future__ import annotations

import argparse
from itertools import permutations
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mtpsl.objectives.cross_task import CrossTaskConsistency
from mtpsl.objectives.distance import cosine_distance
from mtpsl.objectives.mapping.pairs import Pair, Side
from mtpsl.structures import Batch
from mtpsl.training.run_data import run_data
from mtpsl.training.trained import TrainedRun, load_run

JUMP = 0.1
"""Relative difference of depth at a boundary."""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--every", type=int, default=2, help="take one of so many validation images")
    options = parser.parse_args()
    runs = {path.name: load_run(path) for path in options.runs}
    first = next(iter(runs.values()))
    objective = first.objective.eval()
    if not isinstance(objective, CrossTaskConsistency):
        parser.error(f"{options.runs[0]} should be a run of cross_task")
    held_out = run_data(first.config).validation
    specs = {task.name: task.target_spec for task in first.tasks}
    batch = Batch.collate([held_out[row] for row in range(0, len(held_out), options.every)], specs)
    predictions = {name: predict(run, batch) for name, run in runs.items()}
    heads = [f"{name} to {end}" for name in runs for end in ("t", "its own label")]
    print(f"{len(batch)} images\n\n| pair | label to t | {' | '.join(heads)} |\n|---|{'--:|' * (1 + len(heads))}")
    for s, t in permutations(range(len(first.tasks)), 2):
        print(f"| {objective.pair_name(s, t)} | {' | '.join(distances(objective, batch, predictions, s, t))} |")
    if "depth" in specs:
        print("\n| run | depth error | boundaries: precision | recall | F |\n|---|--:|--:|--:|--:|")
        for name, found in predictions.items():
            print(f"| {name} | {' | '.join(depth_scores(found['depth'], batch))} |")


@torch.no_grad()
def predict(run: TrainedRun, batch: Batch) -> dict[str, Tensor]:
    """A run's raw predictions of all images."""
    parts = [run.network(images).predictions for images in batch.images.split(16)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@torch.no_grad()
def distances(
    objective: CrossTaskConsistency, batch: Batch, predictions: dict[str, dict[str, Tensor]], s: int, t: int
) -> list[str]:
    """The distances of a pair: of its labels, and of each run's prediction to either."""
    torch.manual_seed(0)  # predicted classes are drawn
    both = objective.labelled(batch)[:, [s, t]].all(1).nonzero()[:, 0].tolist()
    pairs = [Pair(image, s, t) for image in both]
    label = objective.map_sides({}, batch, [Side.label(pair) for pair in pairs])
    own = objective.map_sides({}, batch, [Side.source_label(pair) for pair in pairs])
    row = [cosine_distance(own, label)]
    for found in predictions.values():
        mapped = objective.map_sides(found, batch, [Side.prediction(pair) for pair in pairs])
        row += [cosine_distance(mapped, label), cosine_distance(mapped, own)]
    return [f"{value.mean():.3f}" for value in row]


def depth_scores(prediction: Tensor, batch: Batch) -> list[str]:
    """Absolute error, and precision, recall and F of boundaries."""
    target, valid = batch.targets["depth"].flatten(0, -3)[:, None], batch.valid["depth"][:, None]
    prediction = prediction.clamp(min=1e-2)
    found, true = (boundaries(x.clamp(min=1e-2)) for x in (prediction, target))
    precision = ((found & around(true) & valid).sum() / (found & valid).sum()).item()
    recall = ((true & around(found) & valid).sum() / (true & valid).sum()).item()
    error = (prediction - target).abs()[valid].mean().item()
    return [f"{error:.3f}", *(f"{x:.3f}" for x in (precision, recall, 2 * precision * recall / (precision + recall)))]


def boundaries(depth: Tensor) -> Tensor:
    """Where depth differs much from that of a neighbor."""
    x = depth.log()
    return F.max_pool2d(x, 3, 1, 1) + F.max_pool2d(-x, 3, 1, 1) > JUMP


def around(flags: Tensor) -> Tensor:
    """True within a pixel of what is true."""
    return F.max_pool2d(flags.float(), 3, 1, 1) > 0


if __name__ == "__main__":
    main()

"""The pictures in a run folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from rich.console import Console
from torch import Tensor, nn

from mtpsl.files import write_atomically
from mtpsl.objectives import CrossTaskConsistency, Objective
from mtpsl.structures import Batch
from mtpsl.tasks import Task
from mtpsl.visualization.mapped import draw_mapped
from mtpsl.visualization.relations import draw_relations
from mtpsl.visualization.sheets import save_sheets

COLLAPSED = 0.01
"""The distance below which maps of different pairs are called alike."""


def draw_pictures(
    network: nn.Module,
    objective: Objective,
    tasks: list[Task],
    batches: Iterable[Batch],
    out: Path,
    limit: int,
) -> None:
    """Draw a sheet per image; for cross-task consistency also the first image's mapped features and the relations.

    Args:
        network: as it was trained.
        objective: as it was trained with.
        tasks: the tasks of both.
        batches: images with labels.
        out: the folder to draw into.
        limit: how many images.
    """
    some = list(islice(batches, limit))
    save_sheets(network, tasks, some, out / "sheets", limit=limit)
    if isinstance(objective, CrossTaskConsistency) and some:
        draw_mapped_pairs(network, objective, some[0], out / "mapped")
        relations = objective.relations
        names = [task.name for task in tasks]
        draw_relations(names, relations.gain().cpu(), relations.related, out / "relations.png", "Related tasks")


@torch.no_grad()
def draw_mapped_pairs(network: nn.Module, objective: CrossTaskConsistency, batch: Batch, out: Path) -> None:
    """Draw what the mapping makes of the batch's first image, for every pair whose target is labelled there."""
    device = next(network.parameters()).device
    first = Batch(
        batch.keys[:1],
        batch.images[:1],
        {name: x[:1] for name, x in batch.targets.items()},
        {name: x[:1] for name, x in batch.valid.items()},
    ).to(device)
    network.eval()
    maps = objective.mapped_features(network(first.images).predictions, first)
    if maps:
        if (distance := distance_of_pairs(maps)) < COLLAPSED:
            Console(stderr=True).print(
                f"[yellow]note[/] the mapping has collapsed: maps of different pairs of tasks are alike (cosine "
                f"distance {distance:.4f}), so what the term asks says little; larger images give it more places",
                soft_wrap=True,
                highlight=False,
            )
        shown = {name: (source[0].float().cpu(), target[0].float().cpu()) for name, (source, target) in maps.items()}
        picture = draw_mapped(first.images[0].cpu(), shown, title=f"{batch.keys[0]}: mapped features")
        write_atomically(out / f"{Path(batch.keys[0]).name}.png", picture.save)


def distance_of_pairs(maps: Mapping[str, tuple[Float[Tensor, "1 d h w"], Float[Tensor, "1 d h w"]]]) -> float:
    """Mean cosine distance between any two of the maps of one image: 0 where the mapping makes all alike."""
    units = F.normalize(torch.cat([x.float() for pair in maps.values() for x in pair]), dim=1)
    return float(1 - units.mean(0).square().sum(0).mean())

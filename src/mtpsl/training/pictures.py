"""The pictures in a run folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
"""The distance below which maps of different images are called alike."""


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
        draw_mapped_pairs(network, objective, some, out / "mapped")
        relations = objective.relations
        names = [task.name for task in tasks]
        draw_relations(names, relations.gain().cpu(), relations.related, out / "relations.png", "Related tasks")


@torch.no_grad()
def draw_mapped_pairs(network: nn.Module, objective: CrossTaskConsistency, batches: Sequence[Batch], out: Path) -> None:
    """Draw what the mapping makes of an image, for every pair whose target is labelled there, and say if it is nothing.

    Args:
        network: as it was trained.
        objective: its mapping is drawn.
        batches: all their images are mapped, and the first that has a pair is drawn.
        out: the folder to draw into.
    """
    network.eval()
    device = next(network.parameters()).device
    mapped = []
    with torch.random.fork_rng():  # classes are drawn: the same ones whenever a run's pictures are drawn
        torch.manual_seed(0)
        for batch in batches:
            for index in range(len(batch)):
                image = one_image(batch, index).to(device)
                if maps := objective.mapped_features(network(image.images).predictions, image):
                    mapped.append((image, maps))
    if not mapped:
        return
    first, maps = mapped[0]
    title = f"{first.keys[0]}: mapped features"
    if (distance := distance_of_images([maps for _, maps in mapped])) is not None:
        title = f"{title}; those of other images are {distance:.3g} away (mean cosine distance)"
        if distance < COLLAPSED:
            Console(stderr=True).print(
                "[yellow]note[/] the mapping has collapsed: maps of different images are alike (mean cosine distance "
                f"{distance:.2g}), so what the term asks says little; a finer map (--objective.mapping.level) and "
                "--objective.mapping.center true give it more to tell apart",
                soft_wrap=True,
                highlight=False,
            )
    shown = {name: (source[0].float().cpu(), target[0].float().cpu()) for name, (source, target) in maps.items()}
    picture = draw_mapped(first.images[0].cpu(), shown, title=title)
    write_atomically(out / f"{Path(first.keys[0]).name}.png", picture.save)


def one_image(batch: Batch, index: int) -> Batch:
    """The batch of one image."""
    one = slice(index, index + 1)
    return Batch(
        batch.keys[one],
        batch.images[one],
        {name: x[one] for name, x in batch.targets.items()},
        {name: x[one] for name, x in batch.valid.items()},
        cameras=None if batch.cameras is None else batch.cameras[one],
    )


Maps = Mapping[str, tuple[Float[Tensor, "1 d h w"], Float[Tensor, "1 d h w"]]]


def distance_of_images(maps: Sequence[Maps]) -> float | None:
    """Mean cosine distance between maps of different images at one place, over pairs of tasks and both their sides.

    Near 0 the mapping makes the same of every image, the trivial solution: predictions and labels agree whatever they
    say. None where no two images have a pair of tasks in common.
    """
    distances = []
    for name in dict.fromkeys(name for one in maps for name in one):
        for side in (0, 1):
            units = F.normalize(torch.cat([one[name][side].float() for one in maps if name in one]), dim=1)
            if (count := len(units)) > 1:
                cosines = units.sum(0).square().sum(0) - units.square().sum((0, 1))  # over ordered pairs of images
                distances.append(1 - cosines.mean() / (count * (count - 1)))
    return float(torch.stack(distances).mean()) if distances else None

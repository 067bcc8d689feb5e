"""A training step of the authors' code (github.com/VICO-UoE/MTPSL), from a checkout of one's own.

Only their networks, losses and mapping are used: `model/segnet_mtl.py`, `model/mapfns.py`. The step follows their
description: two views in one pass, then image by image the losses of all tasks and the consistency of all pairs, then
both optimizers. What their script does beside (loading, training metrics, logs) is left out.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def make_authors_step(checkout: Path, images: Tensor, labels: tuple[Tensor, Tensor, Tensor]) -> Callable[[], None]:
    """One optimization step of theirs, as a function.

    Args:
        checkout: the folder of their repository.
        images: (b, 3, h, w); both views are these.
        labels: segmentation (b, h, w), depth (b, 1, h, w) and normals (b, 3, h, w) of all images, of which the step
            takes one per image, in turn.
    """
    if not (checkout / "model" / "mapfns.py").is_file():
        raise SystemExit(f"--authors {checkout}: no checkout of their code: it has no model/mapfns.py")
    sys.path.insert(0, str(checkout))
    if images.device.type == "cpu":  # their code moves what it makes to a GPU
        torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    torch.manual_seed(0)
    network: Any = importlib.import_module("model.segnet_mtl").SegNet().to(images.device).train()
    mapping: Any = importlib.import_module("model.mapfns").Mapfns().to(images.device).train()
    film = {name for name, _ in mapping.named_parameters() if "gamma" in name or "beta" in name}
    main = [*network.parameters(), *(p for name, p in mapping.named_parameters() if name not in film)]
    optimizers = [
        torch.optim.Adam(main, lr=1e-4),
        torch.optim.Adam([p for name, p in mapping.named_parameters() if name in film], lr=1e-3),
    ]
    count = len(images)
    has = torch.eye(3, device=images.device)[torch.arange(count) % 3]

    def step() -> None:
        predictions, _, features = network(torch.cat([images, images]))
        loss = torch.zeros((), device=images.device)
        for image in range(count):
            own = [label[image : image + 1] for label in labels]
            first = [x[image : image + 1] for x in predictions]
            second = [x[count + image : count + image + 1] for x in predictions]
            losses = network.model_fit(*(x for pair in zip(first, own, strict=True) for x in pair))
            supervised = torch.stack([x for x, there in zip(losses, has[image], strict=True) if there])
            feature = features[0][count + image : count + image + 1]
            consistency = mapping(second, own, feature, has[image].clone(), ssl_type="onelabel")
            loss = loss + (supervised.sum() + 2 * consistency) / count
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()

    return step

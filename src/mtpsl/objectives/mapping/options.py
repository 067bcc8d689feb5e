"""The options of mapping networks, written down once for all objectives that have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mtpsl.options import check_at_least_one, check_choice, check_positive


@dataclass(frozen=True, kw_only=True)
class MappingOptions:
    """The mapping networks.

    Args:
        lr: learning rate of the mapping, by default that of the network.
        width: factor on the mapping's channels, 1 as published.
    """

    lr: float | None = None
    width: float = 1.0

    def __post_init__(self) -> None:
        check_positive(**{"mapping.lr": self.lr, "mapping.width": self.width})


@dataclass(frozen=True, kw_only=True)
class JointMappingOptions(MappingOptions):
    """The mapping network to the joint spaces of pairs of tasks.

    Args:
        network: the mapping's architecture: `segnet` (published for NYU-v2 and Cityscapes) or `resnet18` (for PASCAL).
        conditional: condition the mapping on the pair; without it one mapping serves all pairs ("w/o cond").
        film_lr: learning rate of the conditioning, by default that of the mapping (the authors: 1e-3 on NYU-v2).
        film_halving: halve `film_lr` after every so many epochs (the authors: 30).
        stride: 2 computes the mapping at half resolution, with about a quarter of its operations.
        checkpoint: keep only what each stage of the mapping takes in, and compute the stage again in the backward pass:
            less memory, a second forward pass of the mapping, the same result.
        level: compare the pairs at the network's map that is smaller than the image by this factor, such as 8: maps in
            which boundaries can be seen, at several times the cost. By default at its last map (the paper).
        center: subtract each map's mean over its image, channel by channel, before maps are compared. Maps behind a
            ReLU are all positive and their cosines near 1 to begin with; what is left differs from place to place.
            Not the paper's.
    """

    network: Literal["segnet", "resnet18"] = "segnet"
    conditional: bool = True
    film_lr: float | None = None
    film_halving: int | None = None
    stride: int = 1
    checkpoint: bool = False
    level: int | None = None
    center: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(("segnet", "resnet18"), **{"mapping.network": self.network})
        check_choice((1, 2), **{"mapping.stride": self.stride})
        check_positive(**{"mapping.film_lr": self.film_lr})
        check_at_least_one(**{"mapping.film_halving": self.film_halving, "mapping.level": self.level})
        for name, value in {"film_lr": self.film_lr, "film_halving": self.film_halving}.items():
            if value is not None and not self.conditional:
                raise ValueError(
                    f"mapping.{name} belongs to a mapping that is conditioned on the pair (mapping.conditional true): "
                    f"switch it off with --objective.mapping.{name} null"
                )

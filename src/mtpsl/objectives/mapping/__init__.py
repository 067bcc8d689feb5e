"""The mapping networks: from what is known of one task to something that can be compared with another.

- `base.py`: what a mapping to the joint space of a pair of tasks is (`PairMapping`), and how a CPU takes its rows;
- `segnet.py`, `resnet18.py`: the two published ones, made of `layers.py` (a convolution, the norm of a row, FiLM);
- `pair_maps.py`: a whole network for every ordered pair of tasks instead of a conditional one;
- `pairs.py`: which pairs of tasks an image has.

Open `segnet.py` first.
"""

from mtpsl.objectives.mapping.base import PairMapping
from mtpsl.objectives.mapping.resnet18 import ResidualMapping
from mtpsl.objectives.mapping.segnet import MappingNetwork

MAPPINGS: dict[str, type[MappingNetwork] | type[ResidualMapping]] = {
    "segnet": MappingNetwork,
    "resnet18": ResidualMapping,
}

__all__ = ["MAPPINGS", "MappingNetwork", "PairMapping", "ResidualMapping"]

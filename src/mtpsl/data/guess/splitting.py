"""How to divide images that lie together into those for training and for validation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from mtpsl.data.layouts.hash_split import HashSplit

#: how many seeds are tried
SEEDS = 50
#: fewer sequences cannot be divided well
FEWEST = 5


def guess_split(
    images: Collection[str], labels: Mapping[str, Collection[str]], val: float, group: str | None
) -> tuple[HashSplit, str]:
    """A split of about the wanted share with labels of every task on both sides, and why it is so.

    Args:
        images: names of the images.
        labels: names of the images that have a label, by task.
        val: the wanted share of validation.
        group: `sequence`, `image` or a regular expression; by default guessed from the names.
    """
    why = "by a hash of an image's name: none changes side when images are added"
    if group is None:
        split = HashSplit(group="sequence")
        sizes = Counter(split.group_of(image) for image in images)
        group = "sequence" if _sequences(sizes) else "image"
        if group == "sequence":
            why += "; frames of one sequence (names up to the last number) stay together"
        elif 1 < len(sizes) < FEWEST and len(images) >= 10 * len(sizes):
            why += f"; names look like {len(sizes)} sequences, which --group sequence would keep together"
    chosen = None if group == "image" else group
    wanted = val * len(images)

    def distance(seed: int) -> float:
        split = HashSplit(val=val, group=chosen, seed=seed)
        held = {image for image in images if split.of(image) == "val"}
        one_sided = sum(not held & {*keys} or not {*keys} - held for keys in labels.values() if len({*keys}) > 1)
        return abs(len(held) - wanted) + len(images) * one_sided

    distances = {seed: distance(seed) for seed in range(SEEDS if len(images) < 20_000 else 1)}
    near = [seed for seed, far in distances.items() if far <= 0.1 * wanted]
    seed = near[0] if near else min(distances, key=lambda seed: distances[seed])
    return HashSplit(val=val, group=chosen, seed=seed), why


def _sequences(sizes: Counter[str]) -> bool:
    """Whether names look like frames of sequences: several of each, and none that is most of the set."""
    images = sizes.total()
    return len(sizes) >= FEWEST and images >= 2 * len(sizes) and max(sizes.values()) <= 0.5 * images

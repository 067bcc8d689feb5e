"""A large picture in overlapping tiles whose predictions are blended."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

#: which share of a tile the next one covers, too
OVERLAP = 1 / 4

Raw = dict[str, Tensor]
Span = tuple[int, int]


def spans(length: int, tile: int) -> list[Span]:
    """Begin and end of the tiles along one side: as few and as small as cover it, all of one length.

    >>> spans(100, 200), spans(300, 200)
    ([(0, 100)], [(0, 175), (125, 300)])
    """
    if length <= tile:
        return [(0, length)]
    overlap = int(tile * OVERLAP)
    count = math.ceil((length - overlap) / (tile - overlap))
    side = math.ceil((length + (count - 1) * overlap) / count)
    starts = [round(number * (length - side) / (count - 1)) for number in range(count)]
    return [(start, start + side) for start in starts]


def weights(number: int, tiles: list[Span]) -> Float[Tensor, " n"]:
    """The weight of a tile's pixels along one side: it rises and falls where the neighbors overlap; all sum to 1."""
    start, stop = tiles[number]
    weight = torch.ones(stop - start)
    if number:
        overlap = tiles[number - 1][1] - start
        weight[:overlap] = rising(overlap)
    if number + 1 < len(tiles):
        overlap = stop - tiles[number + 1][0]
        weight[-overlap:] = 1 - rising(overlap)
    return weight


def rising(count: int) -> Float[Tensor, " n"]:
    """From 0 to 1 in steps of one size, at the centers of pixels."""
    return (torch.arange(count) + 0.5) / count


def blended(predict: Callable[[Span, Span], Raw], size: tuple[int, int], tile: int) -> Iterator[tuple[int, int, Raw]]:
    """Raw predictions of a picture, block by block, each with the row and the column where it begins.

    Kept are, beside one tile, the predictions where it overlaps the next one and the next row of tiles.

    Args:
        predict: raw predictions (1, c, h, w) of the tile with these rows and columns.
        size: height and width of the picture.
        tile: the longest side of a tile.
    """
    rows, columns = spans(size[0], tile), spans(size[1], tile)
    above: Raw = {}
    for i, (top, bottom) in enumerate(rows):
        done = rows[i + 1][0] if i + 1 < len(rows) else bottom  # below, the next row of tiles adds to it
        kept: Raw = {}
        before: Raw = {}
        for j, (left, right) in enumerate(columns):
            end = columns[j + 1][0] if j + 1 < len(columns) else right
            weight = weights(i, rows)[:, None] * weights(j, columns)
            block: Raw = {}
            for name, raw in predict((top, bottom), (left, right)).items():
                x = raw * weight.to(raw.device)
                if j:
                    x[..., : before[name].shape[-1]] += before[name]
                before[name] = x[..., end - left :]
                x = x[..., : end - left]
                if i:
                    x[..., : above[name].shape[-2], :] += above[name][..., left:end]
                if name not in kept:
                    kept[name] = x.new_empty((*x.shape[:-2], bottom - done, size[1]))
                kept[name][..., left:end] = x[..., done - top :, :]
                block[name] = x[..., : done - top, :]
            yield top, left, block
        above = kept

"""Morphological thinning of many binary maps at once, one bit a map."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int, UInt64

WORD = 64
CHUNK = 8192  # pixels worked on at a time, so that the temporary arrays stay in a core's cache


def thin(maps: Bool[np.ndarray, "k h w"]) -> Bool[np.ndarray, "k h w"]:
    """Reduce shapes to lines of one pixel, as MATLAB's `bwmorph(map, "thin", Inf)` does.

    Z. Guo and R. Hall, "Parallel thinning with two-subiteration algorithms", Comm. ACM 1989, their first algorithm.
    Outside of the map counts as empty.

    >>> thin(np.ones((1, 3, 5), dtype=bool)).astype(int)
    array([[[0, 0, 0, 0, 0],
            [0, 1, 1, 1, 0],
            [0, 0, 0, 0, 0]]])
    """
    return unpack(thin_packed(pack(maps)), len(maps))


def pack(maps: Bool[np.ndarray, "k h w"]) -> UInt64[np.ndarray, "p h w"]:
    """Put map k into bit k % 64 of plane k // 64."""
    packed = np.zeros((-(-len(maps) // WORD), *maps.shape[1:]), dtype=np.uint64)
    for k, binary in enumerate(maps):
        packed[k // WORD] |= binary.astype(np.uint64) << np.uint64(k % WORD)
    return packed


def unpack(packed: UInt64[np.ndarray, "p h w"], count: int) -> Bool[np.ndarray, "k h w"]:
    """The first `count` maps."""
    maps = np.zeros((count, *packed.shape[1:]), dtype=bool)
    for k in range(count):
        maps[k] = (packed[k // WORD] >> np.uint64(k % WORD)) & np.uint64(1)
    return maps


def pack_levels(level: Int[np.ndarray, "h w"], levels: Int[np.ndarray, " k"]) -> UInt64[np.ndarray, "p h w"]:
    """Pack the maps `level >= levels[k]`; `level` is not negative."""
    passed = np.arange(int(level.max(initial=0)) + 1) >= levels[:, None]
    return pack(passed[:, None])[:, 0][:, level]


def thin_packed(packed: UInt64[np.ndarray, "p h w"]) -> UInt64[np.ndarray, "p h w"]:
    """`thin` on packed maps; every operation on a word works on 64 maps."""
    return np.stack([thin_plane(plane) for plane in packed]) if len(packed) else packed


def thin_plane(plane: UInt64[np.ndarray, "h w"]) -> UInt64[np.ndarray, "h w"]:
    """`thin` on up to 64 maps.

    Two kinds of passes alternate until neither changes anything. A pixel is looked at again only when something within
    its 3 x 3 neighborhood changed in one of the last two passes (one of each kind): nothing else can change.
    """
    height, width = plane.shape
    row = width + 2
    x = np.pad(plane, 1).ravel()
    # east, north-east, north, ... counterclockwise: x1 to x8 of the paper
    around = (1, 1 - row, -row, -row - 1, -1, row - 1, row, row + 1)
    recent = (x != 0, x != 0)
    second = False
    while True:
        places = np.flatnonzero(recent[0] | recent[1])
        if not len(places):
            return x.reshape(height + 2, row)[1:-1, 1:-1]
        places = places[x[places] != 0]
        changes = []
        for start in range(0, len(places), CHUNK):
            chunk = places[start : start + CHUNK]
            removed = removable(*(x[chunk + step] for step in (0, *around)), second=second)
            hit = np.flatnonzero(removed)
            changes.append((chunk[hit], removed[hit]))
        touched = np.zeros(len(x), dtype=bool)
        for where, removed in changes:
            x[where] ^= removed
            for step in (0, *around):
                touched[where + step] = True
        recent = (recent[1], touched)
        second = not second


def removable(x0: UInt64[np.ndarray, " n"], *x: UInt64[np.ndarray, " n"], second: bool) -> UInt64[np.ndarray, " n"]:
    """The maps whose pixel x0, with neighbors x1 to x8, one of the two alternating passes removes."""
    x1, x2, x3, x4, x5, x6, x7, x8 = x
    c1, c2, c3, c4 = x2 | x3, x4 | x5, x6 | x7, x8 | x1
    b1, b2, b3, b4 = c1 & ~x1, c2 & ~x3, c3 & ~x5, c4 & ~x7
    crossings_two, _ = two_and_four(b1, b2, b3, b4)
    n1_two, n1_four = two_and_four(x1 | x2, x3 | x4, x5 | x6, x7 | x8)
    n2_two, n2_four = two_and_four(c1, c2, c3, c4)
    keep = (x6 | x7 | ~x4) & x5 if second else (x2 | x3 | ~x8) & x1
    return x0 & (b1 | b2 | b3 | b4) & n1_two & n2_two & ~(crossings_two | (n1_four & n2_four) | keep)


def two_and_four(
    a: UInt64[np.ndarray, " n"], b: UInt64[np.ndarray, " n"], c: UInt64[np.ndarray, " n"], d: UInt64[np.ndarray, " n"]
) -> tuple[UInt64[np.ndarray, " n"], UInt64[np.ndarray, " n"]]:
    """The maps in which at least two of the four are set, and those in which all are."""
    ab, cd = a & b, c & d
    return ab | cd | ((a | b) & (c | d)), ab & cd

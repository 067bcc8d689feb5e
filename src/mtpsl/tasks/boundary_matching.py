"""One-to-one matching of predicted with labelled boundary pixels: how many can be paired within a distance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int, UInt8, UInt64

from mtpsl.tasks.largest_matching import matching_size
from mtpsl.tasks.thinning import WORD, pack


def match_boundaries(
    prediction: Bool[np.ndarray, "h w"], target: Bool[np.ndarray, "h w"], distance: float
) -> tuple[int, int]:
    """Count the pixels of `prediction` and of `target` that a largest one-to-one matching pairs.

    Pixels may be paired when their centers lie at most `distance` pixels apart; coincident ones always may. The two
    counts are equal, since one matching gives both. A departure: MATLAB's `correspondPixels` (BSDS) minimizes a sum of
    distances with a price for each pixel left over, on a random sparse graph; it never pairs more than this.

    >>> match_boundaries(np.array([[True, True, False, False]]), np.array([[False, True, True, False]]), 1.0)
    (2, 2)
    >>> match_boundaries(np.array([[True, False, False, True]]), np.array([[False, True, False, False]]), 1.0)
    (1, 1)
    """
    count = int(count_matches(pack(prediction[None]), target, distance)[0])
    return count, count


def count_matches(
    predictions: UInt64[np.ndarray, "p h w"], target: Bool[np.ndarray, "h w"], distance: float
) -> Int[np.ndarray, " 64*p"]:
    """The size of a largest matching of every packed map (see `thinning.pack`) with `target`.

    A quick matching of all maps at once pairs most pixels. It can only grow along paths from an unpaired label pixel to
    an unpaired prediction, so only what such paths reach is matched anew, each map alone (`matching_size`).
    """
    margin = int(max(distance, 0))
    pad = ((margin, margin), (margin, margin))
    places = np.flatnonzero(np.pad(target, pad))
    steps = neighborhood(distance, row=target.shape[1] + 2 * margin)
    planes = [match_plane(np.pad(plane, pad).ravel(), places, steps) for plane in predictions]
    return np.concatenate(planes) if planes else np.zeros(0, dtype=np.int64)


def neighborhood(distance: float, row: int) -> Int[np.ndarray, " m"]:
    """Steps in a raveled map with `row` columns that lead at most `distance` away, nearest first."""
    margin = int(max(distance, 0))
    y, x = np.mgrid[-margin : margin + 1, -margin : margin + 1]
    squared = (y**2 + x**2).ravel()
    order = np.argsort(squared, kind="stable")
    return (y * row + x).ravel()[order[squared[order] <= max(distance, 0) ** 2 + 1e-9]]


def match_plane(
    predicted: UInt64[np.ndarray, " n"], places: Int[np.ndarray, " l"], steps: Int[np.ndarray, " m"]
) -> Int[np.ndarray, " 64"]:
    """`count_matches` of up to 64 maps, raveled with a margin; `places` are the label pixels."""
    near = [predicted[places + step] for step in steps]
    reachable = np.bitwise_or.reduce(near)
    seen = reachable != 0
    places, near, label_free = places[seen], [some[seen] for some in near], reachable[seen]

    # Quick matching, nearest first: for one step, no two label pixels want the same prediction.
    free = predicted.copy()
    mates = []
    for step in steps:
        wanted = free[places + step]
        paired = wanted & label_free
        free[places + step] = wanted ^ paired
        label_free ^= paired
        mates.append(paired)
    count = total(mates)

    # Alternating paths from unpaired label pixels: any pair to a prediction, then the pair of the matching back.
    labels, reached = label_free.copy(), np.zeros_like(predicted)
    grown = -1
    while grown != (grown := int(np.bitwise_count(labels).sum() + np.bitwise_count(reached).sum())):
        for step, some, paired in zip(steps, near, mates, strict=True):
            found = reached[places + step] | (labels & some)
            reached[places + step] = found
            labels |= found & paired
    improvable = np.bitwise_or.reduce(reached & free)
    if not improvable:
        return count

    labels &= improvable
    count -= total([paired & labels for paired in mates])
    rising = np.argsort(steps)
    table, number = np.stack(near, axis=1)[:, rising], np.zeros(len(predicted), np.int32)
    for k in np.flatnonzero(bits(improvable[None])):
        rows = np.flatnonzero(labels & (bit := np.uint64(1 << int(k))))
        count[k] += matching_size(table[rows] & bit != 0, places[rows, None] + steps[rising], number)
    return count


def total(planes: list[UInt64[np.ndarray, " n"]]) -> Int[np.ndarray, " 64"]:
    """`count_bits`, summed."""
    return np.sum([count_bits(words) for words in planes], axis=0)


def bits(words: UInt64[np.ndarray, " n"]) -> UInt8[np.ndarray, " 64*n"]:
    """Zeros and ones: bit k of word i at 64 i + k."""
    return np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little")


def count_bits(words: UInt64[np.ndarray, " n"]) -> Int[np.ndarray, " 64"]:
    """In how many words each bit is set."""
    return bits(words).reshape(-1, WORD).sum(0, dtype=np.int64)

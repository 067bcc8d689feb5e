"""What the numbers of depth, normals, edges and other maps seem to mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mtpsl.data.formats import NormalsFormat
from mtpsl.data.guess.entry import Entry, Labels, ranges
from mtpsl.errors import UserError

#: how components of normals are stored in bytes, besides the usual way: number of zero, steps up to 1
STORED = ((128, 127), (128, 128), (127, 127), (127, 128))


def guess_depth(labels: Labels, inverse: bool) -> Entry:
    """Scale and missing numbers of depth.

    Raises:
        UserError: depth that is drawn in colors.
    """
    arrays = labels.numbers()
    if any(array.ndim != 2 for array in arrays) or any(stored.table is not None for stored in labels.read):
        raise UserError(
            f"{labels.folder}: depth is drawn in colors: store the numbers themselves (16-bit PNG or .npy), or leave "
            "it out with --tasks"
        )
    whole = all(array.dtype.kind != "f" for array in arrays)
    values = np.concatenate([array.ravel()[:: max(1, array.size // 50_000)] for array in arrays]).astype(np.float64)
    known = np.isfinite(values)
    missing = [name for name, there in ((".nan", np.isnan(values)), (".inf", np.isposinf(values))) if there.any()]
    missing = ["0", *missing] if (values == 0).any() or not missing else missing
    top = 65535 if whole else 0
    if top and (values == top).mean() > 0.001 and np.quantile(values[values < top], 0.99, method="lower") < 0.8 * top:
        missing.append(str(top))
        known &= values != top
    if (values[known] < 0).any():
        negative = np.unique(values[known & (values < 0)])
        if len(negative) > 3:
            raise UserError(f"{labels.folder}: depth goes down to {negative[0]:g}: depth should not be negative")
        missing += [f"{number:g}" for number in negative]
        known &= values >= 0
    inside = values[known & (values > 0)]
    low, high = (0.0, 0.0) if not inside.size else (float(inside.min()), float(np.quantile(inside, 0.999)))
    kind = "whole numbers" if whole else "floats"
    entry = Entry(f"{labels.amount} hold {kind}, {low:.4g} to {high:.4g}")
    if inverse:
        entry.add("inverse", "true", "a disparity: larger is nearer")
        entry.add("scale", 1, "what a stored 1 is, in 1/m")
    elif whole and high > 255:
        entry.add(
            "scale",
            0.001,
            f"if these are millimeters: {low / 1000:.3g} to {high / 1000:.3g} m; KITTI has 0.00390625, TUM 0.0002",
        )
    elif whole:
        entry.add(
            "scale",
            1,
            "8 bits: steps of an unknown unit; write what a step is in m, or inverse: true if larger is nearer",
        )
    elif high > 200:
        entry.add("scale", 0.001, f"if these are millimeters: {low / 1000:.3g} to {high / 1000:.3g} m")
    else:
        entry.add("scale", 1, f"if these are meters: {low:.3g} to {high:.3g} m")
    entry.add("missing", missing[0] if len(missing) == 1 else f"[{', '.join(missing)}]", "numbers that mean unknown")
    return entry


def guess_normals(labels: Labels) -> Entry:
    """How a component is stored, and where y points.

    Raises:
        UserError: no usual way of storing normals gives vectors of length 1.
    """
    first = labels.read[0].numbers
    encodings: list[tuple[float | None, float | None]] = [(None, None)]
    if first.dtype == np.uint8 and first.ndim == 3:
        encodings = sorted([(None, None), *STORED], key=lambda one: _distance(labels, *one))
    vectors: list[tuple[torch.Tensor, torch.Tensor]] = []
    offset, divisor = encodings[0]
    try:
        reader = NormalsFormat(offset, divisor)
        vectors = [reader.decode(stored.numbers, path) for stored, path in zip(labels.read, labels.paths, strict=True)]
    except UserError as error:
        raise UserError(f"{error}; or leave normals out with --tasks") from error
    entry = Entry(f"{labels.amount} hold {'unit vectors' if first.dtype.kind == 'f' else f'{first.dtype} numbers'}")
    if offset is not None:
        entry.add("offset", offset, "the stored number of a zero component: lengths are nearest to 1 with it")
        entry.add("divisor", divisor)
    up = 0.0
    for target, valid in vectors:
        lower = slice(valid.shape[0] // 2, None)
        y = target[1, lower][valid[lower]]
        up += float(y[y.abs() > 0.8].sign().sum())
    why = "as floors in the lower half of the pictures have it" if up else "not seen"
    entry.add("y_axis", "down" if up < 0 else "up", f"{why}; only turned images (--training.rotation) need it")
    return entry


def _distance(labels: Labels, offset: float | None, divisor: float | None) -> float:
    """How far lengths are from 1 on average; another encoding than the usual one has to be clearly nearer."""
    half = 127.5
    far = []
    for stored in labels.read:
        x = stored.numbers[::3, ::3].reshape(-1, stored.numbers.shape[-1]).astype(np.float64)
        length = np.linalg.norm((x - (offset or half)) / (divisor or half), axis=1)
        far.append(np.abs(length - 1)[length > 0.1])
    distance = np.concatenate(far)
    return float(distance.mean() * (1 if offset is None else 1.2)) if distance.size else 0.0


def guess_edges(labels: Labels) -> Entry:
    """Which number is a boundary.

    Raises:
        UserError: more than a few numbers.
    """
    numbers = _numbers(labels)
    entry = Entry(f"{labels.amount} hold the numbers {ranges(numbers)}")
    if len(numbers) > 3:
        raise UserError(
            f"{labels.folder}: edges hold {len(numbers)} different numbers: decide above which one a pixel is a "
            "boundary, store 0 and 1, or leave them out with --tasks"
        )
    if {*numbers} <= {0, 1, 255} and 1 in numbers:
        entry.add("ignore", "255", "unknown" if 255 in numbers else "none seen")
    elif len(numbers) == 2:
        entry.add("values", numbers, "no boundary, boundary")
    else:
        entry.add("values", [numbers[0], numbers[-1]], "no boundary, boundary")
        if len(numbers) > 2:
            entry.add("ignore", numbers[1], "unknown?")
    return entry


def guess_saliency(labels: Labels) -> Entry:
    """Nothing but what was seen: thresholds have good defaults."""
    numbers = _numbers(labels)
    return Entry(f"{labels.amount} hold {len(numbers)} numbers, {numbers[0]} to {numbers[-1]}")


def guess_parts(labels: Labels) -> Entry:
    """Parts of bodies: the seven published ones, or others.

    Raises:
        UserError: other numbers.
    """
    numbers = [number for number in _numbers(labels) if number != 255]
    if numbers[-1] > 6:
        raise UserError(
            f"{labels.folder}: human_parts go from 0 to 6, not {numbers[-1]}: call it segmentation: --folders "
            f"segmentation={Path(labels.folder).name}"
        )
    entry = Entry(f"{labels.amount} hold the numbers {ranges(numbers)}")
    entry.add("ignore", "255")
    return entry


def guess_regression(labels: Labels) -> Entry:
    """Channels and range of any numbers."""
    first = labels.read[0].numbers
    channels = first.shape[2] if first.ndim == 3 else 1
    entry = Entry(f"{labels.amount} hold {first.dtype} numbers of {channels} channels")
    entry.add("type", "regression")
    entry.add("channels", channels)
    if first.dtype == np.uint8:
        entry.add("scale", 0.0039215686, "0 to 1; write what a stored 1 is")
        entry.add("range", "[0, 1]")
    if labels.task == "flow" and channels >= 2:
        entry.add("vector", "image", "x to the right, y down; in pixels?")
    return entry


def guess_multilabel(labels: Labels) -> Entry:
    """A class per channel."""
    first = labels.read[0].numbers
    channels = first.shape[2] if first.ndim == 3 else 1
    entry = Entry(f"{labels.amount} have {channels} channels")
    entry.add("classes", f"[{', '.join(f'class_{index}' for index in range(channels))}]", "name them: one per channel")
    if max(int(stored.numbers.max()) for stored in labels.read) == 255:
        entry.add("values", "[0, 255]")
    return entry


def _numbers(labels: Labels) -> list[int]:
    arrays = labels.numbers()
    if any(array.ndim != 2 for array in arrays):
        raise UserError(f"{labels.folder}: {labels.task} should have one channel, not colors: store numbers")
    return [int(number) for number in np.unique(np.concatenate([np.unique(array) for array in arrays]))]

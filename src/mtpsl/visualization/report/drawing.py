"""The pictures and legends of a report: one task and image, predicted by one network or by several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from mtpsl.tasks import Task
from mtpsl.tasks.drawing import ColorDisk, ColorNames, ColorScale, ErrorKinds
from mtpsl.tasks.drawing import Legend as Meaning
from mtpsl.visualization.errors import draw_error, error_scale
from mtpsl.visualization.grid import as_picture, cell_size, resized
from mtpsl.visualization.photo import draw_overlay, draw_photo
from mtpsl.visualization.report.content import Legend, Picture, Pixels, Scale, TaskView
from mtpsl.visualization.scales import hatch
from mtpsl.visualization.scores import score_line

NO_LABEL = ("no label here", "")
"""The entry of a legend for hatched areas."""
STEPS = 12
"""Colors of a scale; a page draws those between."""


NOTHING = Legend()


@dataclass(frozen=True)
class Predicted:
    """What is kept of a raw prediction: decoded values and where they are numbers; score, error and overlay drawn."""

    decoded: Tensor
    finite: Bool[Tensor, "1 h w"]
    score: str = ""
    error: Picture | None = None
    error_legend: Legend = NOTHING
    overlay: Picture | None = None


def predicted(
    task: Task,
    image: Float[Tensor, "3 h w"],
    raw: Float[Tensor, "c h w"],
    label: Tensor | None,
    seen: Bool[Tensor, "h w"] | None,
) -> Predicted:
    """What a view shows of a raw prediction; `label` and `seen` are None where there is no label.

    Args:
        task: what is predicted.
        image: values from 0 to 1.
        raw: the prediction, as large as the image.
        label: without a dimension for the batch.
        seen: which pixels of it count.
    """
    size = cell_size(image.shape[-2], image.shape[-1])
    raw = raw.detach().float().cpu()[None]
    finite = raw.isfinite().all(1)
    decoded = task.decode(torch.nan_to_num(raw))
    over = draw_overlay(task, image, decoded, finite, size)
    overlay = None if over is None else Picture("prediction on the photo", np.asarray(over))
    if label is None or seen is None:
        return Predicted(decoded, finite, overlay=overlay)
    label, mask = label.detach().cpu()[None], seen.detach().cpu()[None]
    error, _ = draw_error(task, image, raw, label, mask, size)
    return Predicted(
        decoded,
        finite,
        score_line(task, raw, label, mask),
        Picture("error", np.asarray(hatch(error, ~mask[0]))),
        error_legend(task, raw, label, mask),
        overlay,
    )


def view(
    task: Task,
    image: Float[Tensor, "3 h w"],
    predictions: Mapping[str, Predicted],
    label: Tensor | None,
    seen: Bool[Tensor, "h w"] | None,
) -> TaskView:
    """One task and image: photo, label, predictions by caption, of one scale; of one also its error."""
    size = cell_size(image.shape[-2], image.shape[-1])
    values, known = [one.decoded for one in predictions.values()], [one.finite for one in predictions.values()]
    if label is not None and seen is not None:
        values, known = [label.detach().cpu()[None].to(values[0].dtype), *values], [seen.detach().cpu()[None], *known]
    values_, known_ = torch.cat(values), torch.cat(known)
    drawn = [resized(as_picture(colors), size) for colors in task.colorize(values_, known_)]
    pictures = [Picture("photo", np.asarray(draw_photo(image, size)))]
    hatched = False
    if label is not None and seen is not None:
        pictures.append(Picture("label", np.asarray(hatch(drawn.pop(0), ~seen.cpu()))))
        hatched = not bool(seen.all())
    pictures += [Picture(name, np.asarray(one)) for name, one in zip(predictions, drawn, strict=True)]
    names = list(predictions)
    only = predictions[names[0]] if len(names) == 1 else None
    if only is not None:
        pictures += [one for one in (only.error, only.overlay) if one is not None]
    scores = {name: one.score for name, one in predictions.items() if one.score}
    has_label = label is not None and seen is not None
    return TaskView(
        task.name,
        pictures,
        only.score if only is not None else "; ".join(f"{name}: {score}" for name, score in scores.items()),
        legend(task.legend(values_, known_), hatched),
        Legend() if only is None else only.error_legend,
        "label" if has_label else "photo" if only is not None else names[0],
        names[-1],
    )


def label_picture(task: Task, label: Tensor, seen: Bool[Tensor, "h w"]) -> Pixels:
    """A label alone, hatched where it says nothing."""
    size = cell_size(seen.shape[-2], seen.shape[-1], wanted=160, limit=240)
    colors = task.colorize(label.detach().cpu()[None], seen.cpu()[None])[0]
    return np.asarray(hatch(resized(as_picture(colors), size), ~seen.cpu()))


def photo_picture(image: Float[Tensor, "3 h w"]) -> Pixels:
    """A photo beside `label_picture`."""
    return np.asarray(draw_photo(image, cell_size(image.shape[-2], image.shape[-1], wanted=160, limit=240)))


def smaller(picture: Image.Image, longest: int) -> Pixels:
    """A picture of a file, with sides of at most so many pixels."""
    picture = picture.convert("RGB")
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def error_legend(task: Task, raw: Tensor, label: Tensor, seen: Bool[Tensor, "1 h w"]) -> Legend:
    """What the colors of `errors.draw_error` mean."""
    errors = task.error_map(torch.nan_to_num(raw), label, seen)
    hatched = not bool(seen.all())
    if isinstance(errors, ErrorKinds):
        names = [(name, css(color)) for name, color in reversed(errors.entries) if color is not None]
        gray = [(f"{name} (gray photo)", css((0.5, 0.5, 0.5))) for name, color in errors.entries if color is None]
        return Legend((*names, *gray, *([NO_LABEL] if hatched else [])))
    return legend(error_scale(errors, seen & raw.isfinite().all(1)), hatched)


def legend(meaning: Meaning | None, hatched: bool) -> Legend:
    """A legend in words; `hatched`: something in the pictures has no label."""
    names = [(name, css(color)) for name, color in meaning.entries] if isinstance(meaning, ColorNames) else []
    names += [NO_LABEL] if hatched else []
    if isinstance(meaning, ColorScale):
        shown = torch.linspace(0, meaning.colors.shape[1] - 1, STEPS).round().long()
        colors = [css(color) for color in meaning.colors[:, shown].T.tolist()]
        return Legend(names, Scale(colors, meaning.low, meaning.high, meaning.unit, meaning.beyond))
    if isinstance(meaning, ColorDisk):
        top, right, bottom, left = meaning.around
        disk = meaning.colors.where(meaning.inside, torch.full((), 0.5))
        words = f"top: {top}, right: {right}, bottom: {bottom}, left: {left}; {meaning.note}"
        return Legend(names, disk=np.asarray(as_picture(disk)), disk_words=words)
    return Legend(names)


def css(color: tuple[float, float, float] | list[float]) -> str:
    """A color, as shares of red, green and blue, as CSS writes it.

    >>> css((1.0, 0.5, 0.0))
    '#ff8000'
    """
    return "#" + "".join(f"{min(255, max(0, round(255 * share))):02x}" for share in color)

"""A run's ONNX network in 8-bit whole numbers, and its scores beside those of the same in floating point."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtpsl.data.partial import PartialDataset
from mtpsl.device import bar
from mtpsl.evaluation.evaluate import Evaluator
from mtpsl.evaluation.scores import Scores
from mtpsl.inference.export.deployable import RAW, as_bytes
from mtpsl.inference.export.int8 import in_int8, without_raw
from mtpsl.inference.export.onnx_file import Session
from mtpsl.inference.resize import resized
from mtpsl.training.data import open_split
from mtpsl.training.score_run import ScoringData, images
from mtpsl.training.trained import TrainedRun

CALIBRATING = 64
"""Training images on which the range of activations is measured."""
SCORED = 100
"""Validation images, at most, that are scored."""


def quantized(
    run: TrainedRun, data: ScoringData, model: Any, size: tuple[int, int]
) -> tuple[Any, dict[str, Scores], int]:
    """The model in whole numbers, the scores of both, and on how many images these are.

    Args:
        run: the run.
        data: the images to score.
        model: an `onnx.ModelProto` that also gives raw predictions.
        size: height and width at which images are seen.
    """
    small = in_int8(model, [*training_images(run, data, size)])
    chosen = dataclasses.replace(data, dataset=data.dataset.spread(SCORED))
    scores = {name: score(run, chosen, one, size) for name, one in (("fp32", model), ("int8", small))}
    return without_raw(small), scores, len(chosen.dataset)


def training_images(run: TrainedRun, data: ScoringData, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Training images at even distances, as the network takes them."""
    source = open_split(data.settings, data.settings.train_split, [task.name for task in run.tasks])
    chosen = PartialDataset(source, source.available, cache=False).spread(CALIBRATING)
    for index in bar(range(len(chosen)), "calibrating"):
        yield as_bytes(resized(chosen[index].image[None], size)).numpy()


def score(run: TrainedRun, data: ScoringData, model: Any, size: tuple[int, int]) -> Scores:
    """The scores of a model, from its raw predictions."""
    session, evaluator = Session(model.SerializeToString()), Evaluator(run.tasks)
    for batch in bar(images(data.dataset, run.tasks, data, 1), "scoring"):
        found = session(as_bytes(resized(batch.images, size)).numpy())
        shape = (batch.images.shape[-2], batch.images.shape[-1])
        raw: dict[str, Tensor] = {
            task.name: resized(torch.from_numpy(found[f"{RAW}{task.name}"]), shape) for task in run.tasks
        }
        evaluator.update(raw, batch)
    return evaluator.compute()

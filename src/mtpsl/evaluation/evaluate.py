"""Scores of a network on a data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from mtpsl.evaluation.scores import Scores
from mtpsl.structures import Batch, Labels, ScoredBatch
from mtpsl.tasks import Task


class Evaluator(nn.Module):
    """The metrics of all tasks, fed with batches.

    Sums are kept over the whole set, so scores do not depend on the batch size.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.tasks = list(tasks)
        self.metrics = nn.ModuleDict({task.name: task.metric() for task in tasks})

    def metric(self, task: Task) -> Metric:
        """The metric of one task."""
        metric = self.metrics[task.name]
        assert isinstance(metric, Metric)
        return metric

    def update(self, predictions: Mapping[str, Tensor], batch: Batch | ScoredBatch) -> None:
        """Count a batch; predictions are resized to labels of another size (`Task.resize`)."""
        if isinstance(batch, ScoredBatch):
            for row, labels in enumerate(batch.labels):
                self.update_one({name: x[row : row + 1] for name, x in predictions.items()}, labels)
            return
        for task in self.tasks:
            if task.name in batch.targets:
                self.metric(task).update(predictions[task.name], batch.targets[task.name], batch.valid[task.name])

    def update_one(self, predictions: Mapping[str, Tensor], labels: Labels) -> None:
        """Count one image at the size of its labels."""
        for task in self.tasks:
            if task.name in labels.targets:
                prediction, valid = predictions[task.name], labels.valid[task.name]
                size = (valid.shape[-2], valid.shape[-1])
                if tuple(prediction.shape[-2:]) != size:
                    prediction = task.resize(prediction, size)
                self.metric(task).update(prediction, labels.targets[task.name], valid)

    def compute(self) -> Scores:
        """Scores of everything counted, by task and name; NaN for a task without any label."""
        return {task.name: task.scores(self.metric(task).compute()) for task in self.tasks}

    def reset(self) -> None:
        """Forget what was counted."""
        for task in self.tasks:
            self.metric(task).reset()


@torch.no_grad()
def evaluate(
    network: nn.Module,
    tasks: Sequence[Task],
    batches: Iterable[Batch | ScoredBatch],
    evaluator: Evaluator | None = None,
) -> Scores:
    """Run a network over batches (in evaluation mode, on the device of its parameters) and score it.

    Args:
        network: returns an object with `predictions` by task.
        tasks: what to score.
        batches: images with labels.
        evaluator: counts, perhaps of other batches already; by default of none.
    """
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    evaluator = (evaluator or Evaluator(tasks)).to(device)
    for batch in batches:
        evaluator.update(network(batch.images.to(device)).predictions, batch.to(device))
    network.train(training)
    return evaluator.compute()

"""An objective of your own: what the labels say, and that a mirrored image gets the mirrored prediction.

mtpsl train --objective examples/own_objective.py:MirrorConsistency --objective.weight 0.5 --data.root DATA --out RUN
mtpsl predict RUN PICTURES --out DIR --trust-code
"""

from collections.abc import Sequence

from torch import nn

from mtpsl import Batch, Losses, Objective, Task
from mtpsl.objectives import supervised_losses


class MirrorConsistency(Objective):
    """The supervised losses, and the mean difference between an image's predictions and its mirror image's.

    Args:
        tasks: the tasks that the network predicts.
        network: the network to train.
        weight: how much the difference counts.
    """

    learns_unlabelled = True  # images without any label teach it something, too

    def __init__(self, tasks: Sequence[Task], network: nn.Module, *, weight: float = 1.0) -> None:
        super().__init__(tasks, network)
        self.weight = weight

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Both on a batch."""
        predictions = network(batch.images).predictions
        mirrored = network(batch.images.flip(-1)).predictions
        differences = {}
        for task in self.tasks:
            here, there = task.soft(predictions[task.name]), task.soft(mirrored[task.name])
            differences[f"mirror {task.name}"] = self.weight * (here - task.mirror(there.flip(-1))).abs().mean()
        return Losses(supervised_losses(self.tasks, predictions, batch), differences)

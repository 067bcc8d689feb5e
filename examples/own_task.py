"""A task of your own: numbers of which the relative error counts, as of heights or weights.

In dataset.yaml, where a relative path begins at that file:

    name: plants
    tasks:
      height: {type: own_task.py:RelativeNumbers, unit: cm, scale: 0.1, missing: 0, floor: 2.0}

mtpsl check DATA --trust-code
mtpsl train --data.root DATA --out RUN --trust-code
mtpsl predict RUN PICTURES --out DIR --trust-code
"""

from typing import Any, Literal

import torch

from mtpsl.tasks import Regression


class RelativeNumbers(Regression):
    """Numbers above 0, stored as those of the type `regression`: the loss is the error divided by the label.

    Args:
        name: the task's name.
        channels: how many numbers a pixel has.
        loss: the measure of the relative error.
        unit: the unit of the labels.
        floor: smaller labels count as this one, so that the smallest do not count most.
    """

    def __init__(
        self,
        name: str,
        *,
        channels: int = 1,
        loss: Literal["l1", "l2", "huber"] = "l1",
        unit: str = "",
        floor: float = 1.0,
    ) -> None:
        if floor <= 0:
            raise ValueError(f"`floor` should be above 0, not {floor}")
        super().__init__(name, channels=channels, loss=loss, unit=unit)
        self.floor = floor

    def options(self) -> dict[str, Any]:
        """What makes the same task again from a run folder."""
        return {"channels": self.out_channels, "loss": self.loss_kind, "unit": self.unit, "floor": self.floor}

    def loss(self, prediction: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """The loss of each image, over its valid pixels."""
        size = target.masked_fill(~valid[:, None], self.floor).clamp(min=self.floor)
        return super().loss(prediction / size, target / size, valid)

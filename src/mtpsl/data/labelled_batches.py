"""The batches of an epoch that hold a label: those from which something can be learned."""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Bool, Int
from torch import Tensor
from torch.utils.data import Sampler

from mtpsl.data.sampler import EpochSampler


class LabelledBatches(Sampler[list[int]]):
    """Cuts the order of an epoch into batches and passes over those in which no image has a label.

    With several processes, a batch counts when it has a label in any of them, which each finds out by itself: all make
    the same steps. Images that are passed over are not even read. How many batches there are differs from epoch to
    epoch; the first one stays where no other would.

    Args:
        sampler: the order of this process' images, as many in each process.
        batch_size: images per batch and process; the last batch holds what is left.
        labelled: which images have a label.

    Raises:
        ValueError: another number of images.

    >>> import torch
    >>> order = EpochSampler(4, shuffle=False)
    >>> batches = LabelledBatches(order, 2, torch.tensor([False, False, True, False]))
    >>> len(batches), [*batches]
    (1, [[2, 3]])
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, labelled: Bool[Tensor, " n"]) -> None:
        if len(labelled) != sampler.count:
            raise ValueError(f"labelled should say it of {sampler.count} images, not of {len(labelled)}")
        self.sampler, self.batch_size, self.labelled = sampler, batch_size, labelled

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; one that `start` chose goes on from where it does."""
        self.sampler.set_epoch(epoch)

    def start(self, epoch: int, consumed: int = 0) -> None:
        """Continue an epoch in the middle: so many of its batches with a label were seen already.

        Raises:
            ValueError: it has not so many.
        """
        self.sampler.start(epoch)
        places = self.sampler.places()
        numbers = self._numbers(places)
        if not 0 <= consumed <= len(numbers):
            raise ValueError(f"consumed should be from 0 to {len(numbers)} batches, not {consumed}")
        images = places.shape[1] if consumed == len(numbers) else numbers[consumed] * self.batch_size
        self.sampler.start(epoch, images)

    def __len__(self) -> int:
        return len(self._numbers(self.sampler.places()))

    def __iter__(self) -> Iterator[list[int]]:
        places = self.sampler.places()
        mine = places[self.sampler.rank].split(self.batch_size)
        left = [number for number in self._numbers(places) if number * self.batch_size >= self.sampler.consumed]
        return iter([mine[number].tolist() for number in left])

    def _numbers(self, places: Int[Tensor, "w n"]) -> list[int]:
        """Which batches have a label in any process."""
        batches = self.labelled[places].any(0).split(self.batch_size)
        return [number for number, some in enumerate(batches) if some.any()] or [0][: len(batches)]

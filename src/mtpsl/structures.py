"""The values that flow through training (Sample, Batch, Output, Losses) and evaluation (ScoredBatch, Score)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class TargetSpec:
    """The form of one task's label: `channels` 0 means an index map without a channel axis."""

    channels: int
    dtype: torch.dtype

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """The shape of one label."""
        return (self.channels, height, width) if self.channels else (height, width)


@dataclass(frozen=True)
class Sample:
    """One image with the labels that it may show; a task without a label has no entry.

    `image` holds values from 0 to 1; `valid` marks the pixels whose label counts. Labels have the image's size, or one
    of their own where they are only scored (`ScoredBatch`). `camera` takes points (x right, y down, z forward) to
    pixels of the image, counted from the center of the first one, where that is known. `predicted` names the tasks
    whose label a network predicted.
    """

    key: str
    image: Float[Tensor, "3 h w"]
    targets: dict[str, Tensor] = field(default_factory=dict)
    valid: dict[str, Bool[Tensor, "label_h label_w"]] = field(default_factory=dict)
    camera: Float[Tensor, "3 3"] | None = None
    predicted: frozenset[str] = frozenset()

    def with_labels_of(self, tasks: Sequence[str]) -> Sample:
        """The same image with only the labels of `tasks`."""
        return Sample(
            self.key,
            self.image,
            {name: target for name, target in self.targets.items() if name in tasks},
            {name: valid for name, valid in self.valid.items() if name in tasks},
            self.camera,
            self.predicted.intersection(tasks),
        )


@dataclass(frozen=True)
class Batch:
    """Images with one entry per task of the run, valid nowhere where an image has no label.

    `targets[task]` has shape (b, h, w) for an index map and (b, c, h, w) otherwise. `annotated` says which images had a
    label of a task before they were cropped; without it, those that have one. `cameras` are those of the images, zero
    for one without; None if no image has one. `predicted` says which labels of a task a network predicted; None if all
    were given.

    Raises:
        ValueError: an entry has another size, type or set of tasks than the rest.
    """

    keys: tuple[str, ...]
    images: Float[Tensor, "b 3 h w"]
    targets: dict[str, Tensor]
    valid: dict[str, Bool[Tensor, "b h w"]]
    annotated: dict[str, Bool[Tensor, " b"]] | None = None
    cameras: Float[Tensor, "b 3 3"] | None = None
    predicted: dict[str, Bool[Tensor, " b"]] | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[1] != 3:
            raise ValueError(f"images should have shape (b, 3, h, w), not {tuple(self.images.shape)}")
        count, _, height, width = self.images.shape
        if len(self.keys) != count:
            raise ValueError(f"keys should name {count} images, not {len(self.keys)}")
        if self.cameras is not None and self.cameras.shape != (count, 3, 3):
            raise ValueError(f"cameras should have shape ({count}, 3, 3), not {tuple(self.cameras.shape)}")
        if self.targets.keys() != self.valid.keys():
            raise ValueError(f"targets and valid should name the same tasks, not {[*self.targets]} and {[*self.valid]}")
        for name, target in self.targets.items():
            valid = self.valid[name]
            if valid.dtype != torch.bool or valid.shape != (count, height, width):
                raise ValueError(
                    f"valid[{name!r}] should be bool of shape {(count, height, width)}, "
                    f"not {valid.dtype} of shape {tuple(valid.shape)}"
                )
            if target.shape[0] != count or target.shape[-2:] != (height, width) or target.ndim not in (3, 4):
                raise ValueError(
                    f"targets[{name!r}] should have shape ({count}, [c,] {height}, {width}), not {tuple(target.shape)}"
                )

    def __len__(self) -> int:
        return len(self.keys)

    def labelled(self, task: str) -> Bool[Tensor, " b"]:
        """Which images have at least one valid pixel of `task`."""
        return self.valid[task].flatten(1).any(1)

    def unlabelled(self, task: str) -> Bool[Tensor, " b"]:
        """Which images have no label of `task`: not those that a crop has left without a valid pixel of it."""
        return ~(self.labelled(task) if self.annotated is None else self.annotated[task])

    def labels(self) -> dict[str, Bool[Tensor, " b"]]:
        """Which images had a label of each task before they were cropped, to be handed on with a crop."""
        return {name: self.labelled(name) for name in self.valid} if self.annotated is None else self.annotated

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch with its tensors on `device`."""
        return Batch(
            self.keys,
            self.images.to(device, non_blocking=non_blocking),
            {name: x.to(device, non_blocking=non_blocking) for name, x in self.targets.items()},
            {name: x.to(device, non_blocking=non_blocking) for name, x in self.valid.items()},
            moved(self.annotated, lambda x: x.to(device, non_blocking=non_blocking)),
            None if self.cameras is None else self.cameras.to(device, non_blocking=non_blocking),
            moved(self.predicted, lambda x: x.to(device, non_blocking=non_blocking)),
        )

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory (called by `DataLoader(pin_memory=True)`)."""
        return Batch(
            self.keys,
            self.images.pin_memory(),
            {name: x.pin_memory() for name, x in self.targets.items()},
            {name: x.pin_memory() for name, x in self.valid.items()},
            moved(self.annotated, lambda x: x.pin_memory()),
            None if self.cameras is None else self.cameras.pin_memory(),
            moved(self.predicted, lambda x: x.pin_memory()),
        )

    @classmethod
    def collate(cls, samples: Sequence[Sample], specs: Mapping[str, TargetSpec]) -> Batch:
        """Stack samples; `specs` says which tasks the batch has and what an absent label looks like.

        Raises:
            ValueError: samples of different sizes, or a label of another shape than its image or its task asks for.
        """
        if not samples:
            raise ValueError("collate needs at least one sample")
        height, width = samples[0].image.shape[-2:]
        for sample in samples:
            if sample.image.shape != (3, height, width):
                raise ValueError(
                    f"{sample.key}: image should have shape {(3, height, width)} like the others of its batch, "
                    f"not {tuple(sample.image.shape)}"
                )
        targets, valid = {}, {}
        for name, spec in specs.items():
            shape = spec.shape(height, width)
            targets[name] = torch.zeros((len(samples), *shape), dtype=spec.dtype)
            valid[name] = torch.zeros((len(samples), height, width), dtype=torch.bool)
            for row, sample in enumerate(samples):
                if name not in sample.targets:
                    continue
                target, mask = sample.targets[name], sample.valid.get(name)
                if target.shape != shape:
                    raise ValueError(f"{sample.key}: {name} should have shape {shape}, not {tuple(target.shape)}")
                if mask is None or mask.dtype != torch.bool or mask.shape != (height, width):
                    found = "missing" if mask is None else f"{mask.dtype} of shape {tuple(mask.shape)}"
                    raise ValueError(
                        f"{sample.key}: valid[{name!r}] should be bool of shape {(height, width)}, not {found}"
                    )
                targets[name][row], valid[name][row] = target, mask
        images = torch.stack([sample.image for sample in samples])
        cameras = None
        if any(sample.camera is not None for sample in samples):
            cameras = torch.stack([torch.zeros(3, 3) if one.camera is None else one.camera for one in samples])
        predicted = None
        if any(sample.predicted for sample in samples):
            predicted = {name: torch.tensor([name in sample.predicted for sample in samples]) for name in specs}
        keys = tuple(sample.key for sample in samples)
        return cls(keys, images, targets, valid, cameras=cameras, predicted=predicted)


@dataclass(frozen=True)
class Labels:
    """The labels of one image, as a batch of one: `targets[task]` and where they are valid, of any size."""

    targets: dict[str, Tensor]
    valid: dict[str, Bool[Tensor, "1 h w"]]


@dataclass(frozen=True)
class ScoredBatch:
    """Images of one size to predict from, each with labels of its own size to be scored at."""

    keys: tuple[str, ...]
    images: Float[Tensor, "b 3 h w"]
    labels: tuple[Labels, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> ScoredBatch:
        """The same batch with its tensors on `device`."""

        def moved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: x.to(device, non_blocking=non_blocking) for name, x in tensors.items()}

        labels = tuple(Labels(moved(one.targets), moved(one.valid)) for one in self.labels)
        return ScoredBatch(self.keys, self.images.to(device, non_blocking=non_blocking), labels)

    @classmethod
    def collate(cls, samples: Sequence[Sample]) -> ScoredBatch:
        """Stack images; labels stay as they are."""
        labels = [
            Labels({k: x[None] for k, x in one.targets.items()}, {k: x[None] for k, x in one.valid.items()})
            for one in samples
        ]
        images = torch.stack([sample.image for sample in samples])
        return cls(tuple(sample.key for sample in samples), images, tuple(labels))


@dataclass(frozen=True)
class Output:
    """What a network returns: raw predictions of every task and the encoder's maps, fine to coarse."""

    predictions: dict[str, Float[Tensor, "b c h w"]]
    features: list[Tensor]


@dataclass(frozen=True)
class Losses:
    """Scalars to minimize: one per task, and an objective's further terms by name (`"normals->depth"`)."""

    tasks: dict[str, Float[Tensor, ""]]
    auxiliary: dict[str, Float[Tensor, ""]] = field(default_factory=dict)

    def total(self) -> Float[Tensor, ""]:
        """The sum of all terms."""
        return torch.stack([*self.tasks.values(), *self.auxiliary.values()]).sum()


@dataclass(frozen=True)
class Score:
    """One number of an evaluation, with what is needed to read and compare it."""

    value: float
    unit: str
    higher_is_better: bool


def moved(tensors: dict[str, Tensor] | None, move: Callable[[Tensor], Tensor]) -> dict[str, Tensor] | None:
    """Tensors by name after a move, where there are any."""
    return None if tensors is None else {name: move(x) for name, x in tensors.items()}


def masked_mean(x: Float[Tensor, "b h w"], valid: Bool[Tensor, "b h w"]) -> Float[Tensor, " b"]:
    """Average each image over its valid pixels; an image without any gives zero.

    >>> x = torch.tensor([[[1.0, 3.0]], [[5.0, float("nan")]]])
    >>> masked_mean(x, torch.tensor([[[True, True]], [[False, False]]]))
    tensor([2., 0.])
    """
    total = x.masked_fill(~valid, 0.0).sum((-2, -1))
    return total / valid.sum((-2, -1)).clamp(min=1)

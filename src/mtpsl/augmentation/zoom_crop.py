"""Zoom-crops and flips of whole batches that keep images, labels and the geometry of the labels' values together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mtpsl.structures import Batch
from mtpsl.tasks import Task

#: interpolated vectors shorter than this come from vectors that cancel out: their direction is rounding
SHORTEST = 1e-6


class Augmentation:
    """Crops each image at a random place, magnifies the crop to the full size and mirrors half of the images.

    A scale s is drawn for each image; the crop has int(height / s) x int(width / s) pixels. Images and labels of tasks
    with `resampling = "bilinear"` (directions: a zero vector means none) are interpolated with aligned corners from
    valid pixels only; other labels and all masks take the nearest pixel below. Values follow by `Task.zoom` (called
    with s itself) and `Task.mirror`. Everything runs on the batch's device; random numbers are drawn where the
    generator lives, and with one on the CPU nothing waits for the accelerator.

    The augmentation of the authors' code for Li, Liu and Bilen, "Learning Multiple Dense Prediction Tasks from
    Partially Annotated Data", CVPR 2022 (NYU-v2 and Cityscapes).

    Args:
        tasks: the tasks that batches may hold.
        scales: magnifications to choose from, none below 1.
        flip: whether half of the images are mirrored left to right.

    Raises:
        ValueError: no scale, or one below 1; when called, a batch with a task that is not among `tasks`.

    >>> from mtpsl.tasks import Segmentation
    >>> from mtpsl.structures import Batch
    >>> augment = Augmentation([Segmentation(num_classes=4)], scales=(2.0,), flip=False)
    >>> labels = torch.arange(4).expand(1, 2, 4)
    >>> batch = Batch(("a",), torch.zeros(1, 3, 2, 4), {"segmentation": labels}, {"segmentation": labels > 0})
    >>> augment(batch, torch.Generator().manual_seed(0)).targets["segmentation"]
    tensor([[[0, 0, 1, 1],
             [0, 0, 1, 1]]])
    """

    def __init__(self, tasks: Sequence[Task], *, scales: Sequence[float] = (1.0, 1.2, 1.5), flip: bool = True) -> None:
        if not scales or not all(1 <= scale < float("inf") for scale in scales):
            raise ValueError(f"scales should be one or more numbers of at least 1, not {tuple(scales)}")
        self.tasks = {task.name: task for task in tasks}
        self.scales, self.flip = tuple(float(scale) for scale in scales), flip

    def __call__(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """A randomly cropped, magnified and mirrored view of every image; four random numbers are drawn for each."""
        return self._view(batch, generator, self.flip)

    def crop_view(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """The same without mirroring: the second view of a batch that is mirrored already."""
        return self._view(batch, generator, False)

    def _view(self, batch: Batch, generator: torch.Generator | None, flip: bool) -> Batch:
        for name in batch.targets:
            if name not in self.tasks:
                raise ValueError(
                    f"the batch holds {name!r}, which is none of the tasks {[*self.tasks]}: add it to them"
                )
        device, height, width = batch.images.device, *batch.images.shape[-2:]
        scale, crop, corner, mirrored = self._draw(len(batch), height, width, generator)
        if not flip:
            mirrored = torch.zeros_like(mirrored)
        if bool((scale == 1).all()) and not bool(mirrored.any()):  # all on the CPU: waits for nothing
            return batch
        # One small copy to the device; every number is an integer below 2**24 or rounded to float32 anyway.
        drawn = torch.cat((crop, corner, scale[:, None], mirrored[:, None]), dim=1).float()
        tall, wide, top, left, scale, mirrored = drawn.to(device, non_blocking=True).unbind(1)
        rows = Axis.of(height, tall, top, torch.zeros_like(mirrored, dtype=torch.bool))
        columns = Axis.of(width, wide, left, mirrored.bool())
        pixels = (rows.nearest[:, :, None] * width + columns.nearest[:, None, :]).flatten(1)

        targets, valid = {}, {}
        for name, target in batch.targets.items():
            task = self.tasks[name]
            valid[name] = gather_pixels(batch.valid[name], pixels)
            if task.resampling == "bilinear":
                seen = bilinear(target.masked_fill(~batch.valid[name][:, None], 0), rows, columns)
                valid[name] &= seen.square().sum(1) > SHORTEST**2
                moved = torch.where(along(scale > 1, seen), task.resampled(seen), seen)
            else:
                moved = gather_pixels(target, pixels)
            zoomed = task.zoom(moved, scale)
            reflected = task.mirror(zoomed)
            unchanged = reflected is zoomed
            targets[name] = zoomed if unchanged else torch.where(along(mirrored.bool(), zoomed), reflected, zoomed)
        cameras = batch.cameras
        if cameras is not None:
            cameras = cropped_cameras(cameras, (height, width), torch.stack((tall, wide, top, left)), mirrored.bool())
        images = bilinear(batch.images, rows, columns)
        return Batch(batch.keys, images, targets, valid, batch.labels(), cameras, batch.predicted)

    def _draw(
        self, count: int, height: int, width: int, generator: torch.Generator | None
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b 2"], Float[Tensor, "b 2"], Bool[Tensor, " b"]]:
        """Scale, size and top left corner of each image's crop and whether it is mirrored, all on the CPU."""
        source = generator.device if generator is not None else torch.device("cpu")
        # float32 numbers below 1 stay below 1 in float64, so that no product below reaches its upper end.
        random = torch.rand(count, 4, generator=generator, device=source, dtype=torch.float32).cpu().double()
        sizes = torch.tensor([[max(1, int(n / scale)) for n in (height, width)] for scale in self.scales], device="cpu")
        choice = (random[:, 0] * len(self.scales)).long()
        crop = sizes.double()[choice]
        corner = (random[:, 1:3] * (torch.tensor([height, width], device="cpu") - crop + 1)).floor()
        scale = torch.tensor(self.scales, dtype=torch.float64, device="cpu")[choice]
        return scale, crop, corner, random[:, 3] < 0.5


def cropped_cameras(
    cameras: Float[Tensor, "b 3 3"], size: tuple[int, int], crop: Float[Tensor, "4 b"], mirrored: Bool[Tensor, " b"]
) -> Float[Tensor, "b 3 3"]:
    """The cameras of crops (height, width, top, left) that are magnified to `size` with aligned corners.

    A mirrored image is one of a mirrored world: its camera looks the same way, and what is seen is mirrored.
    """
    (height, width), (tall, wide, top, left) = size, crop
    down, right = (max(height - 1, 1)) / (tall - 1).clamp(min=1), max(width - 1, 1) / (wide - 1).clamp(min=1)
    fx, skew, fy = right * cameras[:, 0, 0], right * cameras[:, 0, 1], down * cameras[:, 1, 1]
    cx, cy = right * (cameras[:, 0, 2] - left), down * (cameras[:, 1, 2] - top)
    tilt = down * cameras[:, 1, 0]
    there = cameras[:, 2, 2]
    cx = torch.where(mirrored, width - 1 - cx, cx)
    skew, tilt = torch.where(mirrored, -skew, skew), torch.where(mirrored, -tilt, tilt)
    zero = torch.zeros_like(there)
    found = torch.stack((fx, skew, cx, tilt, fy, cy, zero, zero, there), 1).view(-1, 3, 3)
    return found * there[:, None, None]


class Axis(NamedTuple):
    """Where each output row (or column) of each image comes from."""

    nearest: Int[Tensor, "b n"]
    low: Int[Tensor, "b n"]
    high: Int[Tensor, "b n"]
    weight: Float[Tensor, "b n"]

    @classmethod
    def of(
        cls, size: int, length: Float[Tensor, " b"], first: Float[Tensor, " b"], mirrored: Bool[Tensor, " b"]
    ) -> Axis:
        """`length` input rows from `first` on become `size` output rows, in reverse order where `mirrored`."""
        length, first = length[:, None], first[:, None]
        step = torch.arange(size, device=length.device, dtype=torch.float32)
        step = torch.where(mirrored[:, None], size - 1 - step, step)
        # Both rules are those of torch.nn.functional.interpolate; the division after the multiplication, with an exact
        # remainder, makes corners and whole places exact (all numbers here are integers below 2**24).
        nearest = first + (step * (length / size)).floor().clamp(max=length - 1)
        steps = max(size - 1, 1)
        place = step * (length - 1)
        low = (place / steps).floor()
        high = torch.minimum(low + 1, length - 1)
        return cls(nearest.long(), (first + low).long(), (first + high).long(), (place - low * steps) / steps)


def gather_pixels(x: Tensor, pixels: Int[Tensor, "b hw"]) -> Tensor:
    """Fill (b, h, w) or (b, c, h, w) with the pixels of those numbers, counted along the rows."""
    flat = x.reshape(x.shape[0], -1, pixels.shape[1])
    return flat.gather(2, pixels[:, None].expand(-1, flat.shape[1], -1)).view(x.shape)


def bilinear(x: Float[Tensor, "b c h w"], rows: Axis, columns: Axis) -> Float[Tensor, "b c h w"]:
    """Interpolate along columns, then along rows."""
    count, channels, height, width = x.shape
    # gather is quick along the last axis, index_select (which copies whole rows) along the others: grid_sample took
    # 1.3 times and advanced indexing 4 times as long.
    low, high = (x.gather(3, index[:, None, None].expand(-1, channels, height, -1)) for index in columns[1:3])
    lines = low.lerp_(high, columns.weight[:, None, None].to(x.dtype)).view(-1, width)
    start = torch.arange(count * channels, device=x.device).view(count, channels, 1) * height
    low, high = (lines.index_select(0, (start + index[:, None]).flatten()).view(x.shape) for index in rows[1:3])
    return low.lerp_(high, rows.weight[:, None, :, None].to(x.dtype))


def along(flags: Bool[Tensor, " b"], x: Tensor) -> Bool[Tensor, " b *ones"]:
    """One flag per image in a shape that broadcasts against x."""
    return flags.view(-1, *[1] * (x.ndim - 1))

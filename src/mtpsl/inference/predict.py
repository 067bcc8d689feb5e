"""Apply a trained network to pictures of any size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from mtpsl.errors import UserError
from mtpsl.inference.reading import Picture, find_pictures, read_image
from mtpsl.inference.writing import (
    SHEETS,
    PredictionSummary,
    check_folder_names,
    prepare_folder,
    write_prediction,
    write_sheet,
)
from mtpsl.tasks import Task

#: draws tasks, image and raw predictions (`mtpsl.visualization.draw_sheet`)
DrawSheet = Callable[[Sequence[Task], Tensor, dict[str, Tensor]], Image.Image]
#: a long, narrow picture is not magnified beyond so many times the longer side of the training size
LONGEST = 4
#: the longer side of the picture that a sheet is drawn from
SHEET_SIDE = 480


class Predictor:
    """Predicts pictures of any size with a network that was trained at one size.

    The picture is resized, with its aspect ratio, until its shorter side is the shorter side of the training size (a
    very long one only until its longer side is four times the longer one), and its border is repeated until both
    sides are divisible by the network's stride. Predictions are cropped to the picture again, brought to its size
    bilinearly while they are still raw, and then decoded.

    Depth comes out as if the picture had been taken with the training pictures' field of view: one picture does not
    tell the camera. If the focal length, divided by the picture's shorter side, is f times that of the training
    pictures, the true depth is f times the predicted one. Nothing is rescaled here.

    Args:
        network: anything with a `stride` that returns an `Output`; it is moved to `device`.
        tasks: what it predicts.
        image_size: height and width of the pictures it was trained on; None leaves pictures at their size.
        device: where to compute.

    Raises:
        ValueError: a task's name cannot be that of a folder.
    """

    def __init__(
        self,
        network: nn.Module,
        tasks: Sequence[Task],
        *,
        image_size: tuple[int, int] | None,
        device: torch.device | str = "cpu",
    ) -> None:
        if image_size is not None and min(image_size) < 1:
            raise ValueError(f"image_size should be positive, not {image_size}")
        check_folder_names(list(tasks))
        self.device = torch.device(device)
        self.network, self.tasks, self.image_size = network.to(self.device), list(tasks), image_size

    def predict(self, image: Tensor) -> dict[str, Tensor]:
        """Decoded predictions of every task, in the form and size of a label of this image, on the image's device.

        Args:
            image: shape (3, h, w), values from 0 to 1.

        Raises:
            ValueError: the image has another form.
        """
        return self._decoded(self.raw(image), image)

    def predict_files(
        self,
        paths: Path | Sequence[Path],
        out: Path,
        *,
        draw: DrawSheet | None,
        overwrite: bool = False,
        progress: bool = True,
    ) -> PredictionSummary:
        """Predict picture files and write the results below `out`, as `mtpsl.inference.writing` describes.

        A folder stands for all pictures below it, and its sub-folders come again below `out`. Every file is
        written whole or not at all. A picture that cannot be read does not keep the others from being predicted.

        Args:
            paths: picture files and folders of them.
            out: the folder for results; new or empty, unless `overwrite` is on: then results of the same name are
                replaced and other files stay.
            draw: what draws the colour sheet, `mtpsl.visualization.draw_sheet`; None writes no sheets.
            overwrite: write into a folder that holds files.
            progress: show a progress bar on the error stream.

        Raises:
            UserError: inputs that are missing, no pictures or ambiguous, an `out` that holds files (all found before
                anything is written); or, after all others were written, pictures that could not be read.
        """
        out, start = Path(out), time.perf_counter()
        pictures = find_pictures(paths, [out / folder for folder in (*(task.name for task in self.tasks), SHEETS)])
        prepare_folder(out, overwrite)
        files: list[Path] = []
        failures: list[UserError] = []
        with Progress(console=Console(stderr=True), disable=not progress) as bar:
            for picture in bar.track(pictures, description="predict"):
                try:
                    image = read_image(picture.path)
                except UserError as error:
                    failures.append(error)
                else:
                    files += self._write(picture, image, out, draw)
        done = len(pictures) - len(failures)
        if failures:
            more = f" (and {len(failures) - 3} more)" if len(failures) > 3 else ""
            raise UserError(
                f"{'; '.join(str(failure) for failure in failures[:3])}{more}. "
                f"Predicted {done} of {len(pictures)} pictures into {out}"
            )
        return PredictionSummary(out, done, files, time.perf_counter() - start)

    def raw(self, image: Tensor) -> dict[str, Float[Tensor, "1 c h2 w2"]]:
        """Raw predictions of every task at the size that the network saw, without the padding.

        Raises:
            ValueError: the image has another form, or the network leaves out a task or answers in another size.
        """
        if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape or not image.is_floating_point():
            raise ValueError(
                f"image should be floating point of shape (3, h, w), not {image.dtype} of shape {tuple(image.shape)}"
            )
        height, width = self.working_size(*image.shape[-2:])
        x = resized(image[None].to(self.device), (height, width))
        stride = int(getattr(self.network, "stride", 1))
        down, right = -height % stride, -width % stride
        top, left = down // 2, right // 2
        x = F.pad(x, (left, right - left, top, down - top), mode="replicate")
        with torch.no_grad(), evaluation_mode(self.network):
            predictions = self.network(x).predictions
        for task in self.tasks:
            shape = tuple(predictions[task.name].shape) if task.name in predictions else "nothing"
            if shape != (1, task.out_channels, *x.shape[-2:]):
                wanted = (1, task.out_channels, *x.shape[-2:])
                raise ValueError(f"{task.name}: the network should predict shape {wanted}, not {shape}")
        return {
            task.name: predictions[task.name][..., top : top + height, left : left + width].float()
            for task in self.tasks
        }

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which the network sees a picture, before padding."""
        if self.image_size is None:
            return height, width
        scale = min(
            min(self.image_size) / min(height, width),
            LONGEST * max(self.image_size) / max(height, width),
        )
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _decoded(self, raw: dict[str, Tensor], image: Float[Tensor, "3 h w"]) -> dict[str, Tensor]:
        """Raw predictions at the image's size, decoded; one task after another, since they may be large."""
        size = (image.shape[-2], image.shape[-1])
        return {task.name: task.decode(resized(raw[task.name], size))[0].to(image.device) for task in self.tasks}

    def _write(self, picture: Picture, image: Tensor, out: Path, draw: DrawSheet | None) -> list[Path]:
        """Predict one picture and write its files."""
        raw = self.raw(image)
        decoded = self._decoded(raw, image)
        files = [write_prediction(task, decoded[task.name], out, picture.name) for task in self.tasks]
        if draw is not None:
            height, width = image.shape[-2:]
            scale = min(1.0, SHEET_SIDE / max(height, width))
            size = max(1, round(height * scale)), max(1, round(width * scale))
            small = {name: resized(prediction, size)[0].cpu() for name, prediction in raw.items()}
            files.append(write_sheet(draw(self.tasks, resized(image[None], size)[0], small), out, picture.name))
        return files


def resized(x: Float[Tensor, "1 c h w"], size: tuple[int, int]) -> Float[Tensor, "1 c h2 w2"]:
    """Bilinear resizing that keeps the picture's frame in place and averages when it shrinks."""
    if tuple(x.shape[-2:]) == size:
        return x
    if size[1] == 1 < size[0]:  # torch 2.15 repeats the first row in a result of width 1; of height 1 it is right
        return resized(x.mT, (size[1], size[0])).mT
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block, the former one after it."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)

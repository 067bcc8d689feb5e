"""Apply a trained network to pictures of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.errors import UserError
from mtpsl.inference.canvas import Canvas, Miniature, Prediction
from mtpsl.inference.files import DrawSheet, predict_files
from mtpsl.inference.images import ImageLike, Picture, as_picture, part, seen, size_of
from mtpsl.inference.resize import resized, strips
from mtpsl.inference.sizes import Size, TrainingSizes
from mtpsl.inference.tiles import Span, blended
from mtpsl.inference.writing import PredictionSummary, check_folder_names
from mtpsl.networks.network import padded
from mtpsl.tasks import Task

#: the shortest tile
LEAST_TILE = 32


class Predictor:
    """Predicts pictures of any size with a network that was trained at one size.

    The network sees a picture as it saw those of its training (`TrainingSizes.whole`): where all of them were brought
    to one size, so is every picture whose aspect ratio is among theirs, and predictions are those that an evaluation
    scores. Its lower and right border is repeated until both sides are divisible by the network's stride, as networks
    do by themselves. Predictions are cropped to the picture again, brought to its size bilinearly while they are still
    raw, and then decoded, strip by strip, so that memory does not grow with classes times pixels.

    With `tile`, a picture is cut into overlapping tiles, each seen with pixels of the size that those of the training
    pictures had: for pictures that show more than those, not the same at a higher resolution. Raw predictions
    of tiles are blended where they overlap.

    Depth comes out as if the picture had been taken with the training pictures' field of view: one picture does not
    tell the camera. If the focal length, divided by the picture's shorter side, is f times that of the training
    pictures, the true depth is f times the predicted one. Nothing is rescaled here.

    Args:
        network: anything with a `stride` that returns an `Output`; it is moved to `device`.
        tasks: what it predicts.
        image_size: the size of the pictures that it was trained on (height and width, or how they became so); None
            leaves pictures at their size.
        device: where to compute.

    Raises:
        ValueError: a task's name cannot be that of a folder.
    """

    def __init__(
        self,
        network: nn.Module,
        tasks: Sequence[Task],
        *,
        image_size: TrainingSizes | tuple[int, int] | None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.sizes = TrainingSizes(image_size) if isinstance(image_size, tuple) else image_size
        check_folder_names(list(tasks))
        self.device = torch.device(device)
        self.network, self.tasks = network.to(self.device), list(tasks)

    def predict(self, image: Tensor, *, tile: int | None = None) -> dict[str, Tensor]:
        """Decoded predictions of every task, in the form and size of a label of this image, on the image's device.

        Args:
            image: shape (3, h, w), values from 0 to 1.
            tile: the longest side of overlapping tiles, in the image's pixels; by default the image is not cut.

        Raises:
            ValueError: the image has another form.
        """
        canvases, _ = self.draw(as_picture(image), tile=tile)
        return {canvas.task.name: canvas.label().to(image.device) for canvas in canvases}

    def predict_image(self, image: ImageLike, *, tile: int | None = None, confidence: bool = False) -> Prediction:
        """Decoded predictions of every task as arrays of the image's size: what `predict_files` writes.

        Args:
            image: a file, a PIL image, an array or a tensor: `mtpsl.inference.images.as_picture`.
            tile: the longest side of overlapping tiles, in the image's pixels; by default the image is not cut.
            confidence: find the confidence, too.

        Raises:
            ValueError: the image cannot be read, or has another form.
        """
        canvases, _ = self.draw(as_picture(image), tile=tile, confidence=confidence)
        return Prediction(
            {canvas.task.name: canvas.values for canvas in canvases},
            {canvas.task.name: canvas.confidence for canvas in canvases if canvas.confidence is not None},
        )

    def predict_files(
        self,
        paths: Path | Sequence[Path],
        out: Path,
        *,
        draw: DrawSheet | None,
        overwrite: bool = False,
        progress: bool = True,
        tile: int | None = None,
    ) -> PredictionSummary:
        """Predict picture files and write the results below `out`, as `mtpsl.inference.writing` describes.

        A folder stands for all pictures below it, and its sub-folders come again below `out`. Every file is
        written whole or not at all. A picture that fails does not keep the others from being predicted.

        Args:
            paths: picture files and folders of them.
            out: the folder for results; new or empty, unless `overwrite` is on: then results of the same name are
                replaced and other files stay.
            draw: what draws the color sheet, `mtpsl.visualization.draw_sheet`; None writes no sheets.
            overwrite: write into a folder that holds files.
            progress: show a progress bar on the error stream.
            tile: as in `predict_image`.

        Raises:
            UserError: inputs that are missing, no pictures or ambiguous, an `out` that holds files (all found before
                anything is written); or, after all others were written, pictures that could not be predicted.
        """
        check_tile(tile)

        def predict(picture: Picture, size: Size | None) -> tuple[list[Canvas], dict[str, Tensor]]:
            return self.draw(picture, tile=tile, small=size)

        return predict_files(self.tasks, predict, paths, Path(out), draw=draw, overwrite=overwrite, progress=progress)

    def draw(
        self, picture: Picture, *, tile: int | None = None, confidence: bool = False, small: Size | None = None
    ) -> tuple[list[Canvas], dict[str, Tensor]]:
        """The decoded predictions of a picture, and its raw ones (c, h, w) at a smaller size where one is given."""
        size = size_of(picture)
        canvases = [Canvas(task, size, confidence=confidence) for task in self.tasks]
        check_tile(tile)
        if tile is None:
            raw = self.raw(picture)
            for canvas in canvases:
                for top, strip in strips(raw[canvas.task.name], size):
                    canvas.put(strip, top)
            return canvases, {} if small is None else {k: resized(x, small)[0].cpu() for k, x in raw.items()}
        miniature = None if small is None else Miniature(size, small)

        def predict(rows: Span, columns: Span) -> dict[str, Tensor]:
            cut = part(picture, rows, columns)
            raw = self.raw(cut, size_of(cut) if self.sizes is None else self.sizes.part(*size_of(cut)))
            return {name: resized(x, size_of(cut)) for name, x in raw.items()}

        for top, left, block in blended(predict, size, tile):
            for canvas in canvases:
                canvas.put(block[canvas.task.name], top, left)
            if miniature is not None:
                miniature.put(block, top, left)
        return canvases, {} if miniature is None else miniature.values

    def raw(self, picture: Picture, size: Size | None = None) -> dict[str, Float[Tensor, "1 c h2 w2"]]:
        """Raw predictions of every task at the size that the network saw, without the padding.

        Args:
            picture: an upright RGB picture, or a tensor (3, h, w) from 0 to 1, as `as_picture` gives them.
            size: the size to see it at; by default `working_size`.

        Raises:
            ValueError: the network leaves out a task or answers in another size.
        """
        height, width = size or self.working_size(*size_of(picture))
        x = padded(seen(picture, (height, width)).to(self.device), int(getattr(self.network, "stride", 1)))
        with torch.no_grad(), evaluation_mode(self.network):
            predictions = self.network(x).predictions
        for task in self.tasks:
            shape = tuple(predictions[task.name].shape) if task.name in predictions else "nothing"
            if shape != (1, task.out_channels, *x.shape[-2:]):
                wanted = (1, task.out_channels, *x.shape[-2:])
                raise ValueError(f"{task.name}: the network should predict shape {wanted}, not {shape}")
        return {task.name: predictions[task.name][..., :height, :width].float() for task in self.tasks}

    def working_size(self, height: int, width: int) -> Size:
        """Height and width at which the network sees a picture, before padding."""
        return (height, width) if self.sizes is None else self.sizes.whole(height, width)


def check_tile(tile: int | None) -> None:
    """Refuse tiles that are too small.

    Raises:
        UserError: they are.
    """
    if tile is not None and tile < LEAST_TILE:
        raise UserError(f"tile should be at least {LEAST_TILE} pixels, not {tile}")


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block, the former one after it."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)

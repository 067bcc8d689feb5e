"""Load the network of a run, to predict, to go on, to export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mtpsl.device import best_device
from mtpsl.errors import UserError
from mtpsl.inference import ImageLike, Prediction, Predictor, TrainingSizes, find_pictures
from mtpsl.objectives import Objective
from mtpsl.plugins import is_object, title, trusting
from mtpsl.tasks import Task
from mtpsl.training.best import stopped_early
from mtpsl.training.build import build_network, build_objective
from mtpsl.training.config import RunConfig
from mtpsl.training.run_folder import RunFolder, Which
from mtpsl.weighting import Weighting


@dataclass(frozen=True)
class TrainedRun:
    """A trained network and what it was trained for.

    Attributes:
        folder: where its files lie.
        config: all that it was trained with.
        tasks: what it predicts, in the order of the network's heads.
        network: a plain module in evaluation mode: images (b, 3, h, w) from 0 to 1 to an `Output`.
        epoch: how many epochs it was trained for.
        checkpoint: whether it is the network of the last epoch or of the best.
        stopped_early: whether training ended before its last epoch, since scores improved no more.
    """

    folder: RunFolder
    config: RunConfig
    tasks: list[Task]
    network: nn.Module
    epoch: int
    checkpoint: Which = "last"
    stopped_early: bool = False

    def __repr__(self) -> str:
        names = ", ".join(task.name for task in self.tasks)
        return f"TrainedRun({str(self.folder.path)!r}: {names} by {title(self.config.network)}, epoch {self.epoch})"

    @property
    def predictor(self) -> Predictor:
        """What brings pictures to the form that the network knows, on the device where the network is."""
        device = next(self.network.parameters()).device
        return Predictor(self.network, self.tasks, image_size=self.sizes, device=device)

    @cached_property
    def sizes(self) -> TrainingSizes | None:
        """How large the pictures were that it was trained on."""
        return self.folder.training_sizes()

    @overload
    def predict(
        self, image: Image.Image | np.ndarray | Tensor, *, tile: int | None = None, confidence: bool = False
    ) -> Prediction: ...
    @overload
    def predict(self, image: str | Path, *, tile: int | None = None, confidence: bool = False) -> Any: ...
    @overload
    def predict(
        self, image: Sequence[ImageLike], *, tile: int | None = None, confidence: bool = False
    ) -> list[Prediction]: ...
    def predict(self, image: Any, *, tile: int | None = None, confidence: bool = False) -> Any:
        """What the network says of one image or of several: the numbers that `mtpsl predict` writes.

        Args:
            image: a file, a PIL image, an array (h, w, 3) of bytes, 16-bit numbers or floating-point numbers from 0 to
                1 (also (h, w), which is gray), a tensor (3, h, w) from 0 to 1; a list of such; or a folder.
            tile: cut images into overlapping tiles of at most this side, in their own pixels: for images that show more
                than those of the training, and to bound memory. By default an image is seen as a whole.
            confidence: also give the probability of what was chosen, as `confidence` of the result.

        Returns:
            A `Prediction`: arrays (h, w) or (h, w, c) of the image's size by task. A list of them for a list. For a
            folder a dictionary, by the pictures' paths in it without suffix.

        Raises:
            ValueError: an image has another form, or cannot be read.
        """
        if isinstance(image, str | Path) and Path(image).is_dir():
            pictures = find_pictures(Path(image))
            return {one.name: self.predict(one.path, tile=tile, confidence=confidence) for one in pictures}
        if isinstance(image, list | tuple):
            return [self.predict(one, tile=tile, confidence=confidence) for one in image]
        return self.predictor.predict_image(image, tile=tile, confidence=confidence)

    @cached_property
    def objective(self) -> Objective:
        """What it was trained with; built and read when it is first asked for, since it may be larger than the network.

        Raises:
            UserError: it does not fit the configuration.
        """
        objective = build_objective(self.config, self.tasks, self.network)
        load_weights(self.folder, self.folder.load_checkpoint(self.checkpoint), self.tasks, None, objective)
        return objective.eval()


def load(
    run: str | Path,
    *,
    device: torch.device | str | None = None,
    checkpoint: Which = "last",
    trust_code: bool = False,
    network: nn.Module | None = None,
) -> TrainedRun:
    """A trained run, ready to predict.

    Args:
        run: its folder.
        device: where to compute; by default the first GPU, or the CPU.
        checkpoint: the network of the `last` epoch, or of that with the `best` validation scores, where it was kept.
        trust_code: run the files of one's own (FILE.py:Class) that it was made with: only for a run of yours, or after
            reading them.
        network: for a run that was trained with a network of yours (`mtpsl.train(network=...)`): one like it, which
            gets the weights.

    Raises:
        UserError: not a run folder, no checkpoint, or one that does not fit the configuration; it names files that
            are not trusted, or are not what they were.
    """
    with trusting(trust_code):
        loaded = load_run(Path(run), checkpoint, network=network)
    loaded.network.to(best_device() if device is None else device)
    return loaded


def load_run(path: Path, which: Which = "last", *, network: nn.Module | None = None) -> TrainedRun:
    """The network of a run folder, on the CPU; `network` gets its weights where the run was trained with an object.

    Raises:
        UserError: not a run folder, no checkpoint, or one that does not fit the configuration.
    """
    folder = RunFolder(path)
    config = folder.read_config()
    if which not in get_args(Which):
        raise UserError(f"checkpoint should be {' or '.join(get_args(Which))}, not {which!r}")
    checkpoint = folder.load_checkpoint(which)
    tasks = folder.read_tasks()
    if network is None and is_object(config.network):
        raise UserError(
            f"{path} was trained with a network that was given as an object in Python ({title(config.network)}), which "
            f"the folder does not hold: give one like it, mtpsl.load({str(path)!r}, network=...)"
        )
    if network is None:
        network = build_network(config, tasks, pretrained=False)
    load_weights(folder, checkpoint, tasks, network)
    stopped = stopped_early(checkpoint, config.training)
    return TrainedRun(folder, config, tasks, network.eval(), int(checkpoint["epoch"]) + 1, which, stopped)


def load_weights(
    folder: RunFolder,
    checkpoint: dict[str, Any],
    tasks: list[Task],
    network: nn.Module | None = None,
    objective: Objective | None = None,
    weighting: Weighting | None = None,
) -> None:
    """Fill what is given of network, objective and weighting from a checkpoint.

    Raises:
        UserError: it is of another task list, network, objective or weighting.
    """
    heads = {key.split(".")[2]: None for key in checkpoint["state_dict"] if key.startswith("network.heads.")}
    names = [task.name for task in tasks]
    if heads and sorted(heads) != sorted(names):  # a network of one's own may call its heads otherwise
        raise UserError(
            f"{folder.checkpoint} predicts {', '.join(heads)}, but the run {', '.join(names)}: give it the tasks of "
            f"{folder.config}"
        )
    try:
        if network is not None:
            network.load_state_dict(entries_below(checkpoint["state_dict"], "network."))
        if objective is not None:
            objective.load_state_dict(entries_below(checkpoint["state_dict"], "objective."))
        if weighting is not None:
            weighting.load_state_dict(entries_below(checkpoint["state_dict"], "weighting."))
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise UserError(
            f"{folder.checkpoint} does not fit the run: {detail} (it was made with {folder.config})"
        ) from error


def entries_below(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The entries below a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}

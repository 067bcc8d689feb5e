"""Write a run's network for other programs, and check what was written on the run's own images."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mtpsl.errors import UserError
from mtpsl.evaluation.scores import Scores
from mtpsl.files import check_writable, write_atomically
from mtpsl.inference.export import Difference, Freedom, Recorded, describe, exported, write_model
from mtpsl.inference.export.packages import need_packages
from mtpsl.inference.export.weights import write_weights
from mtpsl.inference.resize import resized
from mtpsl.training.exported_int8 import quantized
from mtpsl.training.score_run import ScoringData, scoring_data
from mtpsl.training.trained import TrainedRun

ENDINGS = (".onnx", ".pt2", ".safetensors")


@dataclass(frozen=True)
class ExportOptions:
    """How a network is written.

    Args:
        raw: without what stands before and after the network: images from 0 to 1 to raw predictions.
        size: take images of this height and width alone.
        int8: compute in 8-bit whole numbers.
        images: how many validation images to compare on.
        tolerance: the largest difference that is accepted, see `Difference.share`.
        overwrite: replace a file.
    """

    raw: bool = False
    size: tuple[int, int] | None = None
    int8: bool = False
    images: int = 8
    tolerance: float = 1e-3
    overwrite: bool = False


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        file: the file.
        freedom: which inputs it takes; None for weights alone.
        size: height and width at which it was compared.
        differences: the worst of every task; none for weights alone, which are compared bit by bit.
        images: how many images that is.
        why: what stood against taking more inputs; empty where nothing did.
        note: why these were not the run's, where they were not.
        scores: by precision (`fp32`, `int8`), on the given number of validation images; empty without int8.
    """

    file: Path
    freedom: Freedom | None
    size: tuple[int, int]
    differences: list[Difference]
    images: int
    why: str = ""
    note: str | None = None
    scores: dict[str, Scores] = field(default_factory=dict)
    scored: int = 0


def check_export(out: Path, options: ExportOptions) -> None:
    """Refuse what cannot be done, before anything is loaded.

    Raises:
        UserError: an unknown ending, a file that exists or cannot be written, options that exclude each other, a
            missing package.
    """
    if out.suffix not in ENDINGS:
        raise UserError(f"--out {out}: the ending says what is written: it should be one of {', '.join(ENDINGS)}")
    if out.suffix == ".safetensors":
        given = {"--raw": options.raw, "--int8": options.int8, "--size": options.size is not None}
        for name in (name for name, value in given.items() if value):
            raise UserError(f"{name} does not apply to weights alone: leave it out, or write .onnx")
    if options.int8 and out.suffix != ".onnx":
        raise UserError("--int8 needs ONNX Runtime: write .onnx")
    if options.int8 and options.raw:
        raise UserError("--int8 compares scores of decoded predictions: leave out --raw")
    if options.images < 1:
        raise UserError(f"--images should be at least 1, not {options.images}")
    if not 0 <= options.tolerance < float("inf"):
        raise UserError(f"--tolerance should be 0 or more, not {options.tolerance}")
    if options.size is not None and min(options.size) < 1:
        raise UserError(f"--size should be positive, not {','.join(map(str, options.size))}")
    if out.is_file() and not options.overwrite:
        raise UserError(f"{out} exists: choose another --out, or replace it with --overwrite")
    if out.parent.is_dir() or out.is_dir():
        check_writable(out, "--out")
    if out.suffix == ".onnx":
        need_packages()


def export_run(run: TrainedRun, out: Path, options: ExportOptions, *, root: str | None = None) -> Exported:
    """Write a run's network to a file; its ending says as what.

    Args:
        run: on the CPU.
        out: the file.
        options: how.
        root: where the run's data lies, if it moved.

    Raises:
        UserError: as `check_export`; the network cannot be recorded or converted; what was written says something
            else than the network. Then there is no file.
    """
    check_export(out, options)
    size = options.size or usual_size(run)
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / f"network{out.suffix}"
        if out.suffix == ".safetensors":
            write_weights(run.network, built, description(run, None, raw=False))
            done = Exported(out, None, size, [], 0)
        else:
            done = build(run, built, out, options, size, root)
        try:
            write_atomically(out, lambda temporary: shutil.copyfile(built, temporary))
        except OSError as error:
            raise UserError(f"{out} cannot be written ({error.strerror}): choose another --out") from error
    return done


def build(
    run: TrainedRun, built: Path, out: Path, options: ExportOptions, size: tuple[int, int], root: str | None
) -> Exported:
    """Record, convert and compare; `built` is where the file comes to lie first, `out` what is asked for."""
    data, note = own_images(run, root)
    if options.int8 and data is None:
        raise UserError(f"--int8 measures activations on the run's images: {note}")
    images = [*images_of(data, options.images, size)]

    def said(recorded: Recorded) -> dict[str, Any]:
        return description(run, recorded, raw=options.raw) | ({"int8": True} if options.int8 else {})

    made = exported(
        run.network,
        run.tasks,
        images,
        built,
        say=said,
        raw=options.raw,
        both=options.int8,
        fixed=options.size is not None,
        tolerance=options.tolerance,
    )
    scores: dict[str, Scores] = {}
    scored = 0
    if options.int8 and data is not None:
        model, scores, scored = quantized(run, data, made.model, size)
        write_model(model, said(made.recorded), built)
    return Exported(
        file=out,
        freedom=made.recorded.freedom,
        size=size,
        differences=made.differences,
        images=len(images),
        why=made.recorded.why,
        note=note,
        scores=scores,
        scored=scored,
    )


def own_images(run: TrainedRun, root: str | None) -> tuple[ScoringData | None, str | None]:
    """The run's validation data, or why there is none.

    Raises:
        UserError: `root` is given and is not such data.
    """
    try:
        return scoring_data(run, root), None
    except (UserError, OSError) as error:
        if root is not None:
            raise
        return None, f"its data cannot be read ({error}); --data.root DATA says where it lies"


def images_of(data: ScoringData | None, count: int, size: tuple[int, int]) -> Iterator[Float[Tensor, "1 3 h w"]]:
    """Validation images at even distances, or noise, at a size."""
    if data is None:
        generator = torch.Generator().manual_seed(0)
        yield from (torch.rand(1, 3, *size, generator=generator) for _ in range(count))
        return
    chosen = data.dataset.spread(count)
    for index in range(len(chosen)):
        yield resized(chosen[index].image[None], size)


def usual_size(run: TrainedRun) -> tuple[int, int]:
    """The size at which the network saw the pictures of its training.

    Raises:
        UserError: the run does not say it.
    """
    size = run.sizes.size if run.sizes is not None else run.config.data.size
    if size is None:
        raise UserError(f"{run.folder.path} does not say how large its pictures were: give --size HEIGHT,WIDTH")
    return size[0], size[1]


def description(run: TrainedRun, recorded: Recorded | None, *, raw: bool) -> dict[str, Any]:
    """What the file says of itself; nothing in it names a place on this machine."""
    size = None if run.sizes is None else run.sizes.size
    options = {key: value for key, value in run.config.network_options.items() if key != "weights"}
    network = {"name": str(run.config.network).rpartition("/")[2], **options}
    head = {"mtpsl": version("mtpsl"), "label": run.config.method, "epoch": run.epoch, "network": network}
    return head | describe(run.tasks, run.network, size, recorded, raw=raw)

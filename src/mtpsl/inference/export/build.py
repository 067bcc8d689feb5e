"""Record a network, convert it and compare what it says then with what it says itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtpsl.inference.export.compare import Difference, differences, refused
from mtpsl.inference.export.deployable import RAW, Deployable, as_bytes
from mtpsl.inference.export.description import KEY
from mtpsl.inference.export.onnx_file import Session, describe_in, to_onnx
from mtpsl.inference.export.recording import Recorded, record
from mtpsl.inference.exportable import Exportable
from mtpsl.inference.resize import resized
from mtpsl.tasks import Task

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Built:
    """A network that was written.

    Attributes:
        recorded: how it was recorded.
        model: the `onnx.ModelProto`; None of a program.
        differences: the worst of every task.
    """

    recorded: Recorded
    model: Any
    differences: list[Difference]


def exported(
    network: nn.Module,
    tasks: Sequence[Task],
    images: Sequence[Float[Tensor, "1 3 h w"]],
    file: Path,
    *,
    say: Callable[[Recorded], dict[str, Any]],
    raw: bool = False,
    both: bool = False,
    fixed: bool = False,
    tolerance: float = 1e-3,
) -> Built:
    """Write a network as ONNX or as a program of `torch.export`, with as much freedom in its input as it allows.

    Args:
        network: returns an `Output`, on the CPU.
        tasks: what it predicts, which gives the outputs their names.
        images: to compare on, of one size, from 0 to 1.
        file: where to write; its ending, .onnx or .pt2, says what.
        say: what the file says of itself.
        raw: leave out what stands before and after the network.
        both: give raw predictions beside decoded ones.
        fixed: take images of this size alone.
        tolerance: the largest difference that is accepted.

    Raises:
        UserError: it cannot be recorded or converted, or says something else then.
    """
    module: nn.Module = Exportable(network, tasks, decode=False) if raw else Deployable(network, tasks, raw=both)
    outputs = [task.name for task in tasks]
    outputs += [f"{RAW}{name}" for name in outputs] * both
    expected = as_arrays(module)

    def convert(recorded: Recorded) -> tuple[Any, list[Difference]]:
        compute: Callable[[Tensor], Arrays]
        if file.suffix == ".pt2":
            torch.export.save(recorded.program, file, extra_files={f"{KEY}.json": json.dumps(say(recorded))})
            model, what, compute = None, "the program", as_arrays(torch.export.load(file).module())
        else:
            model, what = to_onnx(recorded, "images" if raw else "image", outputs), "ONNX Runtime"
            session = Session(model.SerializeToString())

            def compute(batch: Tensor) -> Arrays:
                return session(batch.numpy())

        batches = [given(batch, raw) for batch in varied(images, recorded)]
        found = differences(tasks, [(compute(batch), expected(batch)) for batch in batches], decoded=not raw)
        refused(found, tolerance, what)
        return model, found

    recorded, (model, found) = record(
        module,
        lambda count, height, width: given(torch.rand(count, 3, height, width), raw),
        (images[0].shape[-2], images[0].shape[-1]),
        int(getattr(network, "stride", 1)),
        axes=(2, 3) if raw else (1, 2),
        fixed=fixed,
        convert=convert,
    )
    if model is not None:
        write_model(model, say(recorded), file)
    return Built(recorded, model, found)


def write_model(model: Any, said: dict[str, Any], file: Path) -> None:
    """Write an `onnx.ModelProto` with what it says of itself."""
    describe_in(model, said)
    file.write_bytes(model.SerializeToString())


def given(images: Float[Tensor, "b 3 h w"], raw: bool) -> Tensor:
    """Images from 0 to 1 in the form that an exported network takes."""
    return images if raw else as_bytes(images)


def as_arrays(module: nn.Module) -> Callable[[Tensor], Arrays]:
    """What a module says of a batch, as arrays by task."""

    def compute(batch: Tensor) -> Arrays:
        with torch.no_grad():
            return {name: values.numpy() for name, values in module(batch).items()}

    return compute


def varied(images: Sequence[Float[Tensor, "1 3 h w"]], recorded: Recorded) -> Iterator[Float[Tensor, "b 3 h w"]]:
    """Batches that use the freedom of a recorded network: one image, several, and noise of other sizes.

    A wrong guess of torch at what may vary shows in another size alone. Noise it is since flat areas, of which small
    images have more, leave it to rounding which of equal neighbours a pooling takes.
    """
    height, width = images[0].shape[-2:]
    if recorded.freedom == "multiples":
        height, width = (-(-side // recorded.stride) * recorded.stride for side in (height, width))
    images = [resized(image, (height, width)) for image in images]
    yield from images[:-2] if recorded.any_number else images
    if recorded.any_number:
        yield torch.cat(images[-2:])
    if recorded.any_size:
        more, generator = recorded.stride + 3 * (recorded.freedom == "any size"), torch.Generator().manual_seed(0)
        yield torch.rand(1, 3, width, height, generator=generator)
        yield torch.rand(1, 3, height + more, width + 2 * more, generator=generator)

"""Record a network with `torch.export`, with as much freedom in its input as it allows."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mtpsl.errors import UserError
from mtpsl.networks.encoders.timm import TimmEncoder

Freedom = Literal["any size", "multiples", "fixed size", "one image"]
"""What a recorded network takes: any number of images of any size; of sides that its stride divides; of one size; or
nothing but a single image of one size."""
FREEDOMS: tuple[Freedom, ...] = ("any size", "multiples", "fixed size", "one image")
T = TypeVar("T")


@dataclass(frozen=True)
class Recorded:
    """A recorded network.

    Attributes:
        program: what `torch.export` made.
        freedom: which inputs it takes.
        stride: by what the sides of images should be divisible where the freedom is `multiples`.
        size: height and width of the images that it was recorded with; the only ones that a fixed one takes.
        why: what stood against more freedom, in one line; empty where nothing did.
    """

    program: ExportedProgram
    freedom: Freedom
    stride: int
    size: tuple[int, int]
    why: str = ""

    @property
    def any_number(self) -> bool:
        """Whether it takes several images at a time."""
        return self.freedom != "one image"

    @property
    def any_size(self) -> bool:
        """Whether it takes images of other sizes."""
        return self.freedom in ("any size", "multiples")


def record(
    module: nn.Module,
    image: Callable[[int, int, int], Tensor],
    size: tuple[int, int],
    stride: int,
    *,
    axes: tuple[int, int],
    fixed: bool,
    convert: Callable[[Recorded], T],
) -> tuple[Recorded, T]:
    """A module as a program that takes as many inputs as it can, and what becomes of it.

    Args:
        module: from a batch of images to a dictionary of tensors.
        image: an input with so many images of this height and width.
        size: height and width of the images.
        stride: by what the network likes these to be divisible.
        axes: which axes of an input height and width are.
        fixed: take images of that size alone.
        convert: what is done with a program; where that fails, one that takes fewer inputs is tried: torch may record
            what is right for some sizes alone.

    Raises:
        UserError: no program can be recorded, or none converted.
    """
    failure: Exception | None = None
    module = copy.deepcopy(module)
    for part in [*module.modules()]:
        if isinstance(part, TimmEncoder):
            part.fix_padding()
    for freedom in FREEDOMS[2 * fixed :]:
        try:
            recorded = attempt(module, image, size, stride, axes, freedom)
            if failure is not None:
                recorded = replace(recorded, why=first_line(failure))
            return recorded, convert(recorded)
        except Exception as error:  # torch raises a dozen kinds for what it cannot record
            failure = error
    assert failure is not None
    if isinstance(failure, UserError):
        raise failure
    raise UserError(f"torch.export cannot record the network: {first_line(failure)}") from failure


def attempt(
    module: nn.Module,
    image: Callable[[int, int, int], Tensor],
    size: tuple[int, int],
    stride: int,
    axes: tuple[int, int],
    freedom: Freedom,
) -> Recorded:
    """Record with one freedom; torch's own errors where it is too much."""
    height, width = size
    if freedom in ("any size", "multiples"):  # torch takes a side of 1, in any map, for one that does not vary
        height, width = (max(2, -(-side // stride)) * stride for side in size)
        width += stride * (height == width)  # equal sides would be taken for one
    example = image(1 if freedom == "one image" else 2, height, width)
    shapes: dict[int, Any] = {} if freedom == "one image" else {0: Dim.DYNAMIC}
    if freedom == "any size":
        shapes |= dict.fromkeys(axes, Dim.DYNAMIC)
    elif freedom == "multiples":
        shapes |= {axis: stride * Dim(f"sides{axis}", min=1, max=4096) for axis in axes}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch, about itself
        program = torch.export.export(module, (example,), dynamic_shapes=(shapes,))
    for part in every_module(program):
        for node in part.graph.nodes:
            node.meta.pop("stack_trace", None)  # paths of this machine
    return Recorded(program, freedom, stride, size if freedom in ("fixed size", "one image") else (height, width))


def every_module(program: ExportedProgram) -> Iterator[torch.fx.GraphModule]:
    """The graph of a program and those inside it."""
    for part in program.graph_module.modules():
        if isinstance(part, torch.fx.GraphModule):
            yield part


def first_line(error: BaseException) -> str:
    """The first line of a message that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)

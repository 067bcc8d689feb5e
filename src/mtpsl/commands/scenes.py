"""`mtpsl scenes`: write the built-in scenes as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtpsl.commands.parsing import make_parser, parse
from mtpsl.commands.spinner import loading
from mtpsl.phrases import command


def scenes(arguments: Sequence[str]) -> None:
    """Parse `OUT [options]` and write."""
    parser = make_parser(
        "scenes",
        "Render rooms with exact segmentation, depth, normals and edges, and write them as a data set: "
        "OUT/<split>/<task>/<image>.png and OUT/dataset.yaml.",
    )
    parser.add_argument("out", type=Path, help="the folder to make")
    parser.add_argument("--train", type=int, default=240, help="number of training images")
    parser.add_argument("--val", type=int, default=60, help="number of validation images")
    parser.add_argument("--size", type=tuple[int, int], default=(96, 128), help="height and width, e.g. 96,128")
    parser.add_argument("--seed", type=int, default=0, help="other seeds give other rooms")
    values = parse(parser, arguments)

    with loading():
        from mtpsl.data.scenes import write_scenes

    write_scenes(values.out, {"train": values.train, "val": values.val}, size=values.size, seed=values.seed)
    counts = f"{values.train} training and {values.val} validation images"
    print(f"{values.out}: {counts}; next: {command('check', values.out)}")

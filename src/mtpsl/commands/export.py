"""`mtpsl export`: a run's network as a file that other programs run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtpsl.commands.parsing import add_trust_option, make_parser, parse
from mtpsl.commands.spinner import loading

if TYPE_CHECKING:
    from mtpsl.training.export_run import Exported

TAKES = {
    "any size": "any number of images of any height and width",
    "multiples": "any number of images whose height and width are multiples of the network's stride",
    "fixed size": "any number of images of {size}",
    "one image": "one image of {size}",
}


def export(arguments: Sequence[str]) -> None:
    """Parse `RUN --out FILE [options]`, export and say what was written."""
    parser = make_parser(
        "export",
        "Write a trained network as a file that programs without mtpsl run. The ending of FILE chooses: .onnx, for "
        "ONNX Runtime and others (needs pip install 'mtpsl[export]'); .pt2, a program of torch.export, for PyTorch; "
        ".safetensors, the weights alone. "
        "Pictures go in as bytes, uint8 (batch, height, width, 3) in RGB, and labels' values come out, one output per "
        "task: the number of the class, depth in its unit, unit vectors, probabilities, (batch, height, width) or "
        "(batch, height, width, channels). Bring a picture to the size of the training first: the network sees it as "
        "it is. Tasks, classes, units and sizes stand in the file's metadata under 'mtpsl', as JSON. "
        "What was written is compared with the network on the run's own validation images; where it says something "
        "else, it is not kept.",
    )
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--out", type=Path, required=True, help="the file to write: .onnx, .pt2 or .safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace the file where it exists")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="the network alone: images (batch, 3, height, width) from 0 to 1 in, predictions before decoding out",
    )
    parser.add_argument(
        "--size",
        type=tuple[int, int] | None,
        default=None,
        help="take images of this height and width alone, e.g. 480,640; by default any size, where the network allows",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="compute in 8-bit whole numbers, about a quarter of the size, on some CPUs faster (.onnx); ranges are "
        "measured on training images, and scores on validation images printed beside those of the network as it is",
    )
    parser.add_argument("--images", type=int, default=8, help="how many validation images to compare on")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-3,
        help="the largest difference that is accepted, as a share of a task's largest value; of classes the share of "
        "pixels",
    )
    parser.add_argument("--data.root", type=str | None, default=None, help="where the run's data lies, if it moved")
    add_trust_option(parser)
    values = parse(parser, arguments)

    with loading():
        from mtpsl.plugins import trust_from_here
        from mtpsl.training.export_run import ExportOptions, check_export, export_run
        from mtpsl.training.trained import load_run

    options = ExportOptions(
        raw=values.raw,
        size=values.size,
        int8=values.int8,
        images=values.images,
        tolerance=values.tolerance,
        overwrite=values.overwrite,
    )
    check_export(values.out, options)
    trust_from_here(values.trust_code)
    print_exported(export_run(load_run(values.run), values.out, options, root=values.data.root))


def print_exported(done: Exported) -> None:
    """What was written, how it compares, and scores where there are some."""
    from mtpsl.phrases import counted

    megabytes = f"{done.file.stat().st_size / 1e6:.1f} MB"
    if done.freedom is None:
        print(f"{done.file}: {megabytes}, the weights, read back and equal bit by bit")
        return
    size = f"{done.size[0]}x{done.size[1]}"
    print(f"{done.file}: {megabytes}, takes {TAKES[done.freedom].format(size=size)}")
    if done.why:
        print(f"no others: {done.why}")
    if done.note:
        print(f"compared on noise: {done.note}")
    kind = "noise image" if done.note else "validation image"
    print(f"worst difference from the network on {counted(done.images, kind)} of {size}:")
    for one in done.differences:
        print(f"  {one}")
    if done.scores:
        print_scores(done)


def print_scores(done: Exported) -> None:
    """The scores of both precisions side by side."""
    from rich.console import Console
    from rich.table import Table

    from mtpsl.phrases import counted

    table = Table(title=f"scores on {counted(done.scored, 'validation image')}", title_justify="left")
    for column in ("task", "score", "fp32", "int8", "unit", "better"):
        table.add_column(column, justify="right" if column in done.scores else "left")
    for task, values in done.scores["fp32"].items():
        for name, one in values.items():
            shown = [f"{done.scores[kind][task][name].value:.4g}" for kind in ("fp32", "int8")]
            table.add_row(task, name, *shown, one.unit, "↑" if one.higher_is_better else "↓")
    Console().print(table)

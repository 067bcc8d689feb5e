"""`mtpsl autolabel`: a data set in which runs fill labels that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtpsl.commands.parsing import add_checkpoint, add_trust_option, make_parser, parse
from mtpsl.commands.spinner import loading
from mtpsl.errors import UserError
from mtpsl.phrases import command


def autolabel(arguments: Sequence[str]) -> None:
    """Parse `RUN... DATA --out DATA2 [options]` and fill."""
    parser = make_parser(
        "autolabel",
        "Copy a data set in folders, and fill labels of its training images that are missing with what a run is sure "
        "of, or the mean of several runs. Labels that exist are copied as they are and stay what they are; predicted "
        "ones lie apart, and dataset.yaml says which runs made them. A call that was interrupted continues when it is "
        "given again.",
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", help="a run folder; of several the mean of their predictions counts"
    )
    parser.add_argument("data", type=Path, help="the data set, with a dataset.yaml")
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    add_checkpoint(parser)
    parser.add_argument("--description", type=Path | None, default=None, help="its dataset.yaml, if it lies elsewhere")
    parser.add_argument(
        "--tasks", type=list[str] | None, default=None, help="the tasks to fill; by default all that the first predicts"
    )
    parser.add_argument(
        "--hidden",
        action="store_true",
        help="take labels that the runs' label regime (--data.regime) hid for missing, too; they are left out of DATA2",
    )
    parser.add_argument(
        "--confidence.probability",
        type=float,
        default=0.8,
        help="a class, or an edge or none, counts from this probability on",
    )
    parser.add_argument(
        "--confidence.class_share",
        type=float,
        default=0.2,
        help="this share of each class's pixels, the surest over all images, counts whatever the probability, so that "
        "rare classes do not vanish",
    )
    parser.add_argument(
        "--confidence.value_share",
        type=float,
        default=0.8,
        help="share of the pixels of depth, normals and other numbers that counts: where the predictions for image and "
        "mirror image, and of several runs, differ least",
    )
    parser.add_argument("--force", action="store_true", help="drop what an interrupted call left with other options")
    add_trust_option(parser)
    values = parse(parser, arguments)

    with loading():
        from mtpsl.tasks.pseudo_labels import Confidence
        from mtpsl.training.autolabel import autolabel as fill
        from mtpsl.training.trained import load

    try:
        confidence = Confidence(**vars(values.confidence))
    except ValueError as error:
        raise UserError(f"--{error}") from error
    runs = [load(run, checkpoint=values.checkpoint, trust_code=values.trust_code) for run in values.runs]
    counts = fill(
        runs,
        values.data,
        values.out,
        description=values.description,
        tasks=values.tasks,
        confidence=confidence,
        hidden=values.hidden,
        force=values.force,
    )
    filled = ", ".join(f"{name} of {count}" for name, count in counts.items())
    print(f"{values.out}: predicted {filled} images; next: {command('check', values.out)}")

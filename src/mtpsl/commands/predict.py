"""`mtpsl predict`: apply a run to pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mtpsl.commands.parsing import add_checkpoint, add_trust_option, make_parser, parse
from mtpsl.commands.spinner import loading
from mtpsl.phrases import counted, no_pictures


def predict(arguments: Sequence[str]) -> None:
    """Parse `RUN FILES-OR-FOLDER... --out DIR` and predict."""
    parser = make_parser(
        "predict",
        "Apply a trained network to pictures of any size. Writes raw files that a program can read "
        "(DIR/<task>/<picture>.png or .npy) and one color sheet per picture (DIR/sheets/<picture>.png). Pictures are "
        "seen as those of the training were (squeezed where --data.size squeezed them), and results brought back to "
        "their size; depth is as if the picture had been taken "
        "with the field of view of the training pictures: with a focal length (in shorter sides) f times theirs, the "
        "true depth is f times the predicted one.",
    )
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument(
        "pictures",
        type=Path,
        nargs="+",
        help="picture files, or a folder: all .png, .jpg, .bmp, .webp, .gif and .tif below it",
    )
    add_checkpoint(parser)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that holds files")
    parser.add_argument(
        "--tile",
        type=int | None,
        default=None,
        help="cut pictures into overlapping tiles of at most so many pixels a side, each seen at the resolution of the "
        "training: for pictures that show more than those of the training, and to bound memory",
    )
    add_trust_option(parser)
    values = parse(parser, arguments)

    with loading():
        from mtpsl.training.trained import load
        from mtpsl.visualization.sheets import draw_sheet

    run = load(values.run, checkpoint=values.checkpoint, trust_code=values.trust_code)
    summary = run.predictor.predict_files(
        values.pictures, values.out, draw=draw_sheet, overwrite=values.overwrite, tile=values.tile
    )
    if summary.passed_over:
        kinds = Counter(path.suffix.lower() or "no suffix" for path in summary.passed_over)
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
        print(f"passed over {no_pictures(len(summary.passed_over))} ({listed})")
    print(
        f"{values.out}: predictions of {', '.join(task.name for task in run.tasks)} for "
        f"{counted(summary.images, 'picture')}; "
        f"look at {values.out / 'sheets'}"
    )

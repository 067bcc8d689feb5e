"""`mtpsl predict`: apply a run to pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtpsl.commands.loading import loading
from mtpsl.commands.parsing import make_parser, parse


def predict(arguments: Sequence[str]) -> None:
    """Parse `RUN FILES-OR-FOLDER... --out DIR` and predict."""
    parser = make_parser(
        "predict",
        "Apply a trained network to pictures of any size. Writes raw files that a program can read "
        "(DIR/<task>/<picture>.png or .npy) and one colour sheet per picture (DIR/sheets/<picture>.png). Pictures are "
        "seen at the size of training, and results brought back to theirs; depth is as if the picture had been taken "
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
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that holds files")
    values = parse(parser, arguments)

    with loading():
        from mtpsl.device import best_device
        from mtpsl.inference.predict import Predictor
        from mtpsl.training.run import load_run
        from mtpsl.visualization.sheets import draw_sheet

    run = load_run(values.run)
    device = best_device()
    predictor = Predictor(run.network.to(device), run.tasks, image_size=run.folder.image_size(), device=device)
    predictor.predict_files(values.pictures, values.out, draw=draw_sheet, overwrite=values.overwrite)
    print(f"{values.out}: predictions of {', '.join(task.name for task in run.tasks)}; look at {values.out / 'sheets'}")

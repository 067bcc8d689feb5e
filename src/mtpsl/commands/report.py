"""`mtpsl report`: one page to look at of one run or several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtpsl.commands.parsing import add_trust_option, make_parser, parse
from mtpsl.commands.spinner import loading
from mtpsl.errors import UserError


def report(arguments: Sequence[str]) -> None:
    """Parse `RUN... [options]` and write the page."""
    parser = make_parser(
        "report",
        "Write one HTML file that shows a run, or compares several: what was trained on what, scores, curves, "
        "predictions, the worst and the best images, errors, options. It asks for nothing from anywhere, so that it "
        "can be sent and opened without a network. Predictions are computed anew where the data is there.",
    )
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, or folders that hold run folders")
    parser.add_argument(
        "--out", type=Path | None, default=None, help="the file; by default report.html in the folder of the run"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file that --out names")
    parser.add_argument("--sheets", type=int, default=6, help="how many validation images are shown")
    parser.add_argument(
        "--images",
        type=int,
        default=100,
        help="how many validation images, at even distances, worst and best ones, classes and errors are found on",
    )
    parser.add_argument(
        "--data.root", type=str | None, default=None, help="where the data lies, if not where it lay in training"
    )
    add_trust_option(parser)
    values = parse(parser, arguments)
    for name in ("sheets", "images"):
        if values[name] < 0:
            raise UserError(f"--{name} should not be negative, not {values[name]}")

    with loading():
        from mtpsl.plugins import trust_from_here
        from mtpsl.training.report import Depth, write_report

    trust_from_here(values.trust_code)
    depth = Depth(sheets=values.sheets, images=values.images)
    out = write_report(values.runs, values.out, depth=depth, root=values.data.root, overwrite=values.overwrite)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, open it in a browser")

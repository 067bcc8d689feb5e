"""`mtpsl serve`: a run behind HTTP on this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from mtpsl.commands.parsing import add_checkpoint, add_trust_option, make_parser, parse
from mtpsl.commands.spinner import loading
from mtpsl.errors import UserError

PACKAGES = ("starlette", "uvicorn", "python_multipart")


def serve(arguments: Sequence[str]) -> None:
    """Parse `RUN [options]` and answer until Ctrl-C."""
    parser = make_parser(
        "serve",
        "Answer at an address of this machine, until Ctrl-C: a page on which one drops a picture and sees every task, "
        "and for programs POST /predict, which takes a picture and gives JSON with the values that `mtpsl predict` "
        "writes (docs/serve.md), and GET /health. Pictures never leave memory. One is predicted at a time.",
    )
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--port", type=int, default=8000, help="where to listen; 0 is any that is free")
    parser.add_argument(
        "--host",
        type=str,
        default="127.0.0.1",
        help="the address to listen at; by default this machine alone can reach it; 0.0.0.0 lets others in, without a "
        "password",
    )
    parser.add_argument(
        "--max_megapixels", type=float, default=25.0, help="refuse pictures with more, before they are decoded"
    )
    parser.add_argument("--max_megabytes", type=float, default=50.0, help="refuse files with more")
    parser.add_argument(
        "--tile", type=int | None, default=None, help="cut pictures into overlapping tiles, as `mtpsl predict` does"
    )
    add_checkpoint(parser)
    add_trust_option(parser)
    values = parse(parser, arguments)
    need_packages()

    with loading():
        from mtpsl.inference.predict import check_tile
        from mtpsl.serving import Limits, listen, make_app, run_server
        from mtpsl.training.trained import load

    limits = Limits(values.max_megabytes, values.max_megapixels, values.tile)
    check_tile(values.tile)
    with listen(values.host, values.port) as listening:
        run = load(values.run, checkpoint=values.checkpoint, trust_code=values.trust_code)
        app = make_app(run, limits, listening.hosts)
        if not listening.loopback:
            print(
                f"mtpsl: warning: whoever reaches {values.host} can send pictures, without a password and unencrypted",
                file=sys.stderr,
                flush=True,
            )
        print(f"{listening.url}  {', '.join(task.name for task in run.tasks)}; Ctrl-C ends it", flush=True)
        run_server(app, listening)


def need_packages() -> None:
    """Refuse early where one is missing.

    Raises:
        UserError: one is.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(f"serve needs {' and '.join(missing)}: pip install 'mtpsl[serve]' brings all it takes")

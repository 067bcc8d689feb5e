"""`mtpsl init`: describe a folder of one's own images and labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtpsl.commands.parsing import make_parser, parse
from mtpsl.commands.spinner import loading
from mtpsl.errors import UserError
from mtpsl.phrases import command


def init(arguments: Sequence[str]) -> None:
    """Parse `FOLDER [options]`, look at the folder, write its dataset.yaml, print."""
    parser = make_parser(
        "init",
        "Look at a folder of your own images and labels (images/ beside masks/, depth/, normals/, edges/, ..., in "
        "splits or not) and write a dataset.yaml from what is found, which says what was guessed from what. Nothing is "
        "moved.",
    )
    parser.add_argument("folder", type=Path, help="the folder with images and labels")
    parser.add_argument(
        "--folders",
        type=list[str] | None,
        default=None,
        help="what folders hold whose names do not say it, as image=scans,depth=z",
    )
    parser.add_argument(
        "--tasks", type=list[str] | None, default=None, help="the tasks to describe; by default all found"
    )
    parser.add_argument(
        "--val", type=float, default=0.2, help="share of the images for validation, where there are no splits"
    )
    parser.add_argument(
        "--group",
        type=str | None,
        default=None,
        help="which images stay together then: sequence (same name up to the last number), image (none), or a regular "
        "expression that matches what their names begin with; by default guessed",
    )
    parser.add_argument("--out", type=Path | None, default=None, help="where to write; by default FOLDER/dataset.yaml")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    values = parse(parser, arguments)

    with loading():
        from mtpsl.data.guess import describe_folder
        from mtpsl.data.sizes import option, suggested_size
        from mtpsl.files import check_writable, write_text

    out = values.out or values.folder / "dataset.yaml"
    if out.exists() and not values.overwrite:
        raise UserError(
            f"{out} exists already: replace it with --overwrite, or go on with `{command('check', values.folder)}`"
        )
    if not 0 < values.val < 1:
        raise UserError(f"--val should be a share between 0 and 1, as 0.2, not {values.val:g}")
    given = {}
    for entry in values.folders or ():
        role, equals, folder = entry.partition("=")
        if not (role and equals and folder):
            raise UserError(f"--folders should be as image=scans,depth=z, not {entry!r}")
        given[role] = folder.rstrip("/")
    guessed = describe_folder(values.folder, folders=given, tasks=values.tasks, val=values.val, group=values.group)
    check_writable(out, "--out")
    write_text(out, guessed.text)
    for line in guessed.found:
        print(f"found  {line}")
    print(f"wrote  {out}: look through it, the names of classes and units are guesses")
    where: list[object] = [] if values.out is None else ["--description", out]
    size = ["--data.size", option(suggested_size(guessed.sizes))] if len(guessed.sizes) > 1 else []
    print(f"next   {command('check', values.folder, *where)}")
    described = ["--data.description", out] if where else []
    print(f"       {command('train', '--data.root', values.folder, *described, *size, '--out', 'runs/first')}")

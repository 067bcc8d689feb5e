"""`mtpsl convert`: a data set of any layout in a form that is read quickly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mtpsl.commands.parsing import DATA_OPTIONS, add_data_options, add_trust_option, make_parser, own_layout, parse
from mtpsl.commands.spinner import loading
from mtpsl.options import check_positive
from mtpsl.phrases import command


def convert(arguments: Sequence[str]) -> None:
    """Parse `SOURCE OUT [options]` and convert."""
    parser = make_parser(
        "convert",
        "Write a data set of any layout in a form that training reads quickly; it gives the same samples. A conversion "
        "that was interrupted continues when the same command is given again.",
    )
    parser.add_argument("source", type=Path, help="the data set")
    parser.add_argument("out", type=Path, help="the folder to make")
    parser.add_argument(
        "--to",
        type=Literal["packed", "shards", "folder"],
        default="packed",
        help="packed: one file per split, not encoded; shards: files of many images, which training reads one after "
        "another (for sets larger than memory or disk); folder: a PNG or npy file per image and label",
    )
    add_data_options(parser)
    add_trust_option(parser)
    parser.add_argument("--splits", type=list[str] | None, default=None, help="the splits to convert; by default all")
    parser.add_argument(
        "--size", type=tuple[int, int] | None, default=None, help="height and width to resize to, e.g. 288,384"
    )
    parser.add_argument(
        "--shard_mb", type=float | None, default=None, help="megabytes of a shard, with --to shards; 64 by default"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace what was converted from another or since changed source"
    )
    values = parse(parser, arguments)
    check_positive(shard_mb=values.shard_mb)

    with loading():
        from mtpsl.data.convert import convert_dataset
        from mtpsl.plugins import trust_from_here

    trust_from_here(values.trust_code)
    values.name = own_layout(values.name)
    counts = convert_dataset(
        values.source,
        values.out,
        to=values.to,
        splits=values.splits,
        size=values.size,
        shard_mb=values.shard_mb,
        force=values.force,
        **{option: values[option] for option in DATA_OPTIONS},
    )
    images = ", ".join(f"{count} {split}" for split, count in counts.items())
    print(f"{values.out}: {images} images; next: {command('train', '--data.root', values.out, '--out', 'runs/first')}")

"""What `mtpsl train --help` says: the options that people use, then the names of all others."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Collection, Iterable

#: shown first, where the chosen network has them
MOST_USED = (
    "data.root",
    "data.size",
    "tasks",
    "network.name",
    "network.encoder",
    "network.weights",
    "network.decoder",
    "objective.name",
    "training.epochs",
    "training.batch_size",
    "training.lr",
    "training.seed",
)
WIDTH = 110


def short_help(parser: argparse.ArgumentParser, explained: Collection[str] = ()) -> str:
    """The most used options with what they do, and the names of the others by group.

    Args:
        parser: has the options.
        explained: groups all of whose options are explained, such as `objective`.
    """
    options = {action.dest: action for action in parser._actions if action.option_strings}
    groups: dict[str, list[str]] = {}
    containers = {name.rpartition(".")[0] for name in options}  # which one may give as a whole
    for name in options:
        group, point, _ = name.rpartition(".")
        if point and name not in MOST_USED and name not in containers:
            groups.setdefault(group, []).append(name)
    lines = ["most used:", *_explained(options[name] for name in MOST_USED if name in options)]
    for group in explained:
        chosen = f" {options[f'{group}.name'].default}" if f"{group}.name" in options else ""
        lines += ["", f"of --{group}{chosen}:"]
        inner = [name for name in groups if name == group or name.startswith(f"{group}.")]
        lines += _explained(options[name] for part in inner for name in groups.pop(part))
    lines += ["", "others (--training.warmup, ...), which --help-all explains:"]
    for group, names in groups.items():
        listed = ", ".join(name.rpartition(".")[2] for name in names)
        lines += textwrap.wrap(f"{group + '.':<21} {listed}", WIDTH, initial_indent="  ", subsequent_indent=" " * 24)
    lines += ["  and                   label, print_config", ""]
    lines += ["  mtpsl train --objective cross_task --help      explains its options; likewise --network, --weighting"]
    return "\n".join(lines) + "\n"


def _explained(actions: Iterable[argparse.Action]) -> list[str]:
    lines = []
    for action in actions:
        option, word = action.dest.removesuffix(".name"), action.dest.rpartition(".")[2].upper()
        lines.append(f"  --{option} {word}")
        default = "" if action.default is None else f" (default: {_shown(action.default)})"
        text = f"one of {', '.join(map(str, action.choices))}" if action.choices else str(action.help)
        text += default
        lines += textwrap.wrap(text, WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return lines


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

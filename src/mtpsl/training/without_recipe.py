"""What a run without a recipe starts from: the recipe for own data, as far as it fits what is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mtpsl.networks import ALIASES, NETWORKS
from mtpsl.training.arguments import argument_value, expand
from mtpsl.training.config import option_names

OLD_NETWORK = "segnet"
"""The network that options without a network's name belonged to before there was a recipe for own data."""


def without_recipe(recipe: Mapping[str, Any], arguments: Sequence[str]) -> tuple[dict[str, Any], str | None]:
    """The content of the recipe that the arguments override, and a line to say where they imply another network.

    The recipe's options of its network, and what it says of a pretrained encoder, are for that network alone.

    Args:
        recipe: the content of the recipe.
        arguments: the options of the command line.
    """
    arguments = [expand(argument) for argument in arguments]
    stored, note = dict(recipe), None
    usual = str(recipe["network"]["name"])
    name = argument_value(arguments, "--network.name")
    options = [word.removeprefix("--network.").partition("=")[0] for word in arguments if word.startswith("--network.")]
    if name is None and options and implies_old(options, usual):
        name = OLD_NETWORK
        note = f"network {name}: --network.{options[0]} is an option of it, not of {usual} (name it: --network {name})"
    training = dict(stored["training"])
    if name is not None and ALIASES.get(name, name) != usual:
        stored["network"] = {"name": name}
        training.pop("encoder_lr_factor", None)
    if argument_value(arguments, "--training.freeze_encoder") not in (None, "false"):
        training.pop("encoder_lr_factor", None)
    return {**stored, "training": training}, note


def implies_old(options: Sequence[str], usual: str) -> bool:
    """Whether options of a network that is not named are all of the old one, and none of the usual one."""
    has, has_not = (set(option_names(NETWORKS[name], "network")) for name in (OLD_NETWORK, usual))
    return set(options) <= has - has_not

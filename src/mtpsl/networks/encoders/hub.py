"""timm's weights from the hub: from its cache without asking the hub, or a prompt answer that they cannot be had."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import huggingface_hub
import timm
from huggingface_hub.errors import EntryNotFoundError
from torch import nn

from mtpsl.errors import UserError

SECONDS = 5.0
"""To wait for the hub's first answer; its client by itself tries again and again for about a minute."""
FILES = ("model.safetensors", "pytorch_model.bin")


def hub_model(name: str, options: dict[str, Any]) -> nn.Module:
    """Timm's model `name`, made with these options, with its published weights.

    Raises:
        UserError: there are none, or they are neither in the cache nor to be had from the hub.
    """
    published = timm.get_pretrained_cfg(name)
    if published is None or not published.has_weights:
        raise UserError(f"encoder {name!r} has no published weights: start from scratch with --network.weights none")
    repository, _, revision = (published.hf_hub_id or "").partition("@")
    files = (published.hf_hub_filename,) if published.hf_hub_filename else FILES
    try:
        with quiet_about_classifiers():
            if repository and (cached := in_cache(repository, revision or None, files)):
                return timm.create_model(name, **options, pretrained=True, pretrained_cfg_overlay={"file": cached})
            if repository:
                ask(repository, revision or None, files[0])
            return timm.create_model(name, **options, pretrained=True)
    except Exception as error:  # the hub client raises a dozen kinds of network errors
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"weights of encoder {name!r} cannot be had ({first}): go online once, name a file of them with "
            "--network.weights FILE, or start from scratch with --network.weights none"
        ) from error


def in_cache(repository: str, revision: str | None, files: tuple[str, ...]) -> str | None:
    """The path of the first of these files that is in the hub's cache."""
    found = (huggingface_hub.try_to_load_from_cache(repository, file, revision=revision) for file in files)
    return next((path for path in found if isinstance(path, str)), None)


def ask(repository: str, revision: str | None, file: str) -> None:
    """Raise what the hub's client raises where there is no way to the hub; that a file is not there is an answer."""
    url = huggingface_hub.hf_hub_url(repository, file, revision=revision)
    try:
        huggingface_hub.get_hf_file_metadata(url, timeout=SECONDS)
    except EntryNotFoundError:
        return


@contextmanager
def quiet_about_classifiers() -> Iterator[None]:
    """Without timm's warning that weights of a classifier were left over, which are meant to be."""
    logger = logging.getLogger("timm.models._builder")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

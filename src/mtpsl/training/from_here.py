"""A configuration that holds from any folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from mtpsl.training.config import RunConfig


def from_here(config: RunConfig) -> RunConfig:
    """The same with absolute paths, so that the run can be continued from any folder."""
    given = {name: getattr(config.data, name) for name in ("root", "description", "labels", "label_cache")}
    absolute: dict[str, Any] = {name: str(Path(path).resolve()) for name, path in given.items() if path is not None}
    training, options = config.training, dict(config.network_options)
    if training.start_from is not None:
        training = dataclasses.replace(training, start_from=str(Path(training.start_from).resolve()))
    if options.get("weights", "none") not in ("none", "hub", "package"):
        options["weights"] = str(Path(options["weights"]).resolve())
    data = dataclasses.replace(config.data, **absolute)
    return dataclasses.replace(config, data=data, training=training, network_options=options)

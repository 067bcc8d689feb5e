"""What may change when a run is continued, and what its options and data were so far."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtpsl.errors import UserError
from mtpsl.plugins import CODE
from mtpsl.training.best import stopped_early
from mtpsl.training.config import RunConfig
from mtpsl.training.length import decided
from mtpsl.training.option_groups import by_name
from mtpsl.training.run_data import RunData

AT_ANY_TIME = {
    "label",
    "data.name",
    "data.root",
    "data.description",
    "data.label_cache",
    "data.labels",
    "data.workers",
    "data.cache",
    "data.cache_folder",
    "data.cache_limit",
    "training.report",
    "training.sheets",
}
"""Options that may change even after the last epoch: where the data lies (its content may not), how it is read, what
tables call the run, what is drawn."""

FOR_LATER_EPOCHS = {
    "data.broken",
    "objective.mapping.checkpoint",
    "training.epochs",
    "training.batch_size",
    "training.drop_last",
    "training.lr",
    "training.weight_decay",
    "training.schedule",
    "training.warmup",
    "training.clip",
    "training.accumulate",
    "training.validate_every",
    "training.logger",
    "training.keep_best",
    "training.patience",
    "training.scales",
    "training.flip",
    "training.rotation",
    "training.rescale",
    "training.rescale_draw",
    "training.border",
    "training.photometric",
    "training.precision",
    "training.channels_last",
    "training.compile",
    "training.accelerator",
    "training.devices",
    "training.num_nodes",
    "training.strategy",
    "training.sync_batchnorm",
    "training.checkpoint_minutes",
}
"""Options that may change while there are epochs left: how the network is optimized in them, and on what machine. What
is in neither set is what the checkpoint holds, or decides what the scores are of, and stays."""

KEY = "mtpsl"
"""The key of `record` in a checkpoint."""
MIDDLE = "mtpsl_middle"
"""The key of what a checkpoint in the middle of an epoch holds beside (`training.middle`)."""
CUTS_EPOCHS = ("batch_size", "drop_last", "accumulate", "devices", "num_nodes")
"""Options of `training` that decide which images a step sees: with another value an epoch begins anew."""


def record(config: RunConfig, data: RunData) -> dict[str, Any]:
    """What a checkpoint says of the run so far: its options and a fingerprint of its data."""
    return {KEY: {"config": config.to_dict(), "data": fingerprint(data)}}


def changed_options(path: Path, config: RunConfig, checkpoint: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The options that differ from those of the epochs so far: old and new value by name.

    Args:
        path: the run folder.
        config: the options to continue with.
        checkpoint: what they were so far; nothing is known of a checkpoint of the first version.

    Raises:
        UserError: one may not change, or would have no effect any more.
    """
    before, now = by_name(checkpoint.get(KEY, {}).get("config", {})), by_name(config.to_dict())
    epoch, epochs = epochs_done(checkpoint), decided(config.training.epochs)
    changed = {name: (old, now.get(name)) for name, old in before.items() if old != now.get(name)}
    changed = {name: values for name, values in changed.items() if not name.startswith(f"{CODE}.")}  # check_same_code
    for name, (old, new) in changed.items():
        if name in AT_ANY_TIME or name in FOR_LATER_EPOCHS:
            continue
        weights = "" if name.startswith(("network.", "tasks")) else f" (--training.start_from {path})"
        raise UserError(
            f"{path}: {name} is {written(new)} now, but the run was trained with {written(old)}, and a run keeps it: "
            f"change it back, or train a new run{weights}"
        )
    if epochs < epoch or (epochs == epoch and "training.epochs" in changed):
        raise UserError(
            f"{path}: training.epochs is {epochs}, but it was trained for {epoch} already: give more than {epoch}"
        )
    if epochs == epoch and (late := [name for name in changed if name in FOR_LATER_EPOCHS]):
        raise UserError(
            f"{path}: {late[0]} is {written(changed[late[0]][1])} now, but the run was trained to its last epoch with "
            f"{written(changed[late[0]][0])}: change it back, or give more epochs with --training.epochs"
        )
    late = [name for name in changed if name in FOR_LATER_EPOCHS]
    if late and stopped_early(checkpoint, config.training):
        raise UserError(
            f"{path}: {late[0]} is {written(changed[late[0]][1])} now, but with training.patience "
            f"{config.training.patience} it has stopped after epoch {epoch}: raise --training.patience, or give null, "
            "to train on"
        )
    return changed


def epochs_done(checkpoint: Mapping[str, Any]) -> int:
    """How many whole epochs a checkpoint was trained for."""
    return int(checkpoint["epoch"]) + (MIDDLE not in checkpoint)


def batches_done(checkpoint: Mapping[str, Any]) -> int:
    """How many batches of the next epoch a checkpoint was trained for; 0 after a whole epoch."""
    return int(checkpoint.get(MIDDLE, {}).get("batches", 0))


def cut_otherwise(checkpoint: Mapping[str, Any], config: RunConfig) -> Sequence[str]:
    """The options by which a run would cut its epochs into other steps than so far."""
    before = checkpoint.get(KEY, {}).get("config", {}).get("training", {})
    return [f"training.{name}" for name in CUTS_EPOCHS if before.get(name) != getattr(config.training, name)]


def check_same_data(path: Path, data: RunData, checkpoint: Mapping[str, Any]) -> None:
    """Refuse to continue on other data.

    Raises:
        UserError: other images than so far, or other labels.
    """
    before = checkpoint.get(KEY, {}).get("data")
    if before is not None and before != fingerprint(data):
        raise UserError(
            f"{path}: the images or their labels are not those that it was trained on so far: give the folder that has "
            f"them with --data.root, or train a new run on these (--training.start_from {path})"
        )


def check_same_code(path: Path, code: Mapping[str, str], checkpoint: Mapping[str, Any]) -> None:
    """Refuse to continue with files of one's own that were changed; `code` has the hashes of those that are used.

    Raises:
        UserError: one has another content than so far.
    """
    for file, digest in checkpoint.get(KEY, {}).get("config", {}).get(CODE, {}).items():
        if code.get(file, digest) != digest:
            raise UserError(
                f"{path}: {file} was changed since the run was trained with it: put its copy in {path / CODE} back in "
                f"its place, or train a new run (--training.start_from {path})"
            )


def fingerprint(data: RunData) -> str:
    """The names of all images, which labels of them are used or derived, and in which shards they lie."""
    digest = hashlib.blake2b(digest_size=16)
    for dataset in (data.train, data.validation):
        digest.update(repr([list(dataset.keys), dataset.mask.tolist(), list(dataset.tasks)]).encode())
        if dataset.derived.any():
            digest.update(repr(dataset.derived.tolist()).encode())
    if data.train.windows is not None:  # the order of an epoch follows from them
        digest.update(repr(data.train.windows.shard.tolist()).encode())
    return digest.hexdigest()


def written(value: Any) -> str:
    """A value as one writes it on the command line.

    >>> written(None), written([96, 128]), written(True)
    ('null', '96,128', 'true')
    """
    if isinstance(value, list):
        return ",".join(map(written, value))
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)

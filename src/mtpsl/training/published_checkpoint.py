"""Checkpoints of the authors' code become run folders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtpsl.data.published.cityscapes_classes import cityscapes_classes
from mtpsl.data.published.nyu_classes import FORTY, THIRTEEN
from mtpsl.errors import UserError
from mtpsl.files import new_folder
from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency
from mtpsl.tasks import Depth, Normals, Segmentation, Task
from mtpsl.tensor_files import save_tensors
from mtpsl.training.build import build_network, build_objective
from mtpsl.training.config import RunConfig
from mtpsl.training.length import decided
from mtpsl.training.published_names import STATISTICS, TRANSPOSED, difference, mapping_names, network_names, renamed
from mtpsl.training.run_folder import RunFolder

NEEDED = "a file that the authors' training scripts for NYU-v2 or Cityscapes saved (mtl_..._checkpoint.pth.tar)"


class Ignored:
    """Takes the place of numpy's numbers and arrays in a file; nothing of numpy runs, and the values are dropped."""

    def __new__(cls, *arguments: Any) -> Ignored:
        """Whatever it is made of."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Nothing is kept."""


SCORES: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (Ignored, name)  # best_performance and avg_cost are numpy's; not needed here
    for core in ("core", "_core")
    for name in (f"numpy.{core}.multiarray.scalar", f"numpy.{core}.multiarray._reconstruct")
]
SCORES += [(Ignored, name) for name in ("numpy.dtype", "numpy.ndarray", "_codecs.encode")]
"""The only names besides tensors that a file may use, and what they become."""


@dataclass(frozen=True)
class PublishedCheckpoint:
    """The weights in a checkpoint of the authors' code, under their names.

    `mapping` is None where the network was trained without the cross-task term; `epoch` where the file does not say.
    """

    path: Path
    network: dict[str, Tensor]
    mapping: dict[str, Tensor] | None
    epoch: int | None
    num_tasks: int
    num_classes: int

    @property
    def tasks(self) -> list[Task]:
        """NYU-v2's three tasks or Cityscapes' two."""
        if self.num_tasks == 3:
            names = {13: THIRTEEN, 40: FORTY}.get(self.num_classes)
            return [Segmentation(num_classes=self.num_classes, class_names=names), Depth(), Normals()]
        options: dict[str, Any] = {}
        if self.num_classes in (7, 19):
            known = cityscapes_classes(self.num_classes)
            options = {"class_names": known.names, "colors": known.colors}
        return [Segmentation(num_classes=self.num_classes, **options), Depth(inverse=True, unit="")]


def read_published(path: Path) -> PublishedCheckpoint:
    """Read a checkpoint of the authors' code; nothing in it is executed.

    Raises:
        UserError: there is no such file, it is damaged, wants to run code, or is something else.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    try:
        with torch.serialization.safe_globals(SCORES):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds, depending on where a file is broken
        raise UserError(
            f"{path}: cannot be loaded safely: it is damaged, half a file, or holds more than tensors and numbers"
        ) from error
    if isinstance(content, dict) and "pytorch-lightning_version" in content:
        raise UserError(f"{path}: looks like a checkpoint of this package: use its run folder as it is")
    if not isinstance(content, dict) or not is_state(content.get("state_dict")):
        raise UserError(
            f"{path}: {describe_content(content)}, but {NEEDED} is needed, which has weights in `state_dict`"
        )
    network, mapping = content["state_dict"], content.get("mapfns")
    if mapping is not None and not is_state(mapping):
        raise UserError(f"{path}: `mapfns` should hold tensors by name, not {type(mapping).__name__}")
    head = network.get("pred_task1.1.weight")
    if head is None or head.ndim != 4:
        raise UserError(f"{path}: `state_dict` {describe_content(network)}; needed is {NEEDED}")
    epoch = content.get("epoch")
    return PublishedCheckpoint(
        path, network, mapping, epoch if type(epoch) is int else None, count_tasks(network, mapping), len(head)
    )


def import_published(published: PublishedCheckpoint, config: RunConfig, out: Path) -> RunFolder:
    """Make a run folder of a checkpoint: whole, or not at all.

    Args:
        published: what `read_published` returned.
        config: a run with SegNet as its network; with a mapping in the checkpoint, also the cross-task objective.
        out: the folder to make.

    Raises:
        UserError: the weights do not fit the published networks, or `out` exists.
    """
    RunFolder(out).check_new()
    tasks = published.tasks
    with torch.device("meta"):  # shapes alone
        network = build_network(config, tasks)
        objective = build_objective(config, tasks, network)
    assert isinstance(network, SegNet)
    names = network_names(network.state_dict(), [task.name for task in tasks])
    wrong = f"{published.path}: `state_dict` is not the authors' SegNet"
    state = match_tensors(published.network, network.state_dict(), names, "network.", wrong)
    names, theirs = {}, {}
    if published.mapping is not None:
        assert isinstance(objective, CrossTaskConsistency)
        names = {f"mapping.{key}": name for key, name in mapping_names(objective.mapping.state_dict()).items()}
        theirs = {key: x for key, x in published.mapping.items() if not key.endswith(STATISTICS)}
    wrong = f"{published.path}: `mapfns` is not the authors' mapping network for {len(tasks)} tasks"
    state |= match_tensors(theirs, objective.state_dict(), names, "objective.", wrong)
    epochs = max(decided(config.training.epochs) if published.epoch is None else published.epoch, 1)
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=epochs))
    with new_folder(out) as partial:
        folder = RunFolder(partial)
        folder.create(config, tasks)
        folder.checkpoint.parent.mkdir()
        save_tensors({"epoch": epochs - 1, "state_dict": state}, folder.checkpoint)
    return RunFolder(out)


def match_tensors(
    theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor], names: Mapping[str, str], prefix: str, wrong: str
) -> dict[str, Tensor]:
    """The authors' tensors as entries of a checkpoint of ours.

    Raises:
        UserError: they are not the ones that our module needs.
    """
    transposed = {key: ours[key].T if name.endswith(TRANSPOSED) else ours[key] for key, name in names.items()}
    if problem := difference(theirs, {names[key]: tuple(x.shape) for key, x in transposed.items()}):
        raise UserError(f"{wrong}: {problem}")
    given = renamed(theirs, names)
    return {
        prefix + key: given[key].to(x.dtype) if key in given else torch.zeros_like(x, device="cpu")  # counts
        for key, x in ours.items()
    }


def count_tasks(network: Mapping[str, Tensor], mapping: Mapping[str, Tensor] | None) -> int:
    """Three for NYU-v2, two for Cityscapes (whose network holds a third head that nothing uses)."""
    if mapping is not None:
        return 3 if any(key.startswith("mapfns.pred_encoder_source.2.") for key in mapping) else 2
    cityscapes = any(key.startswith("con_tasks.") for key in network)
    return 3 if "pred_task3.1.weight" in network and not cityscapes else 2


def is_state(value: Any) -> bool:
    """Whether this holds tensors by name."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(key, str) and isinstance(x, Tensor) for key, x in value.items())
    )


def describe_content(content: Any) -> str:
    """What a file holds, for an error."""
    if not isinstance(content, dict):
        return f"holds a {type(content).__name__}"
    names = [str(key)[:60] for key in content]
    return f"holds {', '.join(names[:4])}{' and more' if len(names) > 4 else ''}" if names else "is empty"

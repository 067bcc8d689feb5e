"""Write a data set in which confident predictions of runs fill labels that are missing."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import Progress

from mtpsl.data.convert.converter import is_complete, partial_folder
from mtpsl.data.convert.provenance import provenance, read_provenance
from mtpsl.data.convert.writers import save
from mtpsl.data.formats.lossless import lossless_format
from mtpsl.data.layouts.folder import FolderDataset
from mtpsl.data.yaml_files import read_yaml
from mtpsl.errors import UserError
from mtpsl.files import write_atomically, write_text
from mtpsl.plugins import absolute, names_code
from mtpsl.tasks.pseudo_labels import Confidence
from mtpsl.training.autolabel.plan import Plan, make_plan
from mtpsl.training.autolabel.predict import Drafts
from mtpsl.training.trained import TrainedRun

AUTOLABELS = "autolabels"
"""The entry of dataset.yaml, and the folder of predicted labels."""
DRAFTS = ".drafts"


def autolabel(
    runs: TrainedRun | Sequence[TrainedRun],
    root: str | Path,
    out: str | Path,
    *,
    description: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    confidence: Confidence = Confidence(),
    hidden: bool = False,
    force: bool = False,
    progress: bool = True,
) -> dict[str, int]:
    """Copy a data set, and fill labels of its training images that are missing with what runs are sure of.

    Predictions of several runs, such as of different seeds, are averaged: together they know more than each, and where
    they differ they are not sure (Lakshminarayanan et al.: Simple and scalable predictive uncertainty estimation using
    deep ensembles, NeurIPS 2017).

    Files of images and labels are copied as they are; nothing is predicted where there is a label, or where one follows
    from another. Predicted labels lie apart, in `autolabels/<split>/<task>`, and dataset.yaml names the runs. The
    folder appears in one step when all is written; until then the work lies in the hidden `.<out>.partial` beside it,
    and calling again continues there. A call that was completed before does nothing.

    Args:
        runs: whose predictions fill it: one, or several whose mean it is.
        root: the data set, in folders.
        out: the folder to make.
        description: its dataset.yaml; by default the one in `root`.
        tasks: the tasks to fill; by default all that the first run predicts.
        confidence: which pixels count: the surest share is found by class over all images that are filled.
        hidden: take labels that the label regime of the runs hid for missing, and leave them out of the new data set.
        force: drop what an interrupted call left with other options.
        progress: show a progress bar on the error stream.

    Returns:
        How many labels of each task were predicted.

    Raises:
        UserError: runs and data set do not fit, nothing is missing, or `out` exists.
    """
    runs = [runs] if isinstance(runs, TrainedRun) else [*runs]
    root, out = Path(root), Path(out).resolve()
    made = out.exists() and (not out.is_dir() or any(out.iterdir()))
    if made and read_provenance(out) is None:
        raise taken(out)
    check_apart(root, out)
    plan = make_plan(runs, root, None if description is None else Path(description), tasks, hidden=hidden)
    mark = mark_of(runs, confidence, hidden)
    options: dict[str, Any] = {**mark, "tasks": [task.name for task in plan.tasks]}
    wanted = provenance(root, "folder", {**options, "description": str(plan.description.resolve())})
    counts: Counter[str] = Counter({task.name: 0 for task in plan.tasks})
    if made:
        if not is_complete(out, wanted):
            raise taken(out)
        return {name: count_labels(out / AUTOLABELS / plan.train.split / name) for name in counts}
    with partial_folder(out, wanted, force, work="labelling") as folder:
        files = [*copied_files(plan)]
        drafts = Drafts(folder / DRAFTS, plan)
        with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
            job = bar.add_task("predicting", total=len(drafts.rows))
            for _ in drafts.predict([run.predictor for run in runs]):
                bar.advance(job)
            job = bar.add_task("writing", total=len(drafts.rows) + len(files))
            for row, labels in drafts.sure(confidence):
                write_labels(folder / AUTOLABELS / plan.train.split, plan.train, row, labels)
                counts.update(labels.keys())
                bar.advance(job)
            for path in files:
                copy_file(path, folder / path.relative_to(root))
                bar.advance(job)
        if not any(counts.values()):
            who = ", ".join(str(run.folder.path) for run in runs)
            verb = "are" if len(runs) > 1 else "is"
            raise UserError(f"{who} {verb} sure of no pixel: nothing is filled: lower --confidence.probability")
        content = with_code_found({**read_yaml(plan.description), AUTOLABELS: mark}, plan.description)
        text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
        write_text(folder / "dataset.yaml", text)
        for dataset in [plan.train, *plan.others]:
            FolderDataset(folder, dataset.split)
        shutil.rmtree(folder / DRAFTS, ignore_errors=True)
    return dict(counts)


def check_apart(root: Path, out: Path) -> None:
    """Refuse a folder within the data set, or around it.

    Raises:
        UserError: it is one.
    """
    inside, outside = root.resolve(), out.resolve()
    if inside == outside or inside in outside.parents or outside in inside.parents:
        raise UserError(f"{out}: should lie outside the data set {root}, and not around it")


def taken(out: Path) -> UserError:
    """What is said of a folder that holds something else."""
    return UserError(f"{out} exists and is not an empty folder: give another one or remove it")


def count_labels(folder: Path) -> int:
    """How many images have a predicted label in a folder of these."""
    return sum(path.is_file() for path in folder.rglob("*"))


def mark_of(runs: Sequence[TrainedRun], confidence: Confidence, hidden: bool) -> dict[str, Any]:
    """What dataset.yaml says of the predicted labels (`mtpsl.data.layouts.autolabels`)."""
    first, *others = map(network_of, runs)
    mark = {"folder": AUTOLABELS, **first, "confidence": asdict(confidence), "hidden": hidden}
    return {**mark, "others": others} if others else mark


def network_of(run: TrainedRun) -> dict[str, Any]:
    """Which network it is."""
    checkpoint = run.folder.best if run.checkpoint == "best" else run.folder.checkpoint
    with checkpoint.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"run": run.folder.path.resolve().name, "sha256": digest, "epoch": run.epoch}


def copied_files(plan: Plan) -> Iterator[Path]:
    """The files of images and labels that the new data set has, too, and tables of cameras."""
    train = plan.train
    for row in plan.images.nonzero()[:, 0].tolist():
        yield train.images[train.keys[row]]
        for name, kept in zip(train.tasks, plan.kept[row].tolist(), strict=True):
            if kept:
                yield train.labels[name][train.keys[row]]
    for dataset in plan.others:
        yield from dataset.images.values()
        for labels in dataset.labels.values():
            yield from labels.values()
    cameras = [train.described.camera, *(one.camera for one in train.described.relations.values())]
    tables = {camera.file for camera in cameras if camera is not None}
    yield from (train.root / table for table in sorted(name for name in tables if name is not None))


def copy_file(path: Path, to: Path) -> None:
    """Copy a file's content; one that is there is whole."""
    if not to.exists():
        write_atomically(to, lambda temporary: shutil.copyfile(path, temporary))


def write_labels(folder: Path, train: FolderDataset, row: int, labels: dict[str, Any]) -> None:
    """Write the predicted labels of an image; those that are there are whole."""
    for name, (target, valid) in labels.items():
        reader = lossless_format(train.formats[name])
        path = folder / name / f"{train.keys[row]}{reader.suffix}"
        if not path.exists():
            save(path, reader.encode(target, valid))


def with_code_found(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """The same with files of one's own named from anywhere."""
    for entry in content["tasks"].values():
        if isinstance(entry, dict) and names_code(entry.get("type")):
            entry["type"] = absolute(entry["type"], path.parent)
    return content

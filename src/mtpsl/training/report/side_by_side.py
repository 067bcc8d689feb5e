"""Several runs: their names, and their predictions of the same images beside each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mtpsl.evaluation.naming import folder_names
from mtpsl.evaluation.run_scores import RunScores
from mtpsl.tasks import Task, describe_task
from mtpsl.training.report.look import Look, Seen, label_of
from mtpsl.visualization.report.content import Sheet, TaskView
from mtpsl.visualization.report.drawing import view


def run_names(runs: Sequence[RunScores]) -> list[str]:
    """A name for each run: its method, with what else tells them apart."""
    parts = [[run.method] for run in runs]
    for words in (
        [f"{run.regime} label per image" if run.regime == "one" else f"{run.regime} labels" for run in runs],
        [", ".join(run.tasks) for run in runs],
        [run.setting.network for run in runs],
        [f"seed {run.seed}" for run in runs],
    ):
        if len(set(words)) > 1:
            for part, word in zip(parts, words, strict=True):
                part.append(word)
    names = [", ".join(part) for part in parts]
    counts = Counter(names)
    if max(counts.values()) == 1:
        return names
    folders = folder_names([(run.path.resolve(), 0) for run in runs])
    return [f"{name} ({folder})" if counts[name] > 1 else name for name, folder in zip(names, folders, strict=True)]


def together(names: Sequence[str], looks: Sequence[Look | None]) -> list[Sheet]:
    """The images that all runs predicted, each task with the predictions of every run that has it."""
    known = [(name, look) for name, look in zip(names, looks, strict=True) if look is not None]
    if len(known) < 2:
        return []
    by_key = [{seen.sample.key: seen for seen in look.seen} for _, look in known]
    sheets = []
    for key in by_key[0]:
        if all(key in seen for seen in by_key):
            images = [seen[key] for seen in by_key]
            one = [(name, look.tasks, seen) for (name, look), seen in zip(known, images, strict=True)]
            sheets.append(Sheet(key, views(one)))
    return sheets


def views(images: Sequence[tuple[str, Sequence[Task], Seen]]) -> list[TaskView]:
    """One image: every task with the predictions of the runs that have the same task and image size."""
    tasks = {task.name: task for _, of_run, _ in images for task in of_run}
    drawn = []
    for task in tasks.values():
        same = {
            name: seen
            for name, of_run, seen in images
            if any(describe_task(other) == describe_task(task) for other in of_run)
        }
        first = next(iter(same.values()))
        size = first.sample.image.shape
        predictions = {
            name: seen.predictions[task.name] for name, seen in same.items() if seen.sample.image.shape == size
        }
        drawn.append(view(task, first.sample.image, predictions, *label_of(first.sample, task)))
    return drawn

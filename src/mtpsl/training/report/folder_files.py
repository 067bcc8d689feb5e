"""What the files of a run folder say of it, for a report."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mtpsl.data.broken import read_broken
from mtpsl.errors import UserError
from mtpsl.evaluation.run_scores import RunScores
from mtpsl.plugins import title
from mtpsl.training.config import RunConfig
from mtpsl.visualization.report.content import Picture, ScoreLine
from mtpsl.visualization.report.drawing import smaller

History = dict[str, list[float | None]]
LONGEST = 1400
"""Pixels of the longer side of a picture that is taken from the folder."""
MOST_NAMES = 5
"""Of the images that were left out as broken."""


def read_history(path: Path) -> History:
    """The columns of metrics.csv; none where there is no such file.

    Raises:
        UserError: it is no table of numbers.
    """
    file = path / "metrics.csv"
    if not file.is_file():
        return {}
    try:
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines(), strict=True))
        columns = list(rows[0]) if rows else []
        history = {name: [number_or_none(row[name]) for row in rows] for name in columns}
        if rows and not all(history["epoch"]):
            raise ValueError("an epoch is missing")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"{file} cannot be read as the history of a run ({error}): restore or remove it") from error
    return history


def number_or_none(text: str) -> float | None:
    """A cell of metrics.csv; None for an empty one, or one that is not a finite number."""
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None


def score_lines(run: RunScores, history: Mapping[str, Sequence[float | None]]) -> list[ScoreLine]:
    """Every score of the last epoch with the best of all epochs."""
    lines, last_epoch = [], max((x or 0 for x in history.get("epoch", [])), default=0)
    for task, scores in run.scores.items():
        for name, score in scores.items():
            last = None if math.isnan(score.value) else score.value
            rows = zip(history.get("epoch", []), history.get(f"val/{task}/{name}", []), strict=False)
            known = [(value, int(at)) for at, value in rows if value is not None and at is not None]
            best, at = None, None
            if known:
                best, at = (max if score.higher_is_better else min)(known, key=lambda one: one[0])
                best = last if at == last_epoch else best
            primary = run.primary[task] == name
            lines.append(ScoreLine(task, name, score.unit, score.higher_is_better, primary, last, best, at))
    return lines


def read_environment(path: Path) -> list[tuple[str, str]]:
    """environment.json in words; empty where it is not there or cannot be read."""
    try:
        content: dict[str, Any] = json.loads((path / "environment.json").read_text(encoding="utf-8"))
        hardware, packages = content.get("hardware", {}), content.get("packages", {})
        pairs = [
            ("started", content.get("started")),
            ("commit", content.get("commit")),
            ("versions", ", ".join(f"{name} {version}" for name, version in packages.items())),
            ("Python", content.get("python")),
            ("processor", f"{hardware.get('processor')}, {hardware.get('cores')} cores"),
            ("GPUs", ", ".join(hardware.get("gpus", [])) or "none"),
        ]
        for change in content.get("changes", []):
            words = f"{change['option']} from {change['from']} to {change['to']}"
            pairs.append((f"after epoch {change['after_epoch']}", words))
        return [(name, str(value)) for name, value in pairs if value]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def facts(run: RunScores, config: RunConfig, history: Mapping[str, Sequence[float | None]]) -> list[tuple[str, str]]:
    """What was trained on what."""
    height, width = run.setting.image_size
    encoder = config.network_options.get("encoder")
    decoder = config.network_options.get("decoder")
    network = title(config.network) + (f": {encoder}, decoder {decoder}" if encoder else "")
    pairs = [
        ("run", str(run.path)),
        ("tasks", ", ".join(run.tasks)),
        ("data", f"{run.setting.data} ({run.setting.split})" + (f", {config.data.root}" if config.data.root else "")),
        ("labels", "one label per image" if run.regime == "one" else run.regime),
        ("network", network),
        ("objective", title(config.objective)),
        ("weighting", title(config.weighting)),
        ("images", f"{height} x {width} pixels"),
        ("epochs", str(run.setting.epochs)),
        ("seed", str(run.seed)),
    ]
    if broken := read_broken(run.path):
        names = ", ".join([*broken][:MOST_NAMES]) + (", ..." if len(broken) > MOST_NAMES else "")
        pairs.append(
            ("left out as broken", f"{len(broken)} training image{'s' * (len(broken) > 1)} (broken.csv): {names}")
        )
    if seconds := sum(x or 0.0 for x in history.get("seconds", [])):
        pairs.append(("time of training", duration(seconds)))
    return pairs


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(42), duration(600), duration(9000)
    ('42 seconds', '10 minutes', '2.5 hours')
    """
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"


def pictures_in(path: Path, sheets: int) -> list[Picture]:
    """Mapped features and relations of tasks; and so many sheets."""
    folder = path / "pictures"
    found = [("relations of tasks", folder / "relations.png")]
    found += [(f"mapped features of {file.stem}", file) for file in sorted((folder / "mapped").glob("*.png"))[:1]]
    found += [(f"validation image {file.stem}", file) for file in sorted((folder / "sheets").glob("*.png"))[:sheets]]
    pictures = []
    for caption, file in found:
        if not file.is_file():
            continue
        try:
            with Image.open(file, formats=("PNG",)) as picture:
                pictures.append(Picture(caption, smaller(picture, LONGEST)))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise UserError(f"{file} cannot be read as a picture: remove it ({error})") from error
    return pictures

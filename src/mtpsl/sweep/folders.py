"""The folders of a sweep's runs: made for them, or there already with the same options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtpsl.errors import UserError
from mtpsl.sweep.jobs import HARMLESS, Job
from mtpsl.sweep.plan import PlannedRun
from mtpsl.training.config import read_config
from mtpsl.training.length import decided
from mtpsl.training.option_groups import by_name


def make_jobs(runs: Sequence[PlannedRun], out: Path) -> list[Job]:
    """A job per run, in OUT/runs/<regime>/<label>/<seed>.

    Raises:
        UserError: a run is there already, but was trained with other options.
    """
    jobs = []
    for run in runs:
        folder = (out / "runs" / run.name).resolve()
        jobs.append(Job(run.name, folder, run.config.to_dict(), decided(run.config.training.epochs)))
        if (folder / "config.yaml").is_file():
            _refuse_changed(folder, run.config.to_dict())
    return jobs


def _refuse_changed(folder: Path, wanted: Mapping[str, Any]) -> None:
    before, now = (by_name(options) for options in (read_config(folder / "config.yaml").to_dict(), wanted))
    changed = [name for name in now | before if before.get(name) != now.get(name) and name not in HARMLESS]
    if changed:
        first = changed[0]
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UserError(
            f"{folder} was trained with {first} {before.get(first)!r}, but now it is {now.get(first)!r}{more}: "
            "choose another --out, or delete that folder to train it anew"
        )

"""Kill commands with SIGKILL at many moments, continue them, and compare the end with uninterrupted ones.

    make kills [KILLS="--kills 50 --only train --seed 0"]      (an hour for all; a case goes on where it was stopped)

Half of the moments are a time, uniform over the command's duration; half are a change in the folder that is written
(a file made, written to, renamed or removed; uniform over those of an uninterrupted run) and up to 2 ms, so that kills
fall into the writing of files. A third of the trials kill the continued command once more. Then the command is given
until it ends by itself, as a user would: the same words again, `mtpsl train --resume RUN` for a run that has begun.

The end counts as recovered if the exit status is 0 and the whole folder, hidden files too, holds the same values to the
bit as that of an uninterrupted run: tensors by type, shape and bytes, tables and JSON by cell, pictures by bytes. What
differs between two uninterrupted runs (seconds, dates) is left out and listed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from folder_values import Values, differences, general, values_of, varying
from kill_cases import CASES, Case, prepare
from killed_process import Ended, Moment, last_line, run, running_in, words_run
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mtpsl.evaluation import resume
from mtpsl.training.report import write

MOST_CALLS = 20


@dataclass
class Trial:
    """One trial: when it was killed, what was being written, and what the end differs in."""

    number: int
    moments: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    calls: int = 0
    differs: list[str] = field(default_factory=list)


class Killer:
    """All trials of one case.

    Args:
        case: what is killed.
        place: a folder of its own: `inputs`, `work`, logs, and what an uninterrupted run (`whole`) and those
            trials made that did not recover.
        seed: of the moments.
    """

    def __init__(self, case: Case, place: Path, seed: int) -> None:
        self.case, self.place, self.seed = case, place, seed
        self.work = place / "work"
        self.whole: list[Ended] = []
        self.reference: Values = {}
        self.left_out: set[str] = set()

    def refer(self) -> None:
        """Two uninterrupted runs: the values to compare with, those that vary, and how long it takes."""
        found = []
        for number in range(2):
            self.fresh()
            ended = run(words_run(self.case.words), self.work, self.log(f"whole-{number}"))
            if ended.status:
                raise SystemExit(f"uninterrupted, it ended with {ended.status}: {self.log(f'whole-{number}')}")
            self.whole.append(ended)
            found.append(values_of(self.work))
        shutil.rmtree(self.place / "whole", ignore_errors=True)
        shutil.copytree(self.work, self.place / "whole")
        self.reference, self.left_out = found[0], varying(*found)

    def trial(self, number: int) -> Trial:
        """One trial, or what was found when it was done before, by the same code and seed."""
        kept = self.place / "trials.jsonl"
        key = {"number": number, "seed": self.seed, "commit": git_commit()}
        for line in kept.read_text().splitlines() if kept.exists() else []:
            done = json.loads(line)
            if done["key"] == key:
                return Trial(**done["trial"])
        trial = self.kill_and_compare(number)
        with kept.open("a") as file:
            file.write(json.dumps({"key": key, "trial": asdict(trial)}) + "\n")
        return trial

    def kill_and_compare(self, number: int) -> Trial:
        """Kill it once or twice, continue to the end and compare."""
        trial, chance = Trial(number), random.Random(f"{self.seed}/{number}")
        log = self.log(f"trial-{number}")
        kills, orphans = 1 + (chance.random() < 1 / 3), self.case.orphans and chance.random() < 1 / 3
        while not trial.moments:  # it may have ended before: then another moment
            self.fresh()
            log.unlink(missing_ok=True)
            trial.calls = 0
            for _ in range(kills):
                moment = self.moment(chance)
                ended = self.call(trial, log, moment, children=not orphans)
                if not ended.killed:
                    break
                trial.moments.append(str(moment) + (", its trainings left alive" if orphans else ""))
                trial.files.append(ended.last or "nothing yet")
        status = -1
        while status and trial.calls < MOST_CALLS:
            ended = self.call(trial, log)
            status = ended.status
            if status and not running_in(self.work):
                trial.differs.append(f"exit status {status}: {last_line(log)}")
                break
        while running_in(self.work):
            time.sleep(0.05)
        found = values_of(self.work)
        trial.differs += [one for one in differences(self.reference, found) if general(one) not in self.left_out]
        if trial.differs:
            shutil.copytree(self.work, self.place / f"trial-{number}", dirs_exist_ok=True)
        return trial

    def call(self, trial: Trial, log: Path, moment: Moment | None = None, children: bool = True) -> Ended:
        """Give the command in the folder as it is."""
        trial.calls += 1
        return run(words_run(self.case.next(self.work)), self.work, log, moment, children)

    def moment(self, chance: random.Random) -> Moment:
        """A random moment of an uninterrupted run."""
        if chance.random() < 0.5:
            return Moment(seconds=chance.uniform(0, min(ended.seconds for ended in self.whole)))
        changes = min(ended.changes for ended in self.whole)
        return Moment(change=chance.randint(1, changes), delay=chance.choice([0, chance.uniform(0, 0.002)]))

    def fresh(self) -> None:
        """A new folder to work in, with copies of what the command changes."""
        for number in running_in(self.work):
            kill_orphan(number)
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        for name in self.case.copied:
            shutil.copytree(self.place / "inputs" / name, self.work / name)

    def log(self, name: str) -> Path:
        """What the processes of a trial print."""
        return self.place / f"{name}.log"


def git_commit() -> str:
    """The commit of this checkout, `unknown` outside one; `MTPSL_COMMIT` goes before."""
    if given := os.environ.get("MTPSL_COMMIT"):
        return given
    found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True)
    return found.stdout.decode().strip() or "unknown"


def kill_orphan(process: int) -> None:
    """End what an earlier, stopped call of this program left."""
    try:
        os.kill(process, 9)
    except ProcessLookupError:
        return


def preload(place: Path, names: Sequence[str]) -> None:
    """Import what the commands import, so that a forked process need not."""
    listed = place / "modules.txt"
    for name in names:
        case = CASES[name]
        killer = Killer(case, place, 0)
        killer.fresh()
        command = words_run(case.words)

        def function(command: Callable[[], int] = command) -> int:
            status = command()
            listed.write_text("\n".join(sorted(sys.modules)))
            return status

        ended = run(function, killer.work, place / "preload.log")
        if ended.status:
            raise SystemExit(f"{name}: {last_line(place / 'preload.log')} ({place / 'preload.log'})")
        for module in listed.read_text().splitlines():
            if module.split(".")[0] in ("mtpsl", "lightning", "torchmetrics", "matplotlib", "timm", "scipy", "PIL"):
                __import__(module)


def rows(trials: Sequence[Trial]) -> str:
    """The log of a case's trials as a table."""
    lines = ["| trial | killed | while it wrote | calls | recovered |", "|--:|---|---|--:|---|"]
    for trial in trials:
        files = "; ".join(f"`{name}`" for name in trial.files)
        recovered = "yes" if not trial.differs else f"no: {', '.join(trial.differs[:3])}"
        lines.append(f"| {trial.number} | {'; '.join(trial.moments)} | {files} | {trial.calls} | {recovered} |")
    return "\n".join(lines)


def main() -> None:
    """Parse options, run the trials of every case, print and write their logs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="trials of each command")
    parser.add_argument("--only", choices=CASES, nargs="+", default=[*CASES], help="the commands to kill")
    parser.add_argument("--trial", type=int, help="this trial only, to look into it")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=Path("runs/kills"), help="folder for inputs, logs and kills.md")
    options = parser.parse_args()
    resume.SECONDS = 0.05  # an evaluation keeps its counts every 20 s: too seldom for one that takes two
    write.SECONDS_AFTER_TRAINING = 60.0  # a report looks at as many images as it has time for: here at all
    place = options.out.resolve()
    prepare(place, options.only)
    preload(place, options.only)
    failed = 0
    for name in options.only:
        killer = Killer(CASES[name], place / name.replace(" ", "_"), options.seed)
        killer.place.mkdir(exist_ok=True)
        if not (killer.place / "inputs").exists():
            (killer.place / "inputs").symlink_to(place / "inputs")
        killer.refer()
        numbers = [options.trial] if options.trial is not None else range(options.kills)
        trials = []
        columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            job = bar.add_task(name, total=len(numbers))
            for number in numbers:
                trials.append(killer.trial(number))
                if trials[-1].differs:
                    shown = ", ".join(trials[-1].differs[:3])
                    bar.console.print(f"{name}, trial {number}: {trials[-1].moments}: {shown}", markup=False)
                bar.advance(job)
        recovered = sum(not trial.differs for trial in trials)
        failed += len(trials) - recovered
        seconds = ", ".join(f"{ended.seconds:.1f} s and {ended.changes} changes" for ended in killer.whole)
        kills = sum(len(trial.moments) for trial in trials)
        left_out = ", ".join(f"`{x}`" for x in sorted(killer.left_out))
        summary = (
            f"## {name}: {recovered} of {len(trials)} recovered, {kills} kills\n\n"
            f"    mtpsl {' '.join(killer.case.words)}\n\n"
            f"Uninterrupted: {seconds}; {len(killer.reference)} values compared, without what varies "
            f"between two uninterrupted ones: {left_out or 'nothing'}.\n\n"
        )
        (place / f"{killer.place.name}.md").write_text(summary + rows(trials) + "\n")
        print(summary.split("\n")[0].removeprefix("## "), flush=True)
    print(f"{platform.machine()}, seed {options.seed}, commit {git_commit()}; logs: {place}/*.md")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from mtpsl.errors import UserError
from mtpsl.sweep.drive import Progress, drive
from mtpsl.sweep.jobs import BusyError, Job, locked, start, train_command
from mtpsl.sweep.local import LocalEngine, Machine
from mtpsl.sweep.progress import SweepDisplay

TRAIN = """
import json, os, pathlib, sys, time
folder, how = pathlib.Path(sys.argv[1]), sys.argv[2]
trace = folder.parent / "trace.txt"
with trace.open("a") as file:
    print("begin", folder.name, os.environ["OMP_NUM_THREADS"], os.environ.get("CUDA_VISIBLE_DEVICES", "-"), file=file)
folder.mkdir(exist_ok=True)
(folder / "config.yaml").write_text("{}")
if how == "fails":
    sys.exit("mtpsl: the loss is nan")
if how == "dies":
    os.kill(os.getpid(), 9)
time.sleep({"slow": 60, "quick": 0.0}.get(how, 0.3))
(folder / "scores.json").write_text(json.dumps({"run": {"complete": how != "stops"}}))
with trace.open("a") as file:
    print("end", folder.name, file=file)
"""


def make_jobs(root: Path, *names: str) -> list[Job]:
    return [Job(name, root / name, {"training": {}}, epochs=2) for name in names]


def fake(job: Job) -> Sequence[str]:
    """A process that does what the first part of the run's name says."""
    return [sys.executable, "-c", TRAIN, str(job.folder), job.name.split("-")[0]]


def engine(jobs: int = 1) -> LocalEngine:
    return LocalEngine(Machine(4, 2**40), jobs=jobs, command=fake)


def trace(root: Path) -> list[str]:
    return (root / "trace.txt").read_text().splitlines()


def test_a_run_that_fails_does_not_stop_the_others_and_is_named_with_its_last_words(tmp_path: Path):
    jobs = make_jobs(tmp_path, "quick-1", "fails", "dies", "stops", "quick-2")
    failed = drive(jobs, engine(2), pause=0.02)
    assert failed == {
        "fails": f"exit status 1: the loss is nan (log: {tmp_path}/fails.log)",
        "dies": f"killed by SIGKILL: nothing printed (log: {tmp_path}/dies.log)",
        "stops": f"it ended without scores of its last epoch: nothing printed (log: {tmp_path}/stops.log)",
    }
    assert [job.state() for job in jobs] == ["done", "resume", "resume", "resume", "done"]


def test_as_many_runs_at_once_as_there_are_slots_with_the_cores_shared_out(tmp_path: Path):
    drive(make_jobs(tmp_path, "a", "b", "c"), engine(2), pause=0.02)
    lines = trace(tmp_path)
    running, most = 0, 0
    for line in lines:
        running += 1 if line.startswith("begin") else -1
        most = max(most, running)
    assert most == 2
    assert all(line.split()[2] == "2" for line in lines if line.startswith("begin"))


def test_what_is_done_is_not_trained_and_what_was_cut_off_is_resumed(tmp_path: Path):
    (done, half, new) = make_jobs(tmp_path, "done", "half", "new")
    for job, complete in ((done, True), (half, False)):
        job.folder.mkdir()
        (job.folder / "config.yaml").write_text("data: {root: there, workers: 0, cache: true}")
        (job.folder / "scores.json").write_text(json.dumps({"run": {"complete": complete}}))
    assert [job.state() for job in (done, half, new)] == ["done", "resume", "new"]
    assert start(done, {}, fake) is None
    assert train_command(half)[3:] == ["train", "--resume", str(half.folder), "--quiet"]
    moved = replace(half, config={"data": {"root": "here", "workers": 2, "cache": True}, "training": {"epochs": 3}})
    assert train_command(moved)[6:] == ["--quiet", "--data.root=here", "--data.workers=2"]
    assert train_command(new)[3:] == ["train", str(tmp_path / "new.yaml"), "--out", str(new.folder), "--quiet"]


@pytest.mark.parametrize("text", ["", "[]", '{"run": 3}', '{"run": {"complete": "yes"}}'])
def test_broken_scores_are_not_taken_for_done(text: str, tmp_path: Path):
    (job,) = make_jobs(tmp_path, "a")
    job.folder.mkdir()
    (job.folder / "config.yaml").touch()
    (job.folder / "scores.json").write_text(text)
    assert job.state() == "resume"


def test_a_folder_that_was_just_being_made_is_made_anew_and_any_other_is_kept(tmp_path: Path):
    (job, other) = make_jobs(tmp_path, "quick", "quick-other")
    job.folder.mkdir()
    (job.folder / "tasks.json").touch()
    (job.folder / ".mtpsl-config-x.yaml").touch()
    other.folder.mkdir()
    (other.folder / "thesis.txt").touch()
    failed = drive([job, other], engine(), pause=0.02)
    assert failed == {
        "quick-other": f"{other.folder} should be the folder of a run, but holds thesis.txt: move it away"
    }
    assert job.state() == "done"
    assert (other.folder / "thesis.txt").exists()


def test_a_process_holds_its_run_even_when_the_sweep_is_gone(tmp_path: Path):
    (job,) = make_jobs(tmp_path, "run")
    program = "import sys; from pathlib import Path\n" + (
        "from test_drive import fake, make_jobs\nfrom mtpsl.sweep.jobs import start\n"
        "(job,) = make_jobs(Path(sys.argv[1]), 'run')\nstart(job, {'OMP_NUM_THREADS': '1'}, fake)\n"
        "import os; os.kill(os.getpid(), 9)"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], env={**os.environ, "PYTHONPATH": paths})
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(BusyError):
        start(job, {}, fake)
    seen: list[Progress] = []
    assert drive([job], engine(), seen.append, pause=0.02) == {}
    assert [line.split()[0] for line in trace(tmp_path)] == ["begin", "end"]  # trained once, by the process left behind


def test_a_run_whose_other_process_died_is_trained_here(tmp_path: Path):
    (job,) = make_jobs(tmp_path, "quick")
    program = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print(flush=True); time.sleep(0.5)"
    )
    job.lock.parent.mkdir(exist_ok=True)
    with subprocess.Popen([sys.executable, "-c", program, str(job.lock)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert drive([job], engine(), pause=0.02) == {}
    assert job.state() == "done"


def test_an_interrupted_sweep_stops_its_processes(tmp_path: Path):
    (job,) = make_jobs(tmp_path, "slow")

    def interrupt(progress: Progress) -> None:
        if (tmp_path / "trace.txt").exists():
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        drive([job], engine(), interrupt, pause=0.02)
    assert time.monotonic() - began < 20
    with locked(job):  # nobody trains it any more
        pass
    assert job.state() == "resume"


def test_a_machine_is_shared_out():
    plain = Machine(cores=8, memory=7 * 2**30)
    assert plain.jobs() == 3  # as many as fit into memory, 2 GiB each
    assert Machine(cores=2, memory=2**40).jobs() == 2
    assert Machine(cores=2, memory=0).jobs() == 1
    assert plain.variables(0, jobs=2)["OMP_NUM_THREADS"] == "4"
    gpus = Machine(cores=8, memory=0, gpus=("3", "5", "7", "9"))
    assert (gpus.jobs(), gpus.jobs(processes=2)) == (4, 2)
    assert [gpus.variables(slot, 4)["CUDA_VISIBLE_DEVICES"] for slot in range(5)] == ["3", "5", "7", "9", "3"]
    assert gpus.variables(1, 2, processes=2)["CUDA_VISIBLE_DEVICES"] == "7,9"


def test_a_log_file_gets_a_line_per_run_with_the_time_left(tmp_path: Path):
    jobs = make_jobs(tmp_path, "a", "b")
    times = iter([0.0, 100.0])
    console = Console(file=io.StringIO(), width=200)
    with SweepDisplay(jobs, console, clock=lambda: next(times)) as display:
        jobs[0].folder.mkdir()
        (jobs[0].folder / "metrics.csv").write_text("epoch\n1\n2\n")  # 2 of 4 epochs in 100 s
        display(Progress([], {0: jobs[1]}, done=[jobs[0]]))
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "metrics.csv").write_text("epoch\n1\n2\n")
        display(Progress([], done=[jobs[0]], failed={"b": "why"}))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == ["a: done (1 of 2, 0:01:40 left)", "b: FAILED, why (2 of 2)"]


def test_a_run_that_cannot_be_started_is_a_failed_run(tmp_path: Path):
    def broken(job: Job) -> Sequence[str]:
        raise UserError("no such thing")

    jobs = make_jobs(tmp_path, "a", "b")
    assert drive(jobs, LocalEngine(Machine(1, 0), command=broken), pause=0.0) == {
        "a": "no such thing",
        "b": "no such thing",
    }


def test_a_run_that_was_killed_between_its_last_scores_and_its_last_checkpoint_is_not_done(tmp_path: Path):
    (job,) = make_jobs(tmp_path, "a")
    (job.folder / "checkpoints").mkdir(parents=True)
    (job.folder / "config.yaml").touch()
    (job.folder / "scores.json").write_text('{"run": {"complete": true, "epochs": 3}, "epoch": 3}')
    assert job.state() == "done"  # its checkpoint was removed to save space
    for epoch, state in ((1, "resume"), (2, "done")):
        torch.save({"epoch": epoch, "state_dict": {}}, job.folder / "checkpoints" / "last.ckpt")
        assert job.state() == state
    (job.folder / "checkpoints" / "middle.ckpt").touch()  # of its last epoch
    assert job.state() == "resume"

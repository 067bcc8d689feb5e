"""Two nodes, simulated on one machine: commands that meet by what their environment says, and write one run."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command import PLAIN, write_dataset

from mtpsl.cli import main
from mtpsl.errors import UserError
from mtpsl.training.nodes import check_processes, own_environment, writes_run
from mtpsl.training.run_folder import RunFolder
from mtpsl.training.settings import TrainingSettings

NETWORK = Path(__file__).parents[2] / "examples" / "own_network.py"
OPTIONS = [*PLAIN, "--network", f"{NETWORK}:Dilated", "--network.width", "8", "--objective.name", "supervised"]
TRAINING = {"epochs": "2", "lr": "0.01", "flip": "false", "scales": "1", "accelerator": "cpu", "sheets": "0"}
OPTIONS += [word for name, value in TRAINING.items() for word in (f"--training.{name}", value)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "small", train=16, val=5, size=(32, 32))


@pytest.fixture(scope="module")
def alone(data: Path) -> Path:
    """One process with a batch of four images."""
    out = data.parent / "alone"
    assert main(words(data, out, "--training.batch_size", "4")) == 0
    return out


def words(data: Path, out: Path, *more: str) -> list[str]:
    return ["train", *OPTIONS, "--data.root", str(data), "--data.regime", "one", "--quiet", "--out", str(out), *more]


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def start(arguments: list[str], log: Path, **variables: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "MASTER_ADDR": "127.0.0.1"}
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "mtpsl", *arguments],
            env={**environment, **variables},
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def losses(run: Path) -> list[list[float]]:
    with (run / "metrics.csv").open() as file:
        return [[float(x) for name, x in row.items() if name.startswith("loss") and x] for row in csv.DictReader(file)]


def check_same_run(run: Path, alone: Path) -> None:
    """Sums over processes are rounded otherwise: what each epoch lost and the weights agree to five digits."""
    torch.testing.assert_close(torch.tensor(losses(run)), torch.tensor(losses(alone)), rtol=1e-4, atol=1e-5)
    first, second = (RunFolder(folder).load_checkpoint()["state_dict"] for folder in (run, alone))
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)
    assert RunFolder(run).load_checkpoint()["global_step"] == RunFolder(alone).load_checkpoint()["global_step"] == 8


def test_two_nodes_of_two_processes_train_what_one_does_with_four_times_the_batch(
    data: Path, alone: Path, tmp_path: Path
) -> None:
    port, out = free_port(), tmp_path / "run"
    arguments = words(
        data, out, *(["--training.devices", "2", "--training.num_nodes", "2", "--training.batch_size", "1"])
    )
    logs = [tmp_path / f"node{node}.log" for node in range(2)]
    nodes = [start(arguments, logs[node], MASTER_PORT=port, NODE_RANK=str(node)) for node in range(2)]
    assert [node.wait(timeout=200) for node in nodes] == [0, 0], [log.read_text() for log in logs]
    check_same_run(out, alone)
    assert "last epoch" in logs[0].read_text()
    assert "last epoch" not in logs[1].read_text()


def test_processes_that_torchrun_started_write_one_run(data: Path, alone: Path, tmp_path: Path) -> None:
    port, out = free_port(), tmp_path / "run"
    arguments = words(data, out, *(["--training.num_nodes", "2", "--training.batch_size", "2"]))
    processes = [
        start(
            arguments,
            tmp_path / f"{rank}.log",
            MASTER_PORT=port,
            TORCHELASTIC_RUN_ID="none",
            RANK=str(rank),
            GROUP_RANK=str(rank),
            LOCAL_RANK="0",
            WORLD_SIZE="2",
            LOCAL_WORLD_SIZE="1",
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=200) for process in processes] == [0, 0], (tmp_path / "0.log").read_text()
    check_same_run(out, alone)


def test_the_first_process_of_all_nodes_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    two = TrainingSettings(num_nodes=2)
    for variables, first in (
        ({}, True),
        ({"NODE_RANK": "1", "LOCAL_RANK": "0"}, False),
        ({"NODE_RANK": "0", "LOCAL_RANK": "1"}, False),
        ({"RANK": "2", "GROUP_RANK": "0", "LOCAL_RANK": "0"}, False),
        ({"SLURM_PROCID": "1"}, False),
        ({"SLURM_PROCID": "0"}, True),
    ):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            assert writes_run(two) is first, variables
            assert writes_run(TrainingSettings())  # tasks of a cluster that train a run each


def test_other_numbers_than_were_started_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    four = TrainingSettings(devices=2, num_nodes=2)
    with pytest.raises(UserError, match="start the command on every node with srun"):
        check_processes(four)
    slurm = {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "train", "SLURM_NTASKS_PER_NODE": "2"}
    for variables, who in (({"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2"}, "torchrun"), (slurm, "SLURM")):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            with pytest.raises(UserError, match=f"are 4 processes, but {who} started 2"):
                check_processes(four)
            check_processes(TrainingSettings(devices=2))
            assert [one.auto_requeue for one in own_environment()] == [False] * (who == "SLURM")


@pytest.mark.parametrize("option", [["strategy", "ddp"], ["sync_batchnorm", "true"]])
def test_what_belongs_to_several_processes_is_refused_for_one(
    option: list[str], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(data, tmp_path / "run", f"--training.{option[0]}", option[1])) == 2
    assert f"training.{option[0]} belongs to several training.devices" in capsys.readouterr().err


def test_norms_cannot_be_synchronized_on_the_cpu(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--training.devices", "2", "--training.sync_batchnorm", "true"]
    assert main(words(data, tmp_path / "run", *more)) == 2
    assert "training.sync_batchnorm needs GPUs" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


UNUSED = """
import torch
from {module} import Dilated

class Unused(Dilated):
    def __init__(self, out_channels, *, width: int = 8):
        super().__init__(out_channels, width=width)
        self.rest = torch.nn.Linear(2, 2)
"""


@pytest.mark.parametrize("strategy", ["ddp", "auto"])
def test_weights_without_a_gradient_need_a_strategy_that_knows_them(strategy: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "dilated.py").write_text(NETWORK.read_text())
    (tmp_path / "unused.py").write_text(UNUSED.format(module="dilated"))
    more = ["--network", f"{tmp_path / 'unused.py'}:Unused", "--training.devices", "2", "--training.strategy", strategy]
    arguments = [*words(data, tmp_path / "run"), *more, "--training.batch_size", "1"]
    status = start(arguments, tmp_path / "log", PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path])).wait(
        timeout=200
    )
    said = (tmp_path / "log").read_text()
    assert status == (2 if strategy == "ddp" else 0), said
    assert ("mtpsl: training.strategy ddp: a step has no gradient of some weights" in said) is (strategy == "ddp")

"""What can only be seen on a GPU: full-size steps, bf16, torch.compile, memory, several GPUs. `make gpu` runs it.

Skipped where there is none. `MTPSL_GPU_TESTS=cpu` runs the same code on the CPU at a small size, to see that it works.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn

from builders import batch, tasks
from folder_sets import write_folder_set
from mtpsl.cli import main
from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency, JointMappingOptions, Supervised
from mtpsl.structures import Batch

ON_CPU = os.environ.get("MTPSL_GPU_TESTS") == "cpu"
pytestmark = [
    pytest.mark.skipif(not (ON_CPU or torch.cuda.is_available()), reason="needs a GPU (or MTPSL_GPU_TESTS=cpu)"),
    pytest.mark.timeout(900),
]
DEVICE = torch.device("cpu" if ON_CPU else "cuda")
SIZE, WIDTH = ((32, 64), 0.125) if ON_CPU else ((288, 384), 1.0)
"""NYU-v2 as published, or something small."""
PARTIAL = [("segmentation",), ("depth",), ("normals",), ("segmentation",)]
"""The labels of four images."""


@pytest.fixture(scope="module")
def data() -> Batch:
    return batch(PARTIAL, SIZE).to(DEVICE)


def make_step(data: Batch, method: str, bf16: bool) -> tuple[Callable[[], torch.Tensor], nn.Module]:
    """A step of the optimizer, and the network."""
    torch.manual_seed(0)
    some = tasks()
    network = SegNet({task.name: task.out_channels for task in some}, width=WIDTH).to(DEVICE)
    if method == "supervised":
        objective = Supervised(some, network).to(DEVICE)
    else:
        objective = CrossTaskConsistency(some, network, views=2, mapping=JointMappingOptions(width=WIDTH)).to(DEVICE)
    if bf16:
        network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam([*network.parameters(), *objective.parameters()], lr=1e-4)

    def step() -> torch.Tensor:
        with torch.autocast(DEVICE.type, torch.bfloat16) if bf16 else nullcontext():
            loss = objective(network, data).total()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, network


@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("method", ["supervised", "cross_task"])
def test_a_full_size_step_learns_in_memory_that_does_not_grow(
    method: str, bf16: bool, data: Batch, capsys: pytest.CaptureFixture[str]
) -> None:
    step, _ = make_step(data, method, bf16)
    losses, seconds, memory = [], [], []
    for _ in range(6):
        if not ON_CPU:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        losses.append(float(step()))  # waits for the GPU
        seconds.append(time.perf_counter() - start)
        memory.append(0 if ON_CPU else torch.cuda.max_memory_allocated())
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]
    assert memory[-1] <= 1.02 * memory[2]
    with capsys.disabled():
        figures = f"{1e3 * min(seconds):.1f} ms, peak {memory[-1] / 2**30:.2f} GiB"
        print(f"\n{method}, {'bf16' if bf16 else 'fp32'}, {len(data)} x {SIZE[0]} x {SIZE[1]}, {DEVICE}: {figures}")


def test_the_loss_is_that_of_the_cpu(data: Batch) -> None:
    some, small = tasks(), batch(PARTIAL, (32, 64))
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in some}, width=0.125)
    objective = Supervised(some, network)
    wanted = objective(network, small).total().detach()
    found = objective.to(DEVICE)(network.to(DEVICE), small.to(DEVICE)).total().detach().cpu()
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def words(root: Path, out: Path, *options: object) -> list[str]:
    """The command that trains a small run."""
    fixed = ["--network", "segnet", "--network.width", 0.125, "--data.size", "32,64", "--data.root", root, "--out", out]
    fixed += ["--training.epochs", 2, "--training.validate_every", 2, "--training.sheets", 0, "--quiet"]
    fixed += ["--training.report", "false", "--training.accelerator", DEVICE.type]
    return ["train", *map(str, [*fixed, *options])]


def scores_of(run: Path) -> dict[str, float]:
    """All scores of a run."""
    scores = json.loads((run / "scores.json").read_text())["scores"]
    return {f"{task}/{name}": one["value"] for task, some in scores.items() for name, one in some.items()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder_set(tmp_path_factory.mktemp("gpu") / "data", splits={"train": 8, "val": 4}, size=(32, 64))


@pytest.mark.parametrize("objective", ["supervised", "cross_task"])
@pytest.mark.parametrize("compiled", ["false", "true"], ids=["eager", "compiled"])
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_a_run_in_bf16_is_trained_resumed_and_evaluated(
    compiled: str, objective: str, root: Path, tmp_path: Path
) -> None:
    options = ["--objective", objective, "--training.precision", "bf16-mixed", "--training.channels_last", "true"]
    options += ["--training.compile", compiled, "--training.batch_size", "4"]
    assert main(words(root, tmp_path / "run", *options)) == 0
    assert all(map(math.isfinite, scores_of(tmp_path / "run").values()))
    assert main(["train", "--resume", str(tmp_path / "run"), "--training.epochs", "3", "--quiet"]) == 0
    assert main(["evaluate", str(tmp_path / "run")]) == 0


@pytest.mark.skipif(not ON_CPU and torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_train_what_one_does_with_the_double_batch(root: Path, tmp_path: Path) -> None:
    options = ["--objective", "supervised", "--training.precision", "32"]
    alone, both = ["--training.batch_size", 4], ["--training.batch_size", 2, "--training.devices", 2]
    both += [] if ON_CPU else ["--training.sync_batchnorm", "true"]  # a GPU's layer
    for name, own in (("one", alone), ("two", both)):
        command = [sys.executable, "-m", "mtpsl", *words(root, tmp_path / name, *options, *own)]
        subprocess.run(command, check=True, timeout=400)
    one, two = scores_of(tmp_path / "one"), scores_of(tmp_path / "two")
    assert set(one) == set(two)
    if not ON_CPU:  # whose two processes have norms of their own
        assert two["depth/abs_err"] == pytest.approx(one["depth/abs_err"], rel=0.02)

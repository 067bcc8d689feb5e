"""A worker that hangs while it reads does not outlive the process that trains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HANGING = """
import os, time
from torch.utils.data import Dataset
from mtpsl.data.loading import make_loader

class Hanging(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        print(os.getpid(), flush=True)
        time.sleep(600)

next(iter(make_loader(Hanging(), {}, batch_size=1, shuffle=False, workers=1)))
"""


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent died")
def test_a_hung_worker_dies_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", HANGING], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        worker = int(parent.stdout.readline())
    assert lives(worker)
    parent.kill()
    parent.wait(timeout=30)
    deadline = time.monotonic() + 20
    while lives(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    survived = lives(worker)
    if survived:
        os.kill(worker, signal.SIGKILL)
    assert not survived

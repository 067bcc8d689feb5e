"""What a run was trained with: versions, commit, hardware."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mtpsl.training.config import RunConfig


def environment(config: RunConfig) -> dict[str, Any]:
    """Versions, commit, hardware and seed."""
    packages = ("mtpsl", "torch", "torchvision", "timm", "lightning", "torchmetrics", "numpy")
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": config.training.seed,
        "commit": source_commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "hardware": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        },
    }


def source_commit() -> str:
    """The commit of a source checkout of this package; empty where it is installed from elsewhere."""
    here = Path(__file__).resolve().parent
    try:
        tracked = subprocess.run(["git", "ls-files", "--error-unmatch", __file__], cwd=here, capture_output=True)
        if tracked.returncode:
            return ""
        found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True)
    except OSError:
        return ""
    return found.stdout.strip()


def processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

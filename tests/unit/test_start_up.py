"""Commands on data and help do not wait for what only training, scoring and drawing need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, sys
from pathlib import Path
from mtpsl.cli import main

data, own, out = (Path(sys.argv[1]) / name for name in ("data", "own", "out"))
found = {}

def run(*words):
    try:
        assert main([*map(str, words)]) == 0, words
    except SystemExit as end:  # help
        assert not end.code, words
    found[words[0]] = sorted({name.partition(".")[0] for name in sys.modules})

run("--help")
run("scenes", data, "--train", 2, "--val", 1, "--size", "32,32")
run("check", data)
run("convert", data, out)
run("init", data, "--overwrite")
run("train", "--help")
(Path(sys.argv[1]) / "found.json").write_text(json.dumps(found))
"""
ONLY_FOR_NETWORKS = {"lightning", "matplotlib", "timm", "torchjd", "torchmetrics", "torchvision", "wandb", "mlflow"}
ONLY_FOR_COMMANDS = {"jsonargparse", "numpy", "rich", "scipy", "torch"}


def test_commands_on_data_and_help_leave_out_what_only_networks_need(tmp_path: Path):
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], check=True, capture_output=True)
    found = {name: set(modules) for name, modules in json.loads((tmp_path / "found.json").read_text()).items()}
    assert [*found] == ["--help", "scenes", "check", "convert", "init", "train"]
    for command, modules in found.items():
        combines = {"torchjd"} if command == "train" else set()  # weightings say their options
        assert not (modules - combines) & ONLY_FOR_NETWORKS, command
        assert command == "--help" or "torch" in modules, command  # so that the names are those of modules
    assert not found["--help"] & ONLY_FOR_COMMANDS - {"jsonargparse"}

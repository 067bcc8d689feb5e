"""Train the runs behind benchmarks/own_data.md: the default network beside SegNet from nothing in the same time.

    python benchmarks/own_data.py indoor --seeds 0 1 2 --out runs/own_data/indoor
    python benchmarks/own_data.py camvid --seeds 0 1 2 --out runs/own_data/camvid
    mtpsl compare runs/own_data/indoor --format markdown

`default` is what `mtpsl train --data.root DATA --out RUN` does; `segnet` has a quarter of the published width and as
many epochs as take the same time on one core with bf16 instructions. Runs that are done are skipped, runs that were cut
off continue. Options after `--` go to every run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEGNET = """
    --network segnet --network.width 0.25 --training.optimizer adam --training.lr 0.001 --training.schedule poly
    --training.encoder_lr_factor 1 --training.weight_decay 0 --training.warmup 0 --training.clip null
    --training.photometric 0
"""
NETWORKS = {"default": [], "segnet": SEGNET.split()}
EPOCHS = {("indoor", "default"): 18, ("indoor", "segnet"): 32, ("camvid", "default"): 27, ("camvid", "segnet"): 48}


def main() -> None:
    """Train what is missing, one run after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=["indoor", "camvid"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--regimes", nargs="+", default=["one", "full"], choices=["one", "full"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, default=HERE.parents[1] / "shared" / "data")
    options, extra = parser.parse_known_args()
    for seed in options.seeds:
        for network in options.networks:
            for regime in options.regimes:
                out = options.out / f"{network}-{regime}-{seed}"
                print(train(options, network, regime, seed, out, [word for word in extra if word != "--"]), flush=True)


def train(options: argparse.Namespace, network: str, regime: str, seed: int, out: Path, extra: list[str]) -> str:
    """One run, in a process of its own with one thread."""
    words = ["--resume", str(out)]
    if not (out / "config.yaml").exists():
        words = ["--data.root", str(options.root / options.data), "--data.size", "96,128", "--data.regime", regime]
        words += ["--data.description", str(HERE / "data" / f"{options.data}.yaml"), "--label", f"{network}, {regime}"]
        words += ["--training.epochs", str(EPOCHS[options.data, network]), "--training.seed", str(seed)]
        words += ["--training.precision", "bf16-mixed", "--training.channels_last", "true", *NETWORKS[network]]
        words += ["--out", str(out), *extra]
    if (out / "scores.json").exists() and json.loads((out / "scores.json").read_text())["run"]["complete"]:
        return f"{out}: done before"
    done = subprocess.run(
        [sys.executable, "-m", "mtpsl", "train", *words, "--quiet"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    return f"{out}: {'done' if done.returncode == 0 else done.stderr.strip()}"


if __name__ == "__main__":
    main()

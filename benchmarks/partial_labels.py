"""Train the runs behind benchmarks/partial_labels.md: every method on the same images, labels and epochs.

    python benchmarks/partial_labels.py indoor --seeds 0 1 2 --out runs/indoor
    python benchmarks/partial_labels.py camvid --out runs/camvid
    mtpsl compare runs/indoor --format markdown

Runs that are done are skipped, runs that were cut off continue; `--jobs` trains several at a time, one thread each.
The recipe (size, width, epochs) is benchmarks/data/<name>_recipe.yaml; options after `--` go to every run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
METHODS = {
    "stl": ("stl", "one"),
    "supervised": ("supervised", "one"),
    "cross_task": ("cross_task", "one"),
    "headroom": ("supervised", "full"),
}


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=["indoor", "camvid"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--root", type=Path, default=HERE.parents[1] / "shared" / "data")
    options, extra = parser.parse_known_args()
    jobs = []
    for seed in options.seeds:
        for method in options.methods:
            tasks = list_tasks(options.data) if method == "stl" else [None]
            jobs += [(options, method, seed, task, [word for word in extra if word != "--"]) for task in tasks]
    with ThreadPoolExecutor(options.jobs) as pool:
        for line in pool.map(lambda job: train(*job), jobs):
            print(line, flush=True)


def train(options: argparse.Namespace, method: str, seed: int, task: str | None, extra: list[str]) -> str:
    """One run, in a process of its own."""
    objective, regime = METHODS[method]
    out = options.out / f"{method}-{seed}" / (task or "")
    words = ["--resume", str(out)]
    if not (out / "config.yaml").exists():
        recipe, description = HERE / "data" / f"{options.data}_recipe.yaml", HERE / "data" / f"{options.data}.yaml"
        words = [str(recipe), "--objective", objective, "--data.regime", regime, "--training.seed", str(seed)]
        words += ["--data.root", str(options.root / options.data), "--data.description", str(description)]
        words += ["--out", str(out), *(["--tasks", f"[{task}]"] if task else []), *extra]
    if (out / "scores.json").exists() and json.loads((out / "scores.json").read_text())["run"]["complete"]:
        return f"{out}: done before"
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // options.jobs))}
    done = subprocess.run(
        [sys.executable, "-m", "mtpsl", "train", *words, "--quiet"], env=environment, capture_output=True, text=True
    )
    return f"{out}: {'done' if done.returncode == 0 else done.stderr.strip()}"


def list_tasks(data: str) -> list[str]:
    """The tasks of a data set."""
    return {"indoor": ["segmentation", "depth", "normals"], "camvid": ["segmentation", "edges"]}[data]


if __name__ == "__main__":
    main()

"""How long does the command line take before it works?

    python benchmarks/startup.py [ROUNDS]

Each command runs in a process of its own, in turns with the others; `check`, `convert` and `scenes` have three small
scenes to do. What PyTorch alone needs to be imported stands beside. Results: benchmarks/startup.md.
"""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCENES = ["--train", "2", "--val", "1", "--size", "32,48"]


def seconds(words: list[str]) -> tuple[float, float]:
    """By the clock and of the processor, until a process has ended."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(rounds: int = 7) -> None:
    """Time the commands and print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, out = str(folder / "data"), folder / "out"
        command = ["-m", "mtpsl"]
        seconds([*command, "scenes", data, *SCENES])
        commands = {
            "`python -c 'import torch'`": ["-c", "import torch"],
            "`mtpsl --help`": [*command, "--help"],
            "`mtpsl recipes`": [*command, "recipes"],
            "`mtpsl check DATA`": [*command, "check", data],
            "`mtpsl convert DATA OUT`": [*command, "convert", data, str(out)],
            "`mtpsl scenes OUT`": [*command, "scenes", str(out), *SCENES],
            "`mtpsl train --help`": [*command, "train", "--help"],
        }
        taken: dict[str, list[tuple[float, float]]] = {title: [] for title in commands}
        for round_ in range(rounds + 1):
            for title, words in commands.items():
                shutil.rmtree(out, ignore_errors=True)
                one = seconds(words)
                if round_:  # the first fills the system's cache of files
                    taken[title].append(one)
        print("| | seconds, median | fastest | of the processor, median |\n|---|--:|--:|--:|")
        for title, times in taken.items():
            wall, cpu = zip(*times, strict=True)
            print(f"| {title} | {statistics.median(wall):.2f} | {min(wall):.2f} | {statistics.median(cpu):.2f} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""Does `mtpsl serve` grow with the requests that it answered, and how many does it answer a second?

    OMP_NUM_THREADS=1 python benchmarks/serve.py [--requests 200] [--at_once 4] [--sizes 480,640 1200,1600]

Trains a small run on built-in scenes, starts the command, and sends pictures of changing content and size to /predict
and /view in turns, so many at once. Memory is that of the server's process (VmRSS, and VmHWM, the most it ever had).
Results: benchmarks/serve.md.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

COMMAND = (sys.executable, "-m", "mtpsl")
FIRST = 20
"""Requests after which memory is measured first: every size was seen by then."""


def train_small(folder: Path) -> Path:
    """A run of the recipe for own data on a few rendered rooms."""
    data, run = folder / "data", folder / "run"
    subprocess.run([*COMMAND, "scenes", data, "--train", "32", "--val", "4", "--size", "96,128"], check=True)
    words = ["--training.epochs", "2", "--training.sheets", "0", "--training.report", "false", "--quiet"]
    subprocess.run([*COMMAND, "train", "--data.root", data, *words, "--out", run], check=True)
    return run


@contextmanager
def serving(run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command and its address."""
    process = subprocess.Popen([*COMMAND, "serve", run, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[0]
    finally:
        process.send_signal(signal.SIGINT)
        print(f"ended with {process.wait(60)}")


def megabytes(process: subprocess.Popen[str], what: str) -> float:
    """What the system says of a process's memory."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0]) / 1024


def picture(number: int, size: tuple[int, int]) -> bytes:
    """A smooth JPEG that no other number has."""
    coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
    return out.getvalue()


def ask(address: str, data: bytes) -> float:
    """Send a picture, read the whole answer, and return the seconds that it took."""
    start = time.perf_counter()
    with urllib.request.urlopen(urllib.request.Request(address, data=data), timeout=300) as answer:
        json.load(answer)
    return time.perf_counter() - start


def main() -> None:
    """Print memory after the first requests and after all, requests a second, and how long an answer took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--at_once", type=int, default=4)
    parser.add_argument("--sizes", nargs="+", default=["480,640", "1200,1600"])
    parser.add_argument("--run", type=Path, help="a run that is there already")
    values = parser.parse_args()
    sizes = [(int(height), int(width)) for height, width in (one.split(",") for one in values.sizes)]
    with tempfile.TemporaryDirectory() as folder:
        run = values.run or train_small(Path(folder))
        with serving(run) as (process, address), ThreadPoolExecutor(values.at_once) as pool:
            print(f"{os.cpu_count()} cores; at the start {megabytes(process, 'VmRSS'):.0f} MB")
            places = [(f"{address}/{('predict', 'view')[n % 2]}", sizes[n // 2 % len(sizes)]) for n in range(4)]

            def send(number: int) -> float:
                where, size = places[number % len(places)]
                return ask(where, picture(number, size))

            taken = [*pool.map(send, range(FIRST))]
            first = megabytes(process, "VmRSS")
            begin = time.perf_counter()
            for start in range(FIRST, values.requests, FIRST):
                taken += pool.map(send, range(start, min(start + FIRST, values.requests)))
                print(f"after {len(taken)}: {megabytes(process, 'VmRSS'):.0f} MB")
            seconds = time.perf_counter() - begin
            last, most = megabytes(process, "VmRSS"), megabytes(process, "VmHWM")
            print(f"VmRSS after {FIRST}: {first:.0f} MB, after {len(taken)}: {last:.0f} MB; most ever {most:.0f} MB")
            rate = (len(taken) - FIRST) / seconds
            middle, worst = statistics.median(taken[FIRST:]), max(taken[FIRST:])
            print(f"{rate:.2f} requests/s, {values.at_once} at once; took {middle:.2f} s, at most {worst:.2f} s")


if __name__ == "__main__":
    main()

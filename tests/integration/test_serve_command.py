"""`mtpsl serve` as a user starts and ends it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from command import write_dataset
from PIL import Image

import mtpsl
from made_runs import make_run
from mtpsl.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("serve")
    data = write_dataset(root / "data", train=1, val=1)
    folder = make_run(root / "run", ["--data.root", str(data), "--tasks", "segmentation,depth"])
    folder.write_images(mtpsl.TrainingSizes.count((32, 64), [(32, 64)]))  # large pictures are seen at this size
    return folder.path


def noise(size: tuple[int, int]) -> bytes:
    out = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)).save(out, "JPEG")
    return out.getvalue()


def leave_early(address: str, data: bytes, send: int | None = None) -> None:
    """Ask for a prediction and hang up: after the first bytes of the answer, or after so many of the picture."""
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=60) as connection:
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}\r\n\r\n"
        connection.sendall(head.encode() + data[:send])
        if send is None:
            assert connection.recv(12) == b"HTTP/1.1 200"


@contextmanager
def started(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it names."""
    with subprocess.Popen(
        [sys.executable, "-m", "mtpsl", "serve", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("http://"), process.communicate(timeout=20)
            yield process, line.split()[0]
        finally:
            process.kill()


def test_it_answers_says_nothing_of_pictures_and_ends_with_an_interrupt(run: Path) -> None:
    with started(run, "--port", 0) as (process, address):
        assert httpx.get(f"{address}/health").json()["run"] == "run"
        picture = BytesIO()
        Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(picture, "PNG")
        answer = httpx.post(f"{address}/predict", files={"image": ("private.png", picture.getvalue())})
        assert answer.json()["size"] == [40, 50]
        assert httpx.post(f"{address}/predict", content=b"private").status_code == 415
        assert httpx.get(address, headers={"host": "evil.example"}).status_code == 400
        for _ in range(4):
            leave_early(address, noise((1500, 2000)))
        leave_early(address, noise((1500, 2000)), send=1000)
        assert httpx.get(f"{address}/health").status_code == 200
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
        assert (process.returncode, out, error) == (0, "", "")


def test_others_are_let_in_with_a_warning(run: Path) -> None:
    with started(run, "--port", 0, "--host", "0.0.0.0") as (process, address):
        answer = httpx.get(f"{address}/health", headers={"host": "some.name"})
        assert answer.status_code == 200
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
        assert process.returncode == 0
        assert error.startswith("mtpsl: warning: whoever reaches 0.0.0.0 can send pictures")
        assert error.count("\n") == 1


def test_the_example_of_the_docs_reads_every_map(run: Path, tmp_path: Path) -> None:
    (tmp_path / "street.jpg").write_bytes(noise((40, 50)))
    text = (Path(__file__).parents[2] / "docs/serve.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    assert "http://127.0.0.1:8000" in code
    with started(run, "--port", 0) as (_, address):
        words = [sys.executable, "-c", code.replace("http://127.0.0.1:8000", address)]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line.split(" (")[0] for line in done.stdout.splitlines()] == ["depth", "segmentation"]
    assert "(40, 50) depth along the optical axis in m" in done.stdout


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main(["serve", *map(str, arguments)]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("mtpsl: ")
    assert error.count("\n") == 1
    return error


def test_a_port_in_use_is_said_in_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} of 127.0.0.1 is in use: choose another --port" in complaint(capsys, run, "--port", port)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "--port should be from 0 to 65535, not 70000"),
        (["--host", "192.0.2.1", "--port", "0"], "--host 192.0.2.1 is no address of this machine"),
        (["--host", "*", "--port", "0"], "--host * is no address of this machine"),  # some resolvers think so
        (["--max_megapixels", "0"], "--max_megapixels should be above 0"),
        (["--max_megabytes", "-1"], "--max_megabytes should be above 0"),
        (["--tile", "3"], "tile should be at least 32"),
        (["--port", "http"], "port"),
        (["--checkpoint", "best", "--port", "0"], "best"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in complaint(capsys, run, *arguments)


def test_no_run_is_refused_and_the_port_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert str(tmp_path / "none") in complaint(capsys, tmp_path / "none", "--port", port)
    socket.create_server(("127.0.0.1", port)).close()


def test_missing_packages_are_named(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys.modules["mtpsl.commands.serve"], "PACKAGES", ("starlette", "not_there"))
    assert "serve needs not_there: pip install 'mtpsl[serve]'" in complaint(capsys, run)

"""`mtpsl serve`: answers are those of `predict`; what is no picture, too large or from elsewhere is refused."""

from __future__ import annotations

import asyncio
import base64
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import yaml
from command import write_dataset
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.testclient import TestClient

import mtpsl
from html_pages import Page
from made_runs import make_run
from mtpsl.errors import UserError
from mtpsl.serving import Limits, make_app
from mtpsl.serving.bodies import read_body
from served import served

EVIL = "<script>window.bad = 1</script><img src=x onerror=alert(1)>"
TASKS = ["segmentation", "depth", "normals"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> mtpsl.TrainedRun:
    root = tmp_path_factory.mktemp("serve")
    data = write_dataset(root / "data", train=1, val=1)
    said = yaml.safe_load((data / "dataset.yaml").read_text())
    said["tasks"]["segmentation"]["classes"] = [f"{EVIL}{number}" for number in range(3)]
    (data / "dataset.yaml").write_text(yaml.safe_dump(said))
    folder = make_run(root / "<b>run", ["--data.root", str(data), "--tasks", ",".join(TASKS)])
    folder.write_images(mtpsl.TrainingSizes.count((32, 64), [(40, 50), (50, 40)]))
    return mtpsl.load(folder.path, device="cpu")


@pytest.fixture
def client(run: mtpsl.TrainedRun) -> Iterator[TestClient]:
    with opened(run) as client:
        yield client


def opened(run: mtpsl.TrainedRun, hosts: list[str] | None = None, **limits: Any) -> TestClient:
    app = make_app(run, Limits(**limits), hosts)
    return TestClient(app, base_url="http://localhost:8000", raise_server_exceptions=False)


def pixels(size: tuple[int, ...], kind: type = np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(kind).max, size).astype(kind)


def as_file(values: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    out = BytesIO()
    Image.fromarray(values).save(out, kind, **options)
    return out.getvalue()


def turned(values: np.ndarray) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return as_file(values, "JPEG", exif=exif)


def decoded(said: dict[str, Any]) -> np.ndarray:
    data = BytesIO(base64.b64decode(said["data"]))
    values = np.asarray(Image.open(data)) if said["format"] == "png" else np.load(data)
    assert values.dtype == said["dtype"]
    assert list(values.shape) == said["shape"]
    return values


PICTURES = {
    "odd": as_file(pixels((45, 101, 3))),
    "tiny": as_file(pixels((1, 3, 3))),
    "sixteen": as_file(pixels((33, 47), np.uint16)),
    "clear": as_file(pixels((30, 31, 4))),
    "turned": turned(pixels((20, 30, 3))),
    "large": as_file(pixels((700, 900, 3))),
}


@pytest.mark.parametrize("tile", [None, 32])
@pytest.mark.parametrize("name", PICTURES)
def test_answers_are_to_the_bit_what_predict_gives(
    run: mtpsl.TrainedRun, name: str, tile: int | None, tmp_path: Path
) -> None:
    if name == "large" and tile:
        tile = 256
    (tmp_path / name).write_bytes(PICTURES[name])
    expected = run.predict(tmp_path / name, tile=tile)
    with opened(run, tile=tile) as client:
        body = client.post("/predict", content=PICTURES[name])
        form = client.post("/predict", files={"image": ("a.png", PICTURES[name])}, data={"more": "words"})
    for answer in (body, form):
        assert answer.status_code == 200
        said = answer.json()
        assert said["seconds"] > 0
        assert [*said["tasks"]] == [*expected]
        for task, values in expected.items():
            found = decoded(said["tasks"][task])
            assert (found.dtype, found.shape) == (values.dtype, values.shape)
            assert found.tobytes() == values.tobytes()
            assert said["size"] == list(found.shape[:2])
    assert said["size"] == ([30, 20] if name == "turned" else list(values.shape[:2]))


def test_answers_say_what_their_numbers_mean(client: TestClient) -> None:
    tasks = client.post("/predict", content=PICTURES["odd"]).json()["tasks"]
    assert tasks["segmentation"]["class_names"] == [f"{EVIL}{number}" for number in range(3)]
    assert tasks["depth"]["unit"] == "m"
    assert "unit vector" in tasks["normals"]["meaning"]
    health = client.get("/health").json()
    assert health["status"] == "ok"
    assert {name: {**said, "meaning": tasks[name]["meaning"]} for name, said in health["tasks"].items()} == {
        name: {key: value for key, value in said.items() if key not in ("format", "dtype", "shape", "data")}
        for name, said in tasks.items()
    }


def test_single_tasks_and_confidence_can_be_asked_for(run: mtpsl.TrainedRun, client: TestClient) -> None:
    answer = client.post("/predict?tasks=normals,segmentation&confidence=1", content=PICTURES["odd"]).json()
    assert [*answer["tasks"]] == ["normals", "segmentation"]
    expected = run.predict(Image.open(BytesIO(PICTURES["odd"])), confidence=True).confidence
    found = decoded(answer["tasks"]["segmentation"]["confidence"])
    assert found.tobytes() == expected["segmentation"].tobytes()
    assert "confidence" not in answer["tasks"]["normals"]


def header_alone(height: int, width: int) -> bytes:
    """The beginning of a PNG of this size, without a pixel."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return head + struct.pack(">I", 1000) + b"IDAT" + b"\0" * 40


REFUSED = {
    "words": (415, b"no picture at all", "none of PNG"),
    "nothing": (400, b"", "there is no picture"),
    "half of one": (400, PICTURES["odd"][: len(PICTURES["odd"]) // 2], "cannot be read"),
    "half of a JPEG": (400, PICTURES["turned"][:-200], "cannot be read"),
    "another kind of file": (415, b"%PDF-1.7 " + b"0" * 100, "none of PNG"),
    "200 megapixels": (413, header_alone(10_000, 20_000), "200000000 pixels"),
    "more than allowed": (413, header_alone(1001, 1000), "1001x1000 pixels"),
    "a file too large": (413, b"0" * 100_001, "more than 0.1 MB"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("address", ["/predict", "/view"])
@pytest.mark.parametrize("way", ["body", "chunks", "form"])
def test_what_is_no_picture_or_too_large_is_refused_in_one_line(
    run: mtpsl.TrainedRun, name: str, address: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, data, words = REFUSED[name]
    if status == 413:  # found before anything is decoded
        monkeypatch.setattr("mtpsl.serving.uploads.read_picture", lambda _: pytest.fail("was decoded"))
    ways = {"body": {"content": data}, "chunks": {"content": iter([data])}, "form": {"files": {"a": ("b", data)}}}
    with opened(run, megabytes=0.1, megapixels=1) as client:
        answer = client.post(address, **ways[way])
    assert answer.status_code == status, answer.text
    assert [*answer.json()] == ["error"]
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_the_largest_that_is_allowed_is_answered(run: mtpsl.TrainedRun) -> None:
    data = as_file(pixels((100, 100, 3)))
    with opened(run, megabytes=len(data) / 1e6, megapixels=0.01) as client:
        assert client.post("/predict", content=data).status_code == 200
        assert client.post("/predict", files={"image": ("a" * 1000, data)}).status_code == 200
        assert client.post("/predict", content=data + b"0").status_code == 413
        assert client.post("/predict", files={"image": ("a", data + b"0")}).status_code == 413


@pytest.mark.parametrize(
    ("address", "sent", "words"),
    [
        ("/predict", {"data": {"image": "words"}, "files": {}}, "none of PNG"),
        ("/predict", {"files": [("a", ("a", b"0")), ("b", ("b", b"0"))]}, "Too many files"),
        ("/predict", {"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, "boundary"),
        (
            "/predict",
            {"content": b"xx", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            "the form",
        ),
        ("/predict?tasks=depht", {"content": b"0"}, "among depth, normals, segmentation"),
        ("/predict?confidence=maybe", {"content": b"0"}, "0 or 1"),
        ("/predict?size=3", {"content": b"0"}, "'size' is unknown"),
        ("/nowhere", {"content": b"0"}, "POST /predict"),
        ("/", {"content": b"0"}, "GET /"),
    ],
)
def test_what_a_request_gets_wrong_is_said(client: TestClient, address: str, sent: dict[str, Any], words: str) -> None:
    answer = client.post(address, **sent)
    assert 400 <= answer.status_code < 500
    assert words in answer.json()["error"]


def test_pictures_never_touch_the_disk(client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))  # no temporary file can be made
    large = as_file(pixels((1500, 1200, 3)))
    assert len(large) > 2**22
    assert client.post("/predict?tasks=depth", files={"image": ("a.png", large)}).status_code == 200
    assert client.post("/view", files={"image": ("a.png", large)}).status_code == 200
    with pytest.raises(FileNotFoundError):
        tempfile.mkstemp()


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=x"])
def test_a_body_without_an_end_is_not_read_further_than_allowed(kind: str) -> None:
    received = 0

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 1
        begin = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n' if received == 1 else b""
        return {"type": "http.request", "body": begin + b"0" * 50_000, "more_body": received < 1000}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    with pytest.raises(HTTPException) as refusal:
        asyncio.run(read_body(Request(scope, receive), Limits(megabytes=0.1)))
    assert refusal.value.status_code == 413
    assert received <= 4


def test_a_body_that_does_not_arrive_is_given_up(run: mtpsl.TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtpsl.serving.app.read_body", lambda request, limits: read_body(request, limits, 0.2))
    with served(make_app(run, Limits())) as address:

        def slowly() -> Iterator[bytes]:
            yield b"\x89PNG"
            time.sleep(0.6)
            yield b"more"

        assert httpx.post(address + "predict", content=slowly()).status_code == 408


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:8000"}, 200),
        ({"host": "127.0.0.1:9000", "origin": "http://127.0.0.1:9000"}, 200),  # through a tunnel
        ({"host": "[::1]:8000"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example"}, 400),
        ({"host": "evil.example", "origin": "http://evil.example"}, 400),  # a name that was made to lead here
        ({"host": "localhost.evil.example"}, 400),
    ],
)
def test_pages_of_other_sites_are_refused(run: mtpsl.TrainedRun, headers: dict[str, str], status: int) -> None:
    with opened(run, ["localhost", "127.0.0.1", "[::1]"]) as client:
        assert client.post("/predict", content=PICTURES["tiny"], headers=headers).status_code == status
        answer = client.get("/health", headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers
    if status != 400:
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"


def test_names_are_escaped_and_the_page_asks_for_nothing(client: TestClient) -> None:
    answer = client.get("/")
    page = Page(answer.text)
    assert page.words("h1") == ["<b>run"]
    assert page.addresses() == set()
    assert len(page.of("script")) == 1
    assert "script-src 'sha256-" in answer.headers["content-security-policy"]
    html = client.post("/view", content=PICTURES["odd"]).json()["html"]
    assert any(EVIL in words for words in Page(html).words("span"))
    assert not Page(html).of("script")
    assert not [one for one in Page(html).of("img") if not one["src"].startswith("data:image/")]


def test_the_page_is_sent_the_values_of_its_pictures(run: mtpsl.TrainedRun, client: TestClient) -> None:
    said = client.post("/view", content=PICTURES["odd"]).json()
    assert said["size"] == [45, 101]
    expected = run.predict(Image.open(BytesIO(PICTURES["odd"])))
    for (task, values), found in zip(expected.items(), said["values"], strict=True):
        numbers = np.frombuffer(base64.b64decode(found["data"]), np.dtype(found["kind"]).newbyteorder("<"))
        assert (numbers.reshape(values.shape) == values).all(), task
        assert (found["height"], found["width"]) == (45, 101)
    assert [one["unit"] for one in said["values"]] == ["m", "", ""]
    assert said["values"][2]["names"][0] == f"{EVIL}0"
    large = client.post("/view", content=PICTURES["large"]).json()
    assert [(one["height"], one["width"]) for one in large["values"]] == [(498, 640)] * 3


def test_one_picture_is_predicted_at_a_time(run: mtpsl.TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, threads = 0, 0, set()
    draw = mtpsl.Predictor.draw

    def counted(self: mtpsl.Predictor, *given: Any, **options: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        threads.add(threading.get_ident())
        time.sleep(0.02)
        try:
            return draw(self, *given, **options)
        finally:
            running -= 1

    monkeypatch.setattr(mtpsl.Predictor, "draw", counted)
    sent = [as_file(pixels((20, 30 + number, 3), seed=number)) for number in range(12)]
    with served(make_app(run, Limits())) as address, ThreadPoolExecutor(12) as pool:
        answers = [*pool.map(lambda data: httpx.post(address + "predict", content=data).json(), sent)]
    assert [answer["size"] for answer in answers] == [[20, 30 + number] for number in range(12)]
    assert (most, len(threads)) == (1, 1)
    for data, answer in zip(sent, answers, strict=True):
        assert decoded(answer["tasks"]["depth"]).tobytes() == run.predict(Image.open(BytesIO(data)))["depth"].tobytes()


def test_a_refusal_reaches_who_still_sends(run: mtpsl.TrainedRun) -> None:
    with served(make_app(run, Limits(megabytes=0.1))) as address:
        assert httpx.post(address + "predict", content=b"0" * 20_000_000).status_code == 413
        assert httpx.post(address + "predict", content=iter([b"0" * 1_000_000] * 20)).status_code == 413
        assert httpx.get(address + "health").status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (MemoryError(), 503, "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 503, "not enough memory"),
        (RuntimeError("secret"), 500, "made a mistake"),
    ],
)
def test_errors_while_predicting_are_answered(
    run: mtpsl.TrainedRun, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, words: str
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise error

    with opened(run) as client:
        with monkeypatch.context() as patched:
            patched.setattr(mtpsl.Predictor, "draw", broken)
            answer = client.post("/predict", content=PICTURES["tiny"])
        assert answer.status_code == status
        assert words in answer.json()["error"]
        assert "secret" not in answer.text
        assert client.post("/predict", content=PICTURES["tiny"]).status_code == 200


@pytest.mark.parametrize("limits", [{"megabytes": 0}, {"megapixels": -1}, {"megapixels": 1e4}, {"megabytes": np.nan}])
def test_limits_that_make_no_sense_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(UserError, match="--max_mega"):
        Limits(**limits)

"""The server's page in a browser: a picture dropped, chosen or pasted is predicted, values are read, nothing runs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from command import write_dataset
from PIL import Image

import mtpsl
from chromium import CHROMIUM, Browser, chromium
from made_runs import make_run
from mtpsl.serving import Limits, make_app
from served import served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

EVIL = "<img src=x onerror='window.bad = 1'>"
WAIT = """new Promise((done, fail) => { const start = Date.now(); const look = () => {
if (%s) done(document.getElementById("status").textContent);
else if (Date.now() - start > 20000) fail(new Error(document.getElementById("status").textContent));
else setTimeout(look, 20); }; look(); })"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> mtpsl.TrainedRun:
    root = tmp_path_factory.mktemp("serve")
    data = write_dataset(root / "data", train=1, val=1)
    said = yaml.safe_load((data / "dataset.yaml").read_text())
    said["tasks"]["segmentation"]["classes"] = [f"{EVIL}{number}" for number in range(3)]
    (data / "dataset.yaml").write_text(yaml.safe_dump(said))
    folder = make_run(root / EVIL, ["--data.root", str(data), "--tasks", "segmentation,depth,normals"])
    return mtpsl.load(folder.path, device="cpu")


@pytest.fixture(scope="module")
def address(run: mtpsl.TrainedRun) -> Iterator[str]:
    with served(make_app(run, Limits(megabytes=1), ["127.0.0.1"])) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "street.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)).save(path)
    return path


def opened(browser: Browser, address: str, width: int = 1280, *, dark: bool = False) -> None:
    browser.open(address, width=width, dark=dark, phone=width < 500)
    browser.complaints.clear()
    browser.requests.clear()


def said(browser: Browser, words: str, *, wrong: bool = False) -> str:
    """What the page says once it says these words."""
    state = "document.getElementById('status')"
    answer = browser.evaluate(
        WAIT
        % f"{state}.textContent.includes({words!r}) && {state}.classList.contains('wrong') === {str(wrong).lower()}"
    )
    assert isinstance(answer, str)
    return answer


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_chosen_picture_shows_every_task(
    browser: Browser, address: str, picture: Path, width: int, dark: bool
) -> None:
    opened(browser, address, width, dark=dark)
    browser.choose("#file", picture)
    assert said(browser, "predicted in").startswith("street.png: 80 × 60 pixels")
    assert browser.evaluate("[...document.querySelectorAll('.view h4')].map(one => one.textContent.trim())") == [
        "depth",
        "normals",
        "segmentation",
    ]
    assert browser.evaluate("document.querySelectorAll('.pair img').length") == 6
    assert browser.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert [one for one in browser.requests if not one.startswith("data:")] == [address + "view"]
    assert browser.complaints == []
    assert browser.evaluate("typeof window.bad") == "undefined"
    assert EVIL in browser.evaluate("document.querySelector('.view:last-child .legend').textContent")


def test_values_are_read_below_the_pointer_and_the_slider_moves(
    browser: Browser, address: str, run: mtpsl.TrainedRun, picture: Path
) -> None:
    opened(browser, address)
    browser.choose("#file", picture)
    said(browser, "predicted in")
    expected = {task: values[36, 24] for task, values in run.predict(picture).items()}
    read = {}
    for number, task in enumerate(expected):
        pair = f"document.querySelectorAll('.pair')[{number}]"
        browser.evaluate(f"{pair}.scrollIntoView({{block: 'center'}})")
        box = browser.evaluate(f"(b => [b.left, b.top, b.width, b.height])({pair}.getBoundingClientRect())")
        browser.mouse("mouseMoved", box[0] + 24.5 / 80 * box[2], box[1] + 36.5 / 60 * box[3])
        read[task] = browser.evaluate(f"document.querySelectorAll('.view output')[{number}].textContent")
    assert read["segmentation"] == f"{EVIL}{expected['segmentation']}"
    assert read["depth"].endswith(" m")
    assert float(read["depth"].removesuffix(" m")) == pytest.approx(expected["depth"], rel=1e-2)
    assert [*map(float, read["normals"].split(", "))] == pytest.approx(expected["normals"].tolist(), rel=1e-2)
    browser.evaluate("document.querySelector('.slider input').focus()")
    browser.key("ArrowRight")
    assert browser.evaluate("document.querySelector('.pair').style.getPropertyValue('--at')") == "51%"


DROP = """(() => { const file = new File([Uint8Array.from(atob(%s), one => one.charCodeAt(0))], %s);
const data = new DataTransfer(); data.items.add(file);
dispatchEvent(new %s); })()"""
EVENTS = {
    "dropped": "DragEvent('drop', {dataTransfer: data, cancelable: true})",
    "pasted": "ClipboardEvent('paste', {clipboardData: data})",
}


@pytest.mark.parametrize("event", EVENTS)
def test_a_dropped_or_pasted_picture_is_predicted_and_its_name_runs_nothing(
    browser: Browser, address: str, picture: Path, event: str
) -> None:
    opened(browser, address)
    data = base64.b64encode(picture.read_bytes()).decode()
    browser.evaluate(DROP % (json.dumps(data), json.dumps(f"{EVIL}.png"), EVENTS[event]))
    said(browser, "predicted in")
    assert browser.evaluate("document.getElementById('name').textContent") == f"{EVIL}.png"
    assert browser.evaluate("document.querySelectorAll('#name *').length") == 0
    assert browser.evaluate("typeof window.bad") == "undefined"
    assert browser.complaints == []


def test_what_is_wrong_is_said_and_the_last_result_stays(
    browser: Browser, address: str, picture: Path, tmp_path: Path
) -> None:
    opened(browser, address)
    browser.choose("#file", picture)
    said(browser, "predicted in")
    (tmp_path / "notes.txt").write_text("words")
    browser.choose("#file", tmp_path / "notes.txt")
    assert "none of PNG" in said(browser, "notes.txt", wrong=True)
    (tmp_path / "large.bin").write_bytes(b"0" * 1_100_000)
    browser.choose("#file", tmp_path / "large.bin")
    assert "more than 1" in said(browser, "large.bin", wrong=True)
    assert browser.evaluate("document.querySelectorAll('.view').length") == 3
    assert browser.evaluate("document.querySelector('main .views').closest('[aria-busy=true]')") is None


def test_the_keyboard_reaches_the_button_for_files(browser: Browser, address: str) -> None:
    opened(browser, address)
    browser.key("Tab")
    assert browser.evaluate("document.activeElement.id") == "file"
    assert browser.evaluate("document.getElementById('file').labels[0].textContent.includes('Drop a picture')")

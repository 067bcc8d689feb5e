"""The page in a browser: nothing complains, curves are drawn and answer, sliders move, by mouse and keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chromium import CHROMIUM, Browser, chromium
from mtpsl.visualization.report import Report, render
from report_content import run, sheet

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Path:
    browser.complaints.clear()
    browser.requests.clear()
    file = tmp_path / "page.html"
    file.write_text(render(Report("two runs", [run("a"), run("b")], together=[sheet("img")])), encoding="utf-8")
    return file


INK = """(() => { const c = document.querySelector('.chart canvas'); const d = c.getContext('2d').getImageData(0, 0,
c.width, c.height).data; let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i + 3] > 200 &&
Math.abs(d[i] - d[i + 2]) > 60; return n; })()"""
"""Colored pixels of the first chart: its lines."""


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_page_is_drawn_without_a_complaint_or_a_request(
    browser: Browser, page: Path, width: int, dark: bool
) -> None:
    browser.open(page, width=width, dark=dark, phone=width < 500)
    assert browser.evaluate("document.querySelectorAll('.chart canvas').length") == 3
    assert browser.evaluate(INK) > 200
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    light, ground = (
        browser.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
    )
    assert (sum(map(int, light[4:-1].split(","))) > sum(map(int, ground[4:-1].split(",")))) == dark
    assert [one for one in browser.requests if not one.startswith(("data:", page.as_uri()))] == []
    assert browser.complaints == []
    assert browser.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_a_slider_shows_more_of_one_side_by_mouse_and_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    at = "document.querySelector('.pair').style.getPropertyValue('--at')"
    assert browser.evaluate(at) == "50%"
    browser.evaluate("document.querySelector('.slider input').focus()")
    browser.key("ArrowRight")
    assert browser.evaluate(at) == "51%"
    browser.evaluate("document.querySelector('.slider').scrollIntoView({block: 'center'})")
    box = browser.evaluate(
        "(b => [b.left, b.top, b.width, b.height])(document.querySelector('.pair').getBoundingClientRect())"
    )
    x, y = box[0] + 0.25 * box[2], box[1] + 0.5 * box[3]
    browser.mouse("mousePressed", x, y, pressed=True)
    browser.mouse("mouseReleased", x, y)
    assert browser.evaluate(at) == "25%"
    clip = browser.evaluate("getComputedStyle(document.querySelectorAll('.pair img')[1]).clipPath")
    assert clip.endswith("25%)")
    before = browser.evaluate("document.querySelector('.pair img').src")
    browser.evaluate(
        "(s => { s.value = '0'; s.dispatchEvent(new Event('change')); })(document.querySelector('.sides select'))"
    )
    assert browser.evaluate("document.querySelector('.pair img').src") != before


def test_curves_are_read_zoomed_and_chosen(browser: Browser, page: Path) -> None:
    browser.open(page)
    reading = "document.querySelector('.chart output').textContent"
    browser.evaluate("document.querySelector('.plot').focus()")
    browser.key("ArrowRight")
    assert browser.evaluate(reading) == "4"  # the loss of the first epoch
    browser.key("ArrowRight")
    assert browser.evaluate(reading) == "3"
    browser.evaluate("document.querySelector('.u-over').scrollIntoView({block: 'center'})")
    box = browser.evaluate(
        "(b => [b.left, b.top, b.width, b.height])(document.querySelector('.u-over').getBoundingClientRect())"
    )
    browser.mouse("mouseMoved", box[0] + box[2] - 3, box[1] + box[3] / 2)
    assert browser.evaluate(reading) == "1"
    lines = browser.evaluate(INK)
    browser.evaluate("document.querySelectorAll('.chart .choices input').forEach((x, i) => { if (i < 2) x.click(); })")
    browser.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert browser.evaluate(INK) < lines / 4
    browser.evaluate("document.querySelectorAll('.chart .tools select')[1].value = '1'")
    browser.evaluate("document.querySelectorAll('.chart .tools select')[1].dispatchEvent(new Event('change'))")
    assert browser.evaluate("document.querySelector('.chart .u-axis') !== null")
    browser.evaluate("document.querySelector('.tools button').click()")
    assert browser.complaints == []


def test_markup_in_names_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    evil = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 1'>"
    file = tmp_path / "evil.html"
    file.write_text(
        render(Report(evil, [run(evil), run("b")], together=[sheet(evil, tasks=(evil,))])), encoding="utf-8"
    )
    browser.complaints.clear()
    browser.open(file)
    browser.evaluate("document.querySelectorAll('select').forEach(s => s.dispatchEvent(new Event('change')))")
    assert browser.evaluate("typeof window.bad") == "undefined"
    assert browser.complaints == []


def test_on_paper_everything_is_open_and_light(browser: Browser, page: Path) -> None:
    browser.open(page, dark=True)
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert browser.evaluate("[...document.querySelectorAll('details')].every(one => one.open)")
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not browser.evaluate("[...document.querySelectorAll('details')].some(one => one.open)")
    browser.media("print", dark=True)
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("getComputedStyle(document.querySelector('.slider')).display") == "none"

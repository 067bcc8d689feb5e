"""A report is one page that carries all it shows, says it in words, and takes nothing in names for markup."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from html_pages import Page
from mtpsl.visualization.report import Report, render
from mtpsl.visualization.report.charts import charts_of
from mtpsl.visualization.report.content import Annotation, Looked, Table
from mtpsl.visualization.report.images import encoded
from mtpsl.visualization.report.numbers import cells_of_confusion, label_strips
from report_content import run, sheet

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'"
TABLE = Table("rooms", ["labels", "method", "mIoU"], [[("one", False), ("ours", False), ("60.0", True)]], ["a note"])


def evil(value: Any) -> Any:
    """The same content with markup in every text, name and key."""
    if isinstance(value, str):
        return value if re.fullmatch(r"#[0-9a-f]{6}|", value) else value + EVIL
    if isinstance(value, np.ndarray) or not (dataclasses.is_dataclass(value) or isinstance(value, list | tuple | dict)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {field.name: evil(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **changes)
    if isinstance(value, dict):
        return {evil_key(key): evil(item) for key, item in value.items()}
    return type(value)(map(evil, value))


def evil_key(key: str) -> str:
    """A column of the history, or a name, with markup where names of tasks and scores stand."""
    if key in ("epoch", "seconds", "lr", "loss"):
        return key
    kind, _, rest = key.partition("/")
    return f"{kind}/{'/'.join(evil(part) for part in rest.split('/'))}" if rest else evil(key)


def page_of(report: Report) -> Page:
    return Page(render(report))


def test_all_parts_are_there_and_every_link_leads_to_one() -> None:
    page = page_of(Report("a run", [run()]))
    headings = page.words("h2")
    for words in ("What was trained on what", "Scores", "Curves", "Predictions on validation images", "Errors"):
        assert words in headings
    assert page.words("title") == ["a run"]
    places = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = [attributes["href"] for attributes in page.of("a")]
    assert links
    assert {link.removeprefix("#") for link in links} <= places
    text = " ".join(page.words("main"))
    for words in ("something is missing", "mtpsl train RUN/config.yaml --out NEW", "training.lr", "2 of 3", "10 of 20"):
        assert words in text


def test_nothing_is_asked_for_from_anywhere() -> None:
    content = render(Report("two", [run("a"), run("b")], [TABLE], "words", [sheet("x")]))
    page = Page(content)
    assert page.addresses() == set()
    policy = next(one["content"] for one in page.of("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    styles = "".join(page.words("style"))
    assert not re.search(r"url\(|@import", styles)
    outside_comments = re.sub(r"/\*.*?\*/|<!--.*?-->", "", content, flags=re.DOTALL)
    assert not re.findall(r"https?://", outside_comments)


def test_markup_in_names_stays_words() -> None:
    plain, attacked = run(), evil(run())
    report = Report("two" + EVIL, [attacked, attacked], [evil(TABLE)], EVIL, [evil(sheet("x"))], [EVIL])
    harmless = Report("two", [plain, plain], [TABLE], "", [sheet("x")], ["n"])
    page, same = page_of(report), page_of(harmless)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in same.elements]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert EVIL.split("<img")[0] in page.words("title")[0]
    data = next(
        text
        for (tag, attributes), text in zip(scripts(page), page.words("script"), strict=True)
        if attributes.get("id") == "charts"
    )
    assert json.loads(data)[0]["groups"]


def scripts(page: Page) -> list[tuple[str, dict[str, str]]]:
    return [(tag, attributes) for tag, attributes in page.elements if tag == "script"]


def test_ten_sheets_fit_into_five_megabytes_however_large_and_detailed_their_pictures_are() -> None:
    tasks = ("segmentation", "depth", "normals")
    sheets = [sheet(f"img_{index}", (360, 480), tasks, detail=24) for index in range(10)]
    one = dataclasses.replace(run(), looked=Looked(10, 10, sheets))
    content = render(Report("large", [one]))
    assert len(content.encode()) < 5e6
    assert len(Page(content).of("img")) >= 150


def test_pictures_are_what_was_drawn() -> None:
    few = np.zeros((20, 30, 3), np.uint8)
    few[5:9] = (200, 10, 30)
    assert (decoded(encoded(few, quality=30)) == few).all()  # few colors are kept exactly
    photo = (np.mgrid[:40, :60].sum(0)[..., None] * np.array([2, 1, 0.5])).astype(np.uint8)
    assert np.abs(decoded(encoded(photo)).astype(int) - photo).mean() < 6
    assert decoded(encoded(photo, scale=0.5)).shape == (20, 30, 3)


def decoded(uri: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as picture:
        return np.asarray(picture.convert("RGB"))


def test_every_picture_says_what_it_is_and_every_slider_has_its_two() -> None:
    page = page_of(Report("a run", [run()]))
    assert all(one["alt"] for one in page.of("img"))
    sliders = [attributes for tag, attributes in page.elements if "data-slider" in attributes]
    names = {one["data-name"] for one in page.of("img") if "data-name" in one}
    assert len(sliders) == 2 * 2 + 2  # two sheets of two tasks, a worst and a best image
    assert all({one["data-left"], one["data-right"]} == {"label", "prediction"} <= names for one in sliders)


def test_the_best_of_each_score_is_marked() -> None:
    content = render(Report("a run", [run()]))
    marked = re.findall(r'<td class="best">([^<]*)</td>', content)
    assert marked == ["62.5 %", "0.25 m"]  # of mIoU the best epoch, of depth the last one
    several = render(Report("two", [run("a"), run("b")], [TABLE]))
    assert '<td class="best">60.0</td>' in several


def test_curves_hold_epochs_and_the_minutes_until_then() -> None:
    charts = charts_of([run()])
    assert [chart["title"] for chart in charts] == ["Training", "segmentation: validation", "depth: validation"]
    losses = charts[0]["groups"][0]["lines"]
    assert [line["name"] for line in losses] == ["all together", "depth"]
    assert losses[0]["minutes"] == [0.5, 1.5, 2.0, 2.5]
    assert charts[1]["groups"][0]["lines"][0] | {"name": ""} == {
        "name": "",
        "epoch": [2.0, 4.0],
        "minutes": [1.5, 2.5],
        "y": [62.5, 60.0],
    }


def test_curves_of_several_runs_lie_over_each_other() -> None:
    other = dataclasses.replace(run("b"), history={"epoch": [1.0], "seconds": [60.0], "loss": [9.0]})
    charts = charts_of([run("a"), other])
    groups = {group["name"]: [line["name"] for line in group["lines"]] for group in charts[0]["groups"]}
    assert groups == {"all together": ["a", "b"], "depth": ["a"], "learning rate": ["a"]}


def test_a_run_without_history_and_pictures_has_a_page_too() -> None:
    bare = dataclasses.replace(run(), history={}, looked=Looked(), annotation=None, pictures=(), different=())
    page = page_of(Report("bare", [bare]))
    assert "Curves" not in page.words("h2")
    assert "Scores" in page.words("h2")


def test_the_picture_of_labels_counts_and_shares_places_among_many_images() -> None:
    labelled = np.zeros((480, 1), bool)
    labelled[:240:2] = True
    ((task, count, shares),) = label_strips(Annotation(["depth"], labelled))
    assert (task, count, len(shares)) == ("depth", 120, 240)
    assert shares == [0.5] * 120 + [0.0] * 120


def test_confusion_is_in_percent_of_the_label() -> None:
    rows = cells_of_confusion(run().looked.confusions[0])
    assert rows == [("wall", 40, [(75.0, 30), (25.0, 10)]), ("floor", 0, [(None, 0), (None, 0)])]


@pytest.mark.parametrize("limit", [10_000_000, 150_000])
def test_a_smaller_limit_gives_a_smaller_page(limit: int) -> None:
    one = dataclasses.replace(run(), looked=Looked(4, 4, [sheet(f"{i}", (120, 160)) for i in range(4)]))
    content = render(Report("a run", [one]), limit=limit)
    assert (len(content) < 250_000) == (limit == 150_000)

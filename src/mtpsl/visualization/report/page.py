"""A report as one HTML file that asks for nothing from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from mtpsl.visualization.report.charts import charts_of
from mtpsl.visualization.report.content import Report
from mtpsl.visualization.report.images import LEVELS, Album
from mtpsl.visualization.report.numbers import (
    cells_of_confusion,
    history_rows,
    label_strips,
    metric_name,
    number,
    written_value,
)

LIMIT = 4_900_000
"""Bytes of a page, beyond which its pictures are made smaller; so that it can be sent by mail."""
ASSETS = "mtpsl.visualization.report"


def render(report: Report, *, limit: int = LIMIT) -> str:
    """The page; everything that comes from data (names of files, classes, options) is escaped.

    Args:
        report: what it shows.
        limit: bytes that it may have; pictures are made as small as it takes, but not smaller than `images.LEVELS`.
    """
    page = ""
    for scale, quality in LEVELS:
        page = template(Album(scale, quality).uri).render(
            report=report,
            charts=charts_of(report.runs),
            style=Markup(asset("uPlot.min.css") + asset("style.css")),
            scripts=[Markup(asset(name)) for name in ("uPlot.iife.min.js", "slider.js", "page.js")],
            license=asset("uPlot.LICENSE"),
        )
        if len(page.encode()) <= limit:
            break
    return page


def template(picture: Callable[[Any], str]) -> jinja2.Template:
    """The template, with what turns pixels into the value of `src`."""
    environment = make_environment(picture)
    environment.globals |= {
        "confusion_cells": cells_of_confusion,
        "history_rows": history_rows,
        "label_strips": label_strips,
    }
    return environment.get_template("page.html.j2")


def make_environment(
    picture: Callable[[Any], str], load: Callable[[str], str | None] | None = None
) -> jinja2.Environment:
    """Where templates find filters and each other; what they insert is escaped.

    Args:
        picture: turns pixels into the value of `src`.
        load: a further place for templates, which is asked first: the text by name, None where it has none.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (load(name) if load else None) or asset(name)),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"picture": picture, "number": number, "value": written_value, "metric": metric_name}
    return environment


@cache
def asset(name: str) -> str:
    """A file of the page that ships with the package."""
    return (files(ASSETS) / "assets" / name).read_text(encoding="utf-8")

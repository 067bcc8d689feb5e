"""The page and the parts of it that a prediction fills; whatever comes from data is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from mtpsl.serving.limits import Limits
from mtpsl.visualization.report.content import TaskView
from mtpsl.visualization.report.images import encoded
from mtpsl.visualization.report.page import asset as shared
from mtpsl.visualization.report.page import make_environment

FOLDER = "mtpsl.serving"
QUALITY = 85


def render_page(facts: dict[str, Any], limits: Limits) -> str:
    """The page, before a picture was dropped on it.

    Args:
        facts: what the server says of its run.
        limits: what it refuses.
    """
    return render("page.html.j2", facts=facts, limits=limits, style=style(), script=Markup(script()))


def render_views(views: Sequence[TaskView]) -> str:
    """The part of the page that shows a prediction."""
    return render("views.html.j2", views=views)


def policy() -> str:
    """What a browser lets the page do: run its own script and no other, ask this server and no other."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def render(name: str, **values: Any) -> str:
    """A template of this folder, which may use those of the report."""
    return environment().get_template(name).render(values)


@cache
def environment() -> jinja2.Environment:
    """Templates, compiled once; pictures are encoded anew each time, since none may be kept."""
    return make_environment(lambda pixels: encoded(pixels, 1.0, QUALITY), own)


def style() -> Markup:
    """The style of the report with what only this page has."""
    return Markup(shared("style.css") + (own("style.css") or ""))


def script() -> str:
    """The report's slider and what this page does."""
    return f"{shared('slider.js')}\n{own('page.js')}"


@cache
def own(name: str) -> str | None:
    """A file of this page that ships with the package; None where there is none."""
    path = files(FOLDER) / "assets" / name
    return path.read_text(encoding="utf-8") if path.is_file() else None

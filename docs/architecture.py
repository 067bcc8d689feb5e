"""Draw which package may import which, from the table that the tests hold: docs/architecture.svg.

python docs/architecture.py
"""

from __future__ import annotations

import ast
import runpy
import textwrap
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
HELPERS = "helpers"
"""The modules that know nothing of vision, as one box."""
TOP = "data/*.py"
"""What lies at the top of data/, as one box."""
Table = Mapping[str, set[str]]


def packages(table: Table) -> dict[str, set[str]]:
    """Each package with what it may import; the helpers as one, without the rooms of data/."""
    rows = {name: {one for one in may if "." not in one} - {name} for name, may in table.items() if "." not in name}
    helpers = {name for name in rows if name != "structures" and "structures" not in below(rows, name)}
    merged = {name: {HELPERS if one in helpers else one for one in may} for name, may in rows.items()}
    return {HELPERS: set(), **{name: may for name, may in merged.items() if name not in helpers | {"__main__"}}}


def rooms(table: Table) -> dict[str, set[str]]:
    """Each room of data/ with the rooms that it may import; the files at the top as one."""
    names = {name for name in table if name.startswith("data.")}
    found = {name: {one if one in names else TOP for one in table[name] if one.startswith("data.")} for name in names}
    return {TOP: set(), **{name: found[name] - {name} for name in sorted(found)}}


def below(rows: Table, name: str) -> set[str]:
    """All that a package reaches."""
    found: set[str] = set()
    waiting = [*rows[name]]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += rows[one]
    return found


def arrows(rows: Table) -> set[tuple[str, str]]:
    """From each package to those that it may import, without those that it reaches through another.

    >>> sorted(arrows({"a": {"b", "c"}, "b": {"c"}, "c": set()}))
    [('a', 'b'), ('b', 'c')]
    """
    reached = {name: below(rows, name) for name in rows}
    return {(name, one) for name, may in rows.items() for one in may if not any(one in reached[other] for other in may)}


def heights(rows: Table) -> dict[str, int]:
    """The longest way down from each package."""
    found: dict[str, int] = {}
    for name in sorted(rows, key=lambda name: len(below(rows, name))):
        found[name] = 1 + max((found[one] for one in rows[name]), default=-1)
    return found


def hanging(rows: Table) -> dict[str, int]:
    """How far each package stands above the lowest, as near as can be to those that import it."""
    depth = heights({name: {other for other in rows if name in rows[other]} for name in rows})
    return {name: max(depth.values()) - depth[name] for name in rows}


def title(name: str) -> str:
    """The first sentence of a package's or module's docstring, up to its colon."""
    place = ROOT / "src" / "mtpsl" / name.replace(".", "/")
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    said = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "") if file.exists() else ""
    return said.partition("\n")[0].partition(": `")[0].removesuffix(".")


def draw(axes: Axes, rows: Table, level: Mapping[str, int], said: Mapping[str, str], size: tuple[int, int]) -> None:
    """Boxes by level, and arrows between them, in a picture so many boxes wide and high."""
    width, height = size
    place: dict[str, tuple[float, float]] = {}
    for step in {*level.values()}:
        row = [name for name in rows if level[name] == step]
        for column, name in enumerate(row):
            place[name] = (width * (column + 0.5) / len(row), step)
    for upper, lower in sorted(arrows(rows)):
        note = axes.annotate(
            "",
            xy=(place[lower][0], place[lower][1] + 0.28),
            xytext=(place[upper][0], place[upper][1] - 0.28),
            arrowprops={"arrowstyle": "-|>", "color": "#8a8f98", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0},
            zorder=0,
        )
        note.arrow_patch.set_gid(f"{upper}--{lower}")
    for name, (x, y) in place.items():
        axes.add_patch(plt.Rectangle((x - 0.47, y - 0.28), 0.94, 0.56, facecolor="#eef3fb", edgecolor="#3b6cb3"))
        shown = {"__init__": "mtpsl", "call": "call (mtpsl.train)"}.get(name, name.removeprefix("data."))
        axes.text(x, y + 0.13, shown, ha="center", va="center", fontsize=9, weight="bold", gid=name)
        text = textwrap.fill(said[name], 31, max_lines=3, placeholder=" ...")
        axes.text(x, y - 0.1, text, ha="center", va="center", fontsize=5.5)
    axes.set(xlim=(0, width), ylim=(-0.4, height - 0.6))
    axes.axis("off")


def main(table: Table, picture: Path) -> None:
    """Draw both pictures of the table into one file."""
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "mtpsl", "font.family": "sans-serif"})
    whole, inside = packages(table), rooms(table)
    single = sorted(name for name in table if name not in {*whole, *inside, "__main__"})
    said = {name: title(name) for name in (*whole, *inside)} | {
        HELPERS: ", ".join(single),
        "__init__": "the public names",
    }
    said[TOP] = "what every reader needs; which labels a run sees; batches"
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 9), width_ratios=(6, 3), layout="constrained")
    height = 1 + max(heights(whole).values())
    draw(left, whole, hanging(whole), said, (6, height))
    draw(right, inside, heights(inside), said, (3, height))
    left.set_title("packages: an arrow leads to what may be imported, with all that lies below", fontsize=9)
    right.set_title("the rooms of data/", fontsize=9)
    figure.savefig(picture, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main(runpy.run_path(str(ROOT / "tests" / "unit" / "test_imports.py"))["MAY_IMPORT"], PICTURE)

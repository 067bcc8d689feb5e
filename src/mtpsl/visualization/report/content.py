"""What a report shows, as plain data: no file, network or data set is opened to draw a page of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Pixels = np.ndarray
"""A picture: uint8 (h, w, 3)."""


@dataclass(frozen=True)
class Scale:
    """Numbers as colors, from `low` to `high` in `unit`; `beyond`: larger numbers have the last color, too."""

    colors: Sequence[str]
    low: float
    high: float
    unit: str = ""
    beyond: bool = False


@dataclass(frozen=True)
class Legend:
    """What colors mean: names with their colors (empty: hatched), a scale, a disk of directions with words for it."""

    names: Sequence[tuple[str, str]] = ()
    scale: Scale | None = None
    disk: Pixels | None = None
    disk_words: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture and what it is."""

    caption: str
    pixels: Pixels


@dataclass(frozen=True)
class TaskView:
    """The pictures of one task and image, any two of which a slider compares.

    Args:
        task: its name.
        pictures: all of one size; the photo first.
        score: of this image, in words.
        legend: of label and predictions.
        error_legend: of the error.
        left: the picture that a slider shows to the left at first.
        right: to the right.
    """

    task: str
    pictures: Sequence[Picture]
    score: str = ""
    legend: Legend = Legend()
    error_legend: Legend = Legend()
    left: str = "label"
    right: str = "prediction"


@dataclass(frozen=True)
class Sheet:
    """One image and what is said of it."""

    key: str
    views: Sequence[TaskView]


@dataclass(frozen=True)
class Annotation:
    """Which labels the training saw.

    Args:
        tasks: their names.
        labelled: for every training image a row, for every task whether its label was seen.
        examples: some images, with a picture of each label that was seen and None for those that were not.
    """

    tasks: Sequence[str]
    labelled: np.ndarray
    examples: Sequence[tuple[str, Pixels, Sequence[Pixels | None]]] = ()


@dataclass(frozen=True)
class ScoreLine:
    """A score of the last epoch, and the best of all epochs that were scored; None where it is not defined."""

    task: str
    metric: str
    unit: str
    higher_is_better: bool
    primary: bool
    last: float | None
    best: float | None = None
    best_epoch: int | None = None


@dataclass(frozen=True)
class ClassTable:
    """Intersection over union of every class in percent; None for one that neither labels nor predictions show."""

    task: str
    scores: Mapping[str, float | None]


@dataclass(frozen=True)
class Confusion:
    """How many pixels of each class (rows) were called which (columns)."""

    task: str
    names: Sequence[str]
    counts: np.ndarray


@dataclass(frozen=True)
class Histogram:
    """How large errors are: the share of pixels between neighboring `edges`, and the quantiles in words."""

    task: str
    unit: str
    edges: Sequence[float]
    shares: Sequence[float]
    words: str


@dataclass(frozen=True)
class Looked:
    """What was found on validation images, `count` of `total`."""

    count: int = 0
    total: int = 0
    sheets: Sequence[Sheet] = ()
    best: Mapping[str, Sequence[Sheet]] = field(default_factory=dict)
    worst: Mapping[str, Sequence[Sheet]] = field(default_factory=dict)
    classes: Sequence[ClassTable] = ()
    confusions: Sequence[Confusion] = ()
    histograms: Sequence[Histogram] = ()


@dataclass(frozen=True)
class RunContent:
    """One run.

    Args:
        name: what it is called.
        facts: what was trained on what, in pairs of words.
        annotation: the labels of its training images, where the data is there.
        scores: of the last epoch.
        history: the columns of metrics.csv; None where a row has no value.
        looked: what was found on validation images.
        pictures: those in its folder that nothing else shows.
        basis: what the options differ from, in words.
        different: options with their value and what it would be otherwise.
        others: the other options.
        environment: versions, hardware, and so on.
        commands: what each does, and the command.
        notes: what is missing, and why.
    """

    name: str
    facts: Sequence[tuple[str, str]]
    scores: Sequence[ScoreLine]
    history: Mapping[str, Sequence[float | None]]
    annotation: Annotation | None = None
    looked: Looked = Looked()
    pictures: Sequence[Picture] = ()
    basis: str = ""
    different: Sequence[tuple[str, str, str]] = ()
    others: Sequence[tuple[str, str]] = ()
    environment: Sequence[tuple[str, str]] = ()
    commands: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """A table of runs: a heading, the columns, rows of texts with whether each is the best, notes."""

    heading: str
    heads: Sequence[str]
    rows: Sequence[Sequence[tuple[str, bool]]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """A page: one run, or several with what compares them."""

    title: str
    runs: Sequence[RunContent]
    tables: Sequence[Table] = ()
    table_words: str = ""
    together: Sequence[Sheet] = ()
    notes: Sequence[str] = ()

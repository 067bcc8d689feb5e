"""Which images a run reads, at which size, with which labels, and how."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from mtpsl.data.registry import DATASETS
from mtpsl.options import check_at_least_one, check_not_negative, check_positive, check_seed
from mtpsl.plugins import is_object, names_code

LAYOUTS = ("auto", *DATASETS, "scenes")
"""What `data.name` may be, beside code of one's own."""


@dataclass(frozen=True)
class DataSettings:
    """Which images, at which size, with which labels.

    Args:
        name: the data set's layout; `auto` recognizes it. `folder` (folders of images and labels, with a dataset.yaml),
            `packed` and `shards` (written by `mtpsl convert`), `merged` (several data sets that a merged.yaml lists),
            `scenes` (rendered rooms, built in), or a published set as people have it on disk: `nyuv2` (MTAN's arrays),
            `nyuv2_raw` (.mat), `nyud`, `cityscapes_mtan` (MTAN's arrays), `cityscapes` (official), `pascal`,
            `taskonomy`: docs/datasets.md. Or a data set of your own, `FILE.py:Class`.
        root: the folder of a data set on disk.
        description: its dataset.yaml; by default the one in `root` (`folder` only).
        classes: number of segmentation classes, for layouts that offer several.
        label_cache: folder that keeps labels computed from .mat files; by default one in `root` (`pascal` only).
        size: height and width to resize to; by default the images' own. Best of their aspect ratio, as large as what
            is to be seen needs: twice the side costs four times the time. No multiple of 32 is needed: networks pad.
        score_size: size at which scores are computed: `input`, that of the images that the network sees, or `own`, that
            at which labels are stored, to which predictions are resized (published for PASCAL). Belongs to `size`.
        score_edges: which boundaries scores are computed against: the `laplacian` of the classes, as in training, or
            those of the published benchmark's own tool, `seg2bmap` (`pascal` only).
        regime: which of the labels that exist may be used: `full` all, `one` one per image, `random` 1 to K-1 per
            image, `ratio` one per image in unequal shares, `semi` all labels of some images and none of the others,
            `file` those that a file lists.
        ratio: weight of each task's share of the images, in the order of `data.tasks` or else of the data set
            (regime `ratio`): 1,9 gives the second task nine times as many images as the first.
        share: share of the images that keep their labels, between 0 and 1 (regime `semi`).
        labels: list of the labels that may be used: .csv, .yaml, or a published .pth or .npy (regime `file`).
        label_seed: seed of the regime; by default the run's seed.
        tasks: the tasks among which the regime chooses; by default all of the data set.
        unlabelled: what to do where a training image has no label of any task: `refuse` (it may be a mistake), `skip`
            the image with a note, or `keep` it for objectives that learn from such (`semi_supervised`); `auto` skips it
            in data of your own (`folder`, `packed`, `shards`, `merged`), refuses elsewhere, and keeps it for `semi` and
            `file`.
        epoch_images: which images an epoch of training goes over: those with a label for the run's tasks
            (`labelled`), or `all` of the split (published), also those whose labels the regime hides or that belong to
            other tasks. Either way a batch without any label is passed over without a step, unless the objective learns
            from such (`semi_supervised`).
        train_split: name of the training split.
        val_split: name of the split that scores are computed on.
        limit: use only this many training images (drawn by `label_seed`).
        scenes_train: number of rendered training images (`scenes` only).
        scenes_val: number of rendered validation images (`scenes` only).
        workers: processes that read images; 0 reads in the training process, `auto` decides by processors and GPU.
        cache: where decoded images are kept once they have been read: in `memory`, up to a third of what is free
            (shared by `training.devices` processes), on a local `disk`, where later runs find them, or nowhere
            (`none`); `auto`: in memory if all fit, else on disk if all fit, else nowhere. A line says which, and why.
        cache_folder: where copies on disk lie, also those of shards that are fetched; by default `mtpsl` in the user's
            cache folder (`~/.cache`).
        cache_limit: gigabytes that all copies in `cache_folder` may take together; for those of fetched shards apart.
        window: among how many shards training shuffles images, before it goes on to the next ones; with more an epoch
            is mixed better, and more of them are open at a time (`shards` only; 8 by default).
        broken: what to do about a training image that cannot be read: `stop` and name it, or `skip` it, with a count
            and a list, and draw the next readable one in its place. Validation images have to be whole.
        options: what the constructor of a data set of your own (`name` FILE.py:Class) is given beside the above.
    """

    name: str = "auto"
    root: str | None = None
    description: str | None = None
    classes: int | None = None
    label_cache: str | None = None
    size: tuple[int, int] | None = None
    score_size: Literal["input", "own"] = "input"
    score_edges: Literal["laplacian", "seg2bmap"] = "laplacian"
    regime: Literal["full", "one", "random", "ratio", "semi", "file"] = "full"
    ratio: list[float] | None = None
    share: float | None = None
    labels: str | None = None
    label_seed: int | None = None
    tasks: list[str] | None = None
    unlabelled: Literal["auto", "refuse", "skip", "keep"] = "auto"
    epoch_images: Literal["labelled", "all"] = "labelled"
    train_split: str = "train"
    val_split: str = "val"
    limit: int | None = None
    scenes_train: int = 240
    scenes_val: int = 60
    workers: int | Literal["auto"] = "auto"
    cache: Literal["auto", "memory", "disk", "none"] | bool = "auto"
    cache_folder: str | None = None
    cache_limit: float = 50.0
    window: int | None = None
    broken: Literal["stop", "skip"] = "stop"
    options: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.name not in LAYOUTS and not names_code(self.name) and not is_object(self.name):
            *most, last = LAYOUTS
            raise ValueError(f"--data.name should be {', '.join(most)} or {last}, or FILE.py:Class, not {self.name}")
        for regime, option, example in (
            ("ratio", "ratio", "1,9"),
            ("semi", "share", "0.333"),
            ("file", "labels", "FILE"),
        ):
            given = getattr(self, option) is not None
            if given and self.regime != regime:
                raise ValueError(
                    f"data.{option} belongs to data.regime {regime}, not to {self.regime}: choose that regime, or "
                    f"switch the option off with --data.{option} null"
                )
            if not given and self.regime == regime:
                raise ValueError(f"data.regime {regime} needs data.{option}: give e.g. --data.{option} {example}")
        if isinstance(self.cache, bool):  # as written by earlier versions
            object.__setattr__(self, "cache", "memory" if self.cache else "none")
        check_not_negative(**{"data.workers": None if self.workers == "auto" else self.workers})
        check_positive(**{"data.cache_limit": self.cache_limit})
        for name in ("classes", "limit", "window", "scenes_train", "scenes_val"):
            check_at_least_one(**{f"data.{name}": getattr(self, name)})
        if self.size is not None and min(self.size) < 1:
            raise ValueError(
                f"data.size should be two whole numbers above 0, as 96,128, not {self.size[0]},{self.size[1]}"
            )
        if self.label_seed is not None:
            check_seed("data.label_seed", self.label_seed)
        for name, default in (("scenes_train", 240), ("scenes_val", 60)):
            if self.name != "scenes" and getattr(self, name) != default:
                raise ValueError(
                    f"data.{name} belongs to data.name scenes, not to {self.name}: choose that data set, or switch the "
                    f"option off with --data.{name} {default}"
                )
        if self.score_size == "own" and self.size is None:
            raise ValueError(
                "data.score_size own belongs to a data.size: without one, images keep their own size, and scores are "
                "computed at it"
            )
        if self.share is not None and not 0 < self.share < 1:
            raise ValueError(f"data.share should lie between 0 and 1 (neither of them), as 0.333, not {self.share}")

    def table_name(self, name: str) -> str:
        """The data set's name with what makes its numbers others: the choice of classes, fewer images, own sizes.

        >>> DataSettings(classes=40, limit=180).table_name("nyuv2")
        'nyuv2, 40 classes, 180 training images'
        """
        classes = "" if self.classes is None else f", {self.classes} classes"
        own = ", scored at own size" if self.score_size == "own" else ""
        own += ", edges of seg2bmap" if self.score_edges == "seg2bmap" else ""
        return f"{name}{classes}{own}" + ("" if self.limit is None else f", {self.limit} training images")

    @property
    def regime_name(self) -> str:
        """The label regime with what tells it from others of its kind.

        >>> DataSettings(regime="ratio", ratio=[1, 9]).regime_name, DataSettings(regime="semi", share=0.333).regime_name
        ('ratio 1:9', 'semi 1/3')
        """
        if self.ratio is not None:
            return f"ratio {':'.join(f'{weight:g}' for weight in self.ratio)}"
        if self.share is not None:
            fraction = Fraction(self.share).limit_denominator(10)  # 0.333 is written for 1/3
            exact = 0 < fraction < 1 and abs(fraction - self.share) < 5e-4
            return f"semi {fraction if exact else f'{self.share:g}'}"
        if self.labels is not None:
            return f"file {Path(self.labels).name}"
        return self.regime

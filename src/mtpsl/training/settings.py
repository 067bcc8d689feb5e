"""The options of a run that do not belong to a network, an objective or a data set's files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from mtpsl.options import check_at_least_one, check_not_negative, check_positive
from mtpsl.plugins import is_object, names_code

LAYOUTS = (
    "auto",
    "folder",
    "packed",
    "merged",
    "cityscapes_mtan",
    "cityscapes",
    "nyuv2",
    "nyuv2_raw",
    "nyud",
    "pascal",
    "taskonomy",
    "scenes",
)
"""What `data.name` may be, beside code of one's own."""


@dataclass(frozen=True)
class DataSettings:
    """Which images, at which size, with which labels.

    Args:
        name: the data set's layout; `auto` recognizes it. `folder` (folders of images and labels, with a dataset.yaml),
            `packed` (written by `mtpsl convert`), `merged` (several data sets that a merged.yaml lists), `scenes`
            (rendered rooms, built in), or a published set as people have it on disk: `nyuv2` (MTAN's arrays),
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
            in data of your own (`folder`, `packed`, `merged`), refuses elsewhere, and keeps it for the regimes `semi`
            and `file`.
        epoch_images: which images an epoch of training goes over: those with a label for the run's tasks
            (`labelled`), or `all` of the split (published), also those whose labels the regime hides or that belong to
            other tasks. Either way a batch without any label is passed over without a step, unless the objective learns
            from such (`semi_supervised`).
        train_split: name of the training split.
        val_split: name of the split that scores are computed on.
        limit: use only this many training images (drawn by `label_seed`).
        scenes_train: number of rendered training images (`scenes` only).
        scenes_val: number of rendered validation images (`scenes` only).
        workers: processes that read images; 0 reads in the training process.
        cache: keep decoded images in memory, up to a third of what is free (shared by `training.devices` processes); a
            line says how many do not fit and are read in every epoch.
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
    workers: int = 0
    cache: bool = True
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
        check_not_negative(**{"data.workers": self.workers})
        for name in ("classes", "limit", "scenes_train", "scenes_val"):
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


@dataclass(frozen=True)
class TrainingSettings:
    """How to optimize.

    Args:
        epochs: passes over the training images; `auto`: 10 to 100 of them, fewer the more images there are.
        batch_size: images per step and process; `auto`: 8, of fewer than 64 images 4, of fewer than 16 images 2.
        drop_last: leave out the last batch of an epoch where fewer images are left for it.
        optimizer: `adam` (published) or `adamw`, whose decay leaves out biases and norms.
        lr: learning rate.
        encoder_lr_factor: the encoder's rate, relative to `lr`; a pretrained one wants a smaller rate.
        freeze_encoder: leave the encoder's weights and norms as they are.
        weight_decay: L2 penalty of Adam, decay of AdamW.
        schedule: `step` halves the rate after half of the epochs (published for NYU-v2 and Cityscapes), `poly` lowers
            it to zero with power 0.9 (published for PASCAL), `cosine` lowers it to zero at every step, `constant`
            keeps it.
        warmup: share of the training over which the rate rises from 0, step by step.
        ema: decay of an average of the weights over the steps, such as 0.99, which is validated and kept in place of
            the last weights.
        clip: largest gradient norm; larger gradients are scaled down to it.
        accumulate: sum gradients over this many batches before a step.
        validate_every: epochs between validations; the last epoch is always validated.
        keep_best: also keep the epoch whose validation scores improved most over those of the first validation, on
            average over tasks, as checkpoints/best.ckpt and scores_best.json.
        patience: stop after so many validations in a row without a better one, as `keep_best` compares them.
        scales: magnifications that augmentation draws from; 1 for none.
        flip: mirror half of the images.
        rotation: turn images about their center by up to this many degrees to either side (PASCAL: 20).
        rescale: smallest and largest magnification about the center; below 1 leaves a black border (PASCAL: 0.75,1.25).
        rescale_draw: how one is drawn between the two: on a logarithmic scale (`log`), or evenly (`uniform`: PASCAL).
        border: what `rotation` and `rescale` let in from outside of an image has no label (`unlabelled`), or the label
            0 of tasks with classes or boundaries (`zero`, published for PASCAL, where 0 is the background).
        photometric: how strongly brightness, contrast and saturation change at random, from 0 to 1; 0 for none.
        seed: seed of weights, order of images, augmentation and label regime.
        precision: `32`, `bf16-mixed`, or `auto`: bf16 with channels_last where this machine's processor or GPU is
            quicker at it, which is measured at the start.
        channels_last: memory layout that speeds convolutions up, above all with bf16.
        compile: compile the network with torch.compile.
        accelerator: `auto`, `cpu` or `gpu`.
        devices: processes (GPUs or CPU processes); each gets `batch_size` images per step.
        sheets: how many validation images are drawn into the run folder at the end.
        report: write `report.html` at the end, a page that shows the run.
        start_from: a run folder whose network this run starts from, and its objective where both have the same one, to
            be tuned further with a fresh optimizer (e.g. one that `mtpsl import-checkpoint` made).
    """

    epochs: int | Literal["auto"] = 200
    batch_size: int | Literal["auto"] = 8
    drop_last: bool = True
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = 1e-4
    encoder_lr_factor: float = 1.0
    freeze_encoder: bool = False
    weight_decay: float = 0.0
    schedule: Literal["step", "poly", "cosine", "constant"] = "step"
    warmup: float = 0.0
    ema: float | None = None
    clip: float | None = None
    accumulate: int = 1
    validate_every: int = 10
    keep_best: bool = False
    patience: int | None = None
    scales: Sequence[float] = (1.0, 1.2, 1.5)
    flip: bool = True
    rotation: float = 0.0
    rescale: tuple[float, float] | None = None
    rescale_draw: Literal["log", "uniform"] = "log"
    border: Literal["unlabelled", "zero"] = "unlabelled"
    photometric: float = 0.0
    seed: int = 0
    precision: Literal["32", "bf16-mixed", "auto"] = "32"
    channels_last: bool = False
    compile: bool = False
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = 1
    sheets: int = 4
    report: bool = True
    start_from: str | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "validate_every", "patience", "devices"):
            value = getattr(self, name)
            check_at_least_one(**{f"training.{name}": None if value == "auto" else value})
        if self.rescale_draw != "log" and self.rescale is None:
            raise ValueError(f"training.rescale_draw {self.rescale_draw} belongs to training.rescale: give both")
        if self.border != "unlabelled" and self.rescale is None and not self.rotation:
            raise ValueError(
                f"training.border {self.border} belongs to training.rotation or training.rescale, which let a border in"
            )
        for name in ("weight_decay", "sheets"):
            check_not_negative(**{f"training.{name}": getattr(self, name)})
        for name in ("lr", "clip", "encoder_lr_factor"):
            check_positive(**{f"training.{name}": getattr(self, name)})
        if not self.scales or not all(1 <= scale < math.inf for scale in self.scales):
            found = ",".join(f"{scale:g}" for scale in self.scales)
            raise ValueError(f"training.scales should be one or more numbers of at least 1, as 1,1.2,1.5, not {found}")
        if not 0 <= self.rotation <= 180:
            raise ValueError(f"training.rotation should lie between 0 and 180 degrees, not {self.rotation}")
        if self.rescale is not None and not 0 < self.rescale[0] <= self.rescale[1] < math.inf:
            found = ",".join(f"{scale:g}" for scale in self.rescale)
            raise ValueError(
                f"training.rescale should be a smallest and a largest positive number, as 0.75,1.25, not {found}"
            )
        for name in ("warmup", "ema"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"training.{name} should lie between 0 and 1, not {value}")
        if not 0 <= self.photometric <= 1:
            raise ValueError(f"training.photometric should lie between 0 and 1, not {self.photometric}")
        if self.freeze_encoder and self.encoder_lr_factor != 1:
            raise ValueError("training.freeze_encoder leaves training.encoder_lr_factor without effect: use one")
        check_seed("training.seed", self.seed)


def check_seed(name: str, seed: int) -> None:
    """Refuse what a generator cannot take.

    Raises:
        ValueError: it is too large or too small.
    """
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"{name} should be a whole number of at most 63 bits, not {seed}")


def names(settings: type) -> list[str]:
    """The option names of a settings class; a data set of one's own has its `options` beside them."""
    return [field.name for field in fields(settings) if field.name != "options"]

"""Labels of a task of one's own: stored as those of a built-in type, and what they train is a class from a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from mtpsl.data.formats import FORMATS
from mtpsl.data.formats.base import Label, LabelFormat, Resized
from mtpsl.data.formats.stored import Stored
from mtpsl.errors import UserError
from mtpsl.plugins import CodeRecord, load_class, option_types, running
from mtpsl.tasks import TASKS, Task

SUPPLIED = ("name",)


@dataclass(frozen=True)
class OwnFormat(LabelFormat):
    """The format of a task whose class is one's own.

    Args:
        base: how its files are read.
        cls: the class, whose constructor takes those options of the base's task that it names.
        options: its further options.
    """

    base: LabelFormat
    cls: type[Task]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:  # type: ignore[override]
        """The task type whose labels these are."""
        return self.base.kind

    def task(self, name: str) -> Task:
        """The task of one's own.

        Raises:
            UserError: its constructor raises something.
        """
        known = option_types(self.cls, SUPPLIED)
        shared = {key: value for key, value in self.base.task(name).options().items() if key in known}
        with running(self.cls):
            return self.cls(name, **{**shared, **self.options})

    @property
    def suffix(self) -> str:  # type: ignore[override]
        """As the base."""
        return self.base.suffix

    def encode(self, target: Tensor, valid: Bool[Tensor, "h w"]) -> np.ndarray:
        """As the base."""
        return self.base.encode(target, valid)

    def decode(self, stored: np.ndarray, path: Path) -> Label:
        """As the base."""
        return self.base.decode(stored, path)

    def numbers(self, stored: Stored, path: Path) -> np.ndarray:
        """As the base."""
        return self.base.numbers(stored, path)

    def resize(self, target: Tensor, valid: Bool[Tensor, "h w"], size: tuple[int, int]) -> Resized:
        """As the base."""
        return self.base.resize(target, valid, size)


def own_task(name: str, path: Path) -> tuple[type[Task], str, list[str]]:
    """The class that a description names as FILE.py:Class, the type its labels are stored as, and its own options.

    Raises:
        UserError: as `load_class`; or it leaves open how its labels are stored.
    """
    cls = load_class(name, Task, CodeRecord(str(path)), supplied=SUPPLIED)  # type: ignore[type-abstract]
    types = {task: kind for kind, task in TASKS.items()}
    kind = getattr(cls, "label_type", None) or next((types[one] for one in cls.__mro__ if one in types), None)
    if kind not in FORMATS:
        raise UserError(
            f"{path}: {name} leaves open how its labels are stored: derive it from a type such as Regression, or give "
            f'the class label_type = "regression" (there are {", ".join(FORMATS)})'
        )
    shared = {*option_types(TASKS[kind], SUPPLIED), *getattr(FORMATS[kind], "__dataclass_fields__", {})}
    return cls, kind, [option for option in option_types(cls, SUPPLIED) if option not in shared]

"""Pictures of users: which files they mean, and their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from mtpsl.errors import UserError
from mtpsl.files import files_below
from mtpsl.pictures import SUFFIXES, picture_tensor, read_picture


@dataclass(frozen=True)
class Picture:
    """A file to predict and the name of its results: its path without suffix, within the folder that was given."""

    path: Path
    name: str


def find_pictures(
    paths: Path | Sequence[Path], skip: Sequence[Path] = (), passed_over: list[Path] | None = None
) -> list[Picture]:
    """The picture files that are meant; a folder stands for all pictures below it, hidden ones apart.

    Args:
        paths: files and folders.
        skip: folders whose pictures are results, not inputs.
        passed_over: takes the files of these folders that are no pictures.

    Raises:
        UserError: a path that does not exist, a file that is no picture, a folder without any, a result given as an
            input, or two files whose results would have one name.
    """
    found: dict[str, Picture] = {}
    results = [folder.resolve() for folder in skip]
    given = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not given:
        raise UserError("no picture given: name files or a folder")
    for path in given:
        if path.is_dir():
            pictures = pictures_below(path, results, [] if passed_over is None else passed_over)
        elif not path.exists():
            raise UserError(f"{path}: no such file or folder")
        elif path.suffix.lower() not in SUFFIXES:
            raise UserError(f"{path}: a picture should end in {', '.join(SUFFIXES)}")
        elif within(path, results):
            raise UserError(f"{path}: lies among the results: write them to another folder")
        else:
            pictures = [Picture(path, path.stem)]
        for picture in pictures:
            other = found.setdefault(picture.name, picture)
            if other.path.resolve() != picture.path.resolve():
                raise UserError(
                    f"{other.path} and {picture.path}: both results would be called {picture.name}: "
                    "predict them one by one into different folders"
                )
    return list(found.values())


def pictures_below(folder: Path, results: Sequence[Path], passed_over: list[Path]) -> list[Picture]:
    """All pictures in a folder and its sub-folders, sorted by path; other files are added to `passed_over`."""
    pictures = []
    for path in files_below(folder):
        inner = path.relative_to(folder)
        if within(path, results):
            continue
        if path.suffix.lower() in SUFFIXES:
            pictures.append(Picture(path, (inner.parent / inner.stem).as_posix()))
        else:
            passed_over.append(path)
    if not pictures:
        raise UserError(f"{folder}: no picture in this folder: there should be files that end in {', '.join(SUFFIXES)}")
    return pictures


def within(path: Path, folders: Sequence[Path]) -> bool:
    """Whether a file lies in one of these (resolved) folders."""
    return any(path.resolve().is_relative_to(folder) for folder in folders)


def read_image(path: Path) -> Float[Tensor, "3 h w"]:
    """A picture as RGB from 0 to 1, read as training reads it (`mtpsl.pictures`).

    Raises:
        UserError: the file cannot be read as a picture.
    """
    return picture_tensor(read_picture(path))

"""Which files a run was made with, by path and hash, and the copies of them in its folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mtpsl.errors import UserError
from mtpsl.files import write_atomically
from mtpsl.plugins.modules import IMPORTED, sha256

CODE = "code"
"""The key of the record in config.yaml, and the folder of the copies beside it."""


@dataclass(frozen=True)
class CodeRecord:
    """The files that something stored names.

    Args:
        where: what names them, for errors.
        hashes: the sha256 of each file by its path; a file that is not listed may have any content.
        copies: the folder that may hold copies.
    """

    where: str
    hashes: Mapping[str, str] = field(default_factory=dict)
    copies: Path | None = None

    def read(self, file: Path) -> tuple[Path, bytes]:
        """The file or else its copy, whichever has the content that is recorded.

        Raises:
            UserError: it is not there, or has been changed.
        """
        digest = self.hashes.get(str(file))
        copy = None if self.copies is None or digest is None else self.copies / copy_name(file, digest)
        found = [path for path in (file, copy) if path is not None and path.is_file()]
        if not found:
            beside = "" if copy is None else f", nor its copy {copy}: put one of them back, or name another file"
            raise UserError(f"{self.where}: {file}: there is no such file{beside}")
        for path in found:
            source = path.read_bytes()
            if digest is None or sha256(source) == digest:
                return path, source
        raise UserError(
            f"{self.where}: {found[0]} is not the file it was made with (its sha256 is not {str(digest)[:12]}...): put "
            f"the former content back, there or as {copy}, or train a new run"
        )


def copy_name(file: Path, digest: str) -> str:
    """Of the copy of a file in a run folder."""
    return f"{file.stem}-{digest[:8]}{file.suffix}"


def copy_code(hashes: Mapping[str, str], folder: Path) -> None:
    """Write copies of files that were run in this process into a folder, which is made where there are any."""
    sources = {one.digest: one.source for one in IMPORTED.values()}
    for file, digest in hashes.items():
        copy = folder / copy_name(Path(file), digest)
        if digest in sources and not (copy.is_file() and copy.read_bytes() == sources[digest]):
            write_atomically(copy, partial(Path.write_bytes, data=sources[digest]))


def named_code(classes: Iterable[type]) -> dict[str, str]:
    """The files of those classes that were named by file, with their hashes."""
    found = (IMPORTED.get(cls.__module__) for cls in classes)
    return {str(one.named): one.digest for one in found if one is not None}


def class_name(cls: type) -> str | None:
    """How a class that was named by file was named; None for any other."""
    imported = IMPORTED.get(cls.__module__)
    return None if imported is None else f"{imported.named}:{cls.__qualname__}"

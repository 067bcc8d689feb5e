"""Files: find those below a folder; write them, or a folder of them, whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mtpsl.errors import UserError, reason

LITTLE = 1 << 16
"""A disk with fewer bytes than this left is full."""

TEMPORARY = ".mtpsl-"
"""How the names of files begin that are not whole yet."""


def check_writable(path: Path, option: str) -> None:
    """Say before long work that a file cannot be written after it.

    Raises:
        UserError: it is a folder, or its folder cannot be made or written to.
    """
    cure = f"choose another {option}"
    if path.is_dir():
        raise UserError(f"{path} is a folder: give the name of a file, {cure}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            remove_remains(path.parent, path.stem)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): {cure}") from error


def at_home(path: str) -> str:
    """A path with the home folder in place of `~`, which shells leave in `--option=~/file` and YAML files have.

    >>> at_home("runs/~/first"), at_home("~nobody-of-this-name/first")
    ('runs/~/first', '~nobody-of-this-name/first')
    """
    return os.path.expanduser(path)


def user_folder() -> Path:
    """The folder for copies where none is named: `mtpsl` in the user's cache folder (`XDG_CACHE_HOME`)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mtpsl"


def files_below(folder: Path, around: tuple[tuple[int, int], ...] = ()) -> Iterator[Path]:
    """All files in a folder and its sub-folders, sorted by path, without hidden ones.

    Folders may be links; one that leads back to a folder around it (`around`: their devices and numbers) is not
    entered. A link to nothing counts as a file.
    """
    status = folder.stat()
    place = (status.st_dev, status.st_ino)
    if place in around:
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from files_below(path, (*around, place))
        else:
            yield path


def names_below(folder: str | os.PathLike[str], around: tuple[tuple[int, int], ...] = ()) -> Iterator[tuple[str, bool]]:
    """`files_below` for very many files: each path relative to the folder, with `/`, and whether it is a file.

    A link to nothing is none, as is a pipe. Only links are looked at one by one: for the others the folder tells.
    """
    status = os.stat(folder)
    place = (status.st_dev, status.st_ino)
    if place in around:
        return
    with os.scandir(folder) as entries:
        found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir():
            yield from ((f"{entry.name}/{name}", is_file) for name, is_file in names_below(entry, (*around, place)))
        else:
            yield entry.name, entry.is_file()


def leads_nowhere(path: Path) -> bool:
    """Whether a path is a link whose target is not there."""
    return path.is_symlink() and not path.exists()


def read_part(handle: int, path: Path, start: int, end: int) -> bytes:
    """Some bytes of an open file, whose name errors need.

    Raises:
        UserError: they cannot be read, or the file has become shorter.
    """
    try:
        content = os.pread(handle, end - start, start)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) < end - start:
        raise UserError(f"{path}: ends within an image: copy it again")
    return content


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step.

    The temporary file is locked for as long as this process lives, so that `remove_remains` knows those that were left.

    Raises:
        OSError: it cannot be written, with `path` as its file's name; nothing is left of it, and what was there stays.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "a.txt", lambda temporary: temporary.write_text("whole"))
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{TEMPORARY}{path.stem}-", suffix=path.suffix)
        temporary = Path(name)
        try:
            with suppress(OSError):  # some file systems have no locks: remains stay there
                fcntl.flock(handle, fcntl.LOCK_EX)
            with naming(path):  # while what was written fills the disk
                write(temporary)
            temporary.chmod(0o666 & ~current_umask())
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # a file system that became read-only
                temporary.unlink(missing_ok=True)
            os.close(handle)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors of the system name the file that was to be written, and not a temporary one or none.

    Raises:
        OSError: of the same kind; a write that was cut short, of which numpy tells no reason, on a full disk is ENOSPC.
    """
    try:
        yield
    except OSError as error:
        number, why = error.errno, error.strerror or str(error)
        if number is None and path.parent.is_dir() and shutil.disk_usage(path.parent).free < LITTLE:
            number, why = errno.ENOSPC, os.strerror(errno.ENOSPC)
        raise OSError(number, why, str(path)) from error


def remove_remains(folder: Path, stem: str | None = None) -> None:
    """Remove temporary files whose processes were killed while they wrote them.

    Args:
        folder: all below it, or
        stem: only those of a file of this name without suffix, in the folder itself.
    """
    for path in folder.rglob(f"{TEMPORARY}*") if stem is None else folder.glob(f"{TEMPORARY}{glob.escape(stem)}-*"):
        with suppress(OSError), path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while the one that writes it lives
            path.unlink()


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that takes its place when the block ends, and vanishes if the block fails.

    What an earlier, killed process left of it is removed.

    Raises:
        UserError: `out` is a file, holds files, or cannot be written.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not an empty folder: give another one or remove it")
    partial = out.with_name(f".{out.name}.partial")
    try:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        yield partial
        if out.exists():
            out.rmdir()
        os.replace(partial, out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {reason(error)}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def current_umask() -> int:
    """The process's file mode mask (the system has no call that only reads it)."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def sub_folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; none if it is not there."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))

"""A file as a module whose name holds the hash of its content, so that other processes import the very same."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

PACKAGE = "mtpsl.plugins"
VARIABLE = "MTPSL_CODE"
"""Tells the processes that this one starts where the file of a module lies; they run it to unpickle its objects."""


@dataclass(frozen=True)
class Imported:
    """A file that was run in this process: the path that named it (what was run may be a copy), hash and content."""

    named: Path
    digest: str
    source: bytes


IMPORTED: dict[str, Imported] = {}
"""By the name of the module."""


def sha256(source: bytes) -> str:
    """The hash by which a file is known."""
    return hashlib.sha256(source).hexdigest()


def module_name(file: Path, digest: str) -> str:
    """Of a file with this content; the same for a copy under the name that a run folder gives it."""
    stem = re.sub(r"-[0-9a-f]{8}$", "", file.stem)
    return f"{PACKAGE}.{re.sub(r'[^0-9A-Za-z_]', '_', stem)}_{digest[:20]}"


def import_file(file: Path, named: Path, source: bytes) -> ModuleType:
    """The module of a file, run once per content; whatever the file raises is raised.

    Args:
        file: what is run.
        named: the path to remember it by.
        source: its content.
    """
    digest = sha256(source)
    name = module_name(file, digest)
    if name not in sys.modules:
        os.environ[VARIABLE] = json.dumps({**known(), name: str(file)})
    module = importlib.import_module(name)
    IMPORTED[name] = IMPORTED.pop(name, Imported(named, digest, source))  # the last one asked for comes last
    return module


def is_imported(file: Path, digest: str) -> bool:
    """Whether this content was run in this process already."""
    return module_name(file, digest) in sys.modules


def known() -> dict[str, str]:
    """Where the files of modules lie."""
    return dict(json.loads(os.environ.get(VARIABLE, "{}")))


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{PACKAGE}.") or fullname not in known():
            return None
        return ModuleSpec(fullname, self, origin=known()[fullname])

    def exec_module(self, module: ModuleType) -> None:
        file = Path(known()[module.__name__])
        source = file.read_bytes()
        if module_name(file, sha256(source)) != module.__name__:
            raise ImportError(f"{file} was changed since it was read")
        module.__file__ = str(file)
        exec(compile(source, str(file), "exec"), module.__dict__)


sys.meta_path.append(_Finder())

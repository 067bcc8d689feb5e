"""YAML as people write it in the files that describe data: 1e-3 is a number."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from mtpsl.errors import UserError


class _Loader(yaml.SafeLoader):
    """A safe loader that reads 1e-3 and 1e3 as numbers, which YAML 1.1 takes for texts and YAML 1.2 does not."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def load_yaml(text: str) -> Any:
    """What a YAML text holds; nothing is executed.

    >>> load_yaml("{scale: 1e-3, name: e3}")
    {'scale': 0.001, 'name': 'e3'}
    """
    return yaml.load(text, Loader=_Loader)


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        UserError: it is not YAML.
    """
    try:
        return load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error

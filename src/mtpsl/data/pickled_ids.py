"""Lists of image names out of a pickled `.npy` file, without letting the pickle call anything."""

from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

MAGIC = b"\x93NUMPY"


def read_pickled_ids(path: Path) -> dict[str, list[str]]:
    """The content of `numpy.save(path, {task: [image, ...]})`.

    Texts, lists and dictionaries are what they are; numpy's texts and arrays of texts are put together here, by
    classes that only take bytes apart. Whatever else the file asks for ends the reading before it is looked up.

    Raises:
        Exception: of any kind; the file is damaged or holds something else.
    """
    raw = path.read_bytes()
    if raw[:6] != MAGIC:
        raise ValueError("it is not a .npy file")
    width = 2 if raw[6] == 1 else 4  # bytes of the header's length, since version 2 of the format
    start = 8 + width + int.from_bytes(raw[8 : 8 + width], "little")
    if b"O" not in raw[8 + width : start]:
        raise ValueError("it is an array of numbers or texts")
    content = _Unpickler(BytesIO(raw[start:])).load()
    if isinstance(content, _Array):
        content = content.items[0] if len(content.items) == 1 else content.items
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ValueError("it is no dictionary of tasks")
    return {str(name): _texts(name, images) for name, images in content.items()}


def _texts(name: str, images: Any) -> list[str]:
    if isinstance(images, _Array):
        images = images.items
    if not isinstance(images, list | tuple | set) or not all(isinstance(image, str) for image in images):
        raise ValueError(f"{name!r} should hold a list of image names")
    return list(images)


class _StandIn:
    """Takes numpy's place; also keeps a pickle from changing the attributes of these classes."""

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("unexpected state")


class _Dtype(_StandIn):
    """`numpy.dtype("<U11")`."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def text(self, data: bytes) -> str:
        """A text out of its four bytes per character."""
        if not self.code.startswith("U"):
            raise pickle.UnpicklingError(f"a value of type {self.code!r} is no text")
        return data.decode("utf-32-be" if self.order == ">" else "utf-32-le").rstrip("\0")


class _Scalar(_StandIn):
    """`numpy.str_`."""

    def __new__(cls, dtype: _Dtype, data: bytes) -> str:  # type: ignore[misc]
        return dtype.text(data)


class _Array(_StandIn):
    """`numpy.ndarray`: its items, in one list."""

    items: list[Any]

    def __new__(cls, *arguments: Any) -> _Array:
        array = super().__new__(cls)
        array.items = []
        return array

    def __setstate__(self, state: Any) -> None:
        _, _, dtype, _, data = state
        if isinstance(data, bytes):
            size = 4 * int(dtype.code[1:])
            data = [dtype.text(data[start : start + size]) for start in range(0, len(data), size)]
        self.items = list(data)


class _Unpickler(pickle.Unpickler):
    known = {
        ("numpy", "dtype"): _Dtype,
        ("numpy", "ndarray"): _Array,
        **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
        **{(f"numpy.{core}.multiarray", "scalar"): _Scalar for core in ("core", "_core")},
    }

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in for what numpy needs for texts; nothing else."""
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(f"it asks for {f'{module}.{name}'[:60]!r}")
        return self.known[module, name]

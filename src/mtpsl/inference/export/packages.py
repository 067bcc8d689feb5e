"""The packages that only ONNX files need."""

from __future__ import annotations

from importlib.util import find_spec

from mtpsl.errors import UserError

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def need_packages() -> None:
    """Refuse early where one is missing.

    Raises:
        UserError: one is.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(f".onnx needs {' and '.join(missing)}: pip install 'mtpsl[export]' brings all it takes")

"""How each type of label is stored in a file, and how it becomes a target with its valid pixels.

Open `base.py` first: a format is a frozen dataclass whose fields are the keys of a task in dataset.yaml. `classes.py`,
`binary.py`, `geometry.py`, `multilabel.py` and `regression.py` have one per type of task. Below them, `stored.py` reads
the numbers of a picture or array as they are, `files.py` changes their size, and `meanings.py`, `palettes.py` and
`class_names.py` say what numbers and colors may mean. No data set is known here.
"""

from __future__ import annotations

from mtpsl.data.formats.base import LabelFormat
from mtpsl.data.formats.binary import EdgesFormat, SaliencyFormat
from mtpsl.data.formats.classes import HumanPartsFormat, SegmentationFormat
from mtpsl.data.formats.geometry import DepthFormat, NormalsFormat
from mtpsl.data.formats.multilabel import MultiLabelFormat
from mtpsl.data.formats.regression import RegressionFormat

FORMATS: dict[str, type[LabelFormat]] = {
    "segmentation": SegmentationFormat,
    "depth": DepthFormat,
    "normals": NormalsFormat,
    "edges": EdgesFormat,
    "saliency": SaliencyFormat,
    "human_parts": HumanPartsFormat,
    "regression": RegressionFormat,
    "multilabel": MultiLabelFormat,
}

__all__ = [
    "FORMATS",
    "DepthFormat",
    "EdgesFormat",
    "HumanPartsFormat",
    "MultiLabelFormat",
    "NormalsFormat",
    "RegressionFormat",
    "SaliencyFormat",
    "SegmentationFormat",
]

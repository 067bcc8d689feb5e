"""How each type of label is stored in a file, and how it becomes a target with its valid pixels."""

from __future__ import annotations

from mtpsl.data.binary_formats import EdgesFormat, SaliencyFormat
from mtpsl.data.class_formats import HumanPartsFormat, SegmentationFormat
from mtpsl.data.geometry_formats import DepthFormat, NormalsFormat
from mtpsl.data.label_format import LabelFormat
from mtpsl.data.multilabel_formats import MultiLabelFormat
from mtpsl.data.regression_formats import RegressionFormat

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

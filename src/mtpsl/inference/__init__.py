"""Prediction on pictures of any size."""

from mtpsl.inference.canvas import Prediction
from mtpsl.inference.exportable import Exportable
from mtpsl.inference.images import ImageLike
from mtpsl.inference.predict import Predictor
from mtpsl.inference.reading import find_pictures, read_image
from mtpsl.inference.sizes import TrainingSizes
from mtpsl.inference.writing import PredictionSummary

__all__ = [
    "Exportable",
    "ImageLike",
    "Prediction",
    "PredictionSummary",
    "Predictor",
    "TrainingSizes",
    "find_pictures",
    "read_image",
]

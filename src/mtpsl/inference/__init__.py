"""Prediction on pictures of any size."""

from mtpsl.inference.predict import Predictor
from mtpsl.inference.reading import read_image
from mtpsl.inference.writing import PredictionSummary

__all__ = ["PredictionSummary", "Predictor", "read_image"]

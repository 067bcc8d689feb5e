"""What a folder of somebody's own images and labels seems to hold, as a dataset.yaml to look through."""

from mtpsl.data.guess.writing import Guessed, describe_folder

__all__ = ["Guessed", "describe_folder"]

"""Data sets, label regimes, augmentation and loading."""

from torch.utils.data import Dataset

from mtpsl.data.augment import Augmentation
from mtpsl.data.check import check_dataset
from mtpsl.data.description import Description, read_description
from mtpsl.data.folder import FolderDataset
from mtpsl.data.labels import label_mask, validate_for_training
from mtpsl.data.loading import EpochSampler, make_loader
from mtpsl.data.partial import LabelledDataset, PartialDataset
from mtpsl.data.report import DatasetReport
from mtpsl.data.scenes import ScenesDataset, write_scenes
from mtpsl.structures import Sample

DATASETS: dict[str, type[Dataset[Sample]]] = {
    "folder": FolderDataset,
    "scenes": ScenesDataset,
}

__all__ = [
    "DATASETS",
    "Augmentation",
    "DatasetReport",
    "Description",
    "EpochSampler",
    "FolderDataset",
    "LabelledDataset",
    "PartialDataset",
    "ScenesDataset",
    "check_dataset",
    "label_mask",
    "make_loader",
    "read_description",
    "validate_for_training",
    "write_scenes",
]

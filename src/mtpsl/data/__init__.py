"""Data sets, label regimes, augmentation and loading."""

from collections.abc import Callable

from mtpsl.data.augment import Augmentation
from mtpsl.data.base import LabelledDataset, StoredDataset
from mtpsl.data.check import check_dataset
from mtpsl.data.description import Description, read_description
from mtpsl.data.folder import FolderDataset
from mtpsl.data.labels import label_mask, validate_for_training
from mtpsl.data.loading import EpochSampler, make_loader
from mtpsl.data.partial import PartialDataset
from mtpsl.data.report import DatasetReport
from mtpsl.data.scenes import ScenesDataset, write_scenes

#: layouts on disk by name: `DATASETS[name](root, split, size=None, tasks=None, ...)`
DATASETS: dict[str, Callable[..., StoredDataset]] = {
    "folder": FolderDataset,
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
    "StoredDataset",
    "check_dataset",
    "label_mask",
    "make_loader",
    "read_description",
    "validate_for_training",
    "write_scenes",
]

"""Data sets, label regimes, augmentation and loading."""

from collections.abc import Callable

from mtpsl.data.augment import Augmentation
from mtpsl.data.base import LabelledDataset, PictureDataset, StoredDataset
from mtpsl.data.check import check_dataset
from mtpsl.data.cityscapes import Cityscapes
from mtpsl.data.cityscapes_mtan import CityscapesMTAN
from mtpsl.data.convert import convert_dataset
from mtpsl.data.description import Description, read_description
from mtpsl.data.folder import FolderDataset
from mtpsl.data.labels import label_mask, validate_for_training
from mtpsl.data.layouts import recognize
from mtpsl.data.loading import make_loader
from mtpsl.data.merged import MergedDataset
from mtpsl.data.nyud import NYUD
from mtpsl.data.nyuv2 import NYUv2
from mtpsl.data.nyuv2_raw import NYUv2Raw
from mtpsl.data.packed import PackedDataset
from mtpsl.data.partial import PartialDataset
from mtpsl.data.pascal import PascalContext
from mtpsl.data.report import DatasetReport
from mtpsl.data.sampler import EpochSampler
from mtpsl.data.scenes import ScenesDataset, write_scenes
from mtpsl.data.taskonomy import Taskonomy

#: layouts on disk by name: `DATASETS[name](root, split, size=None, tasks=None, ...)`
DATASETS: dict[str, Callable[..., StoredDataset]] = {
    "folder": FolderDataset,
    "packed": PackedDataset,
    "merged": MergedDataset,
    "cityscapes_mtan": CityscapesMTAN,
    "cityscapes": Cityscapes,
    "nyuv2": NYUv2,  # after cityscapes_mtan: without normals the two cannot be told apart
    "nyuv2_raw": NYUv2Raw,
    "nyud": NYUD,
    "pascal": PascalContext,
    "taskonomy": Taskonomy,
}

__all__ = [
    "DATASETS",
    "NYUD",
    "Augmentation",
    "Cityscapes",
    "CityscapesMTAN",
    "DatasetReport",
    "Description",
    "EpochSampler",
    "FolderDataset",
    "LabelledDataset",
    "MergedDataset",
    "NYUv2",
    "NYUv2Raw",
    "PackedDataset",
    "PartialDataset",
    "PascalContext",
    "PictureDataset",
    "ScenesDataset",
    "StoredDataset",
    "Taskonomy",
    "check_dataset",
    "convert_dataset",
    "label_mask",
    "make_loader",
    "read_description",
    "recognize",
    "validate_for_training",
    "write_scenes",
]

"""Data sets and which of their labels a run sees.

Open `base.py` first: a `LabelledDataset` has keys, tasks, which labels exist, and samples. `registry.py` lists the
layouts and recognizes them; `regimes.py` and `label_lists.py` choose the labels that a run may see, `partial.py` hides
the others; `loading.py`, `labelled_batches.py`, `sampler.py` and `windows.py` make batches; `cache.py` keeps images in
memory.
Rooms: `layouts/` (own folders, packed, sharded and merged sets), `published/` (one file per published layout),
`formats/` (how one kind of file becomes a label), `scenes/` (built-in rooms), `check/`, `convert/` and `guess/` (three
commands).
"""

from mtpsl.data.base import LabelledDataset, PictureDataset, StoredDataset
from mtpsl.data.check import check_dataset
from mtpsl.data.check.report import DatasetReport
from mtpsl.data.convert import convert_dataset
from mtpsl.data.layouts.description import Description, read_description
from mtpsl.data.layouts.folder import FolderDataset
from mtpsl.data.layouts.merged import MergedDataset
from mtpsl.data.layouts.packed import PackedDataset
from mtpsl.data.layouts.shards import ShardsDataset
from mtpsl.data.loading import make_loader
from mtpsl.data.partial import PartialDataset
from mtpsl.data.published.cityscapes import Cityscapes
from mtpsl.data.published.cityscapes_mtan import CityscapesMTAN
from mtpsl.data.published.nyud import NYUD
from mtpsl.data.published.nyuv2 import NYUv2
from mtpsl.data.published.nyuv2_raw import NYUv2Raw
from mtpsl.data.published.pascal import PascalContext
from mtpsl.data.published.taskonomy import Taskonomy
from mtpsl.data.regimes import label_mask, validate_for_training
from mtpsl.data.registry import DATASETS, recognize
from mtpsl.data.sampler import EpochSampler
from mtpsl.data.scenes import ScenesDataset, write_scenes

__all__ = [
    "DATASETS",
    "NYUD",
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
    "ShardsDataset",
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

"""Small trees in the layouts of the published data sets, with pictures that compress about as photographs do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import yaml
from PIL import Image
from scipy.io import savemat

Size = tuple[int, int]
#: files of label numbers in Cityscapes that are a class of both 7 and 19
CITY_LABELS = (0, 7, 8, 11, 17, 21, 23, 24, 26)


class Scene:
    """One random image with all kinds of labels, smooth as real ones are."""

    def __init__(self, size: Size, random: np.random.Generator) -> None:
        self.size = size
        colors = np.stack([smooth(size, random) for _ in range(3)], -1)
        self.picture = np.clip(255 * colors + random.normal(0, 3, (*size, 3)), 0, 255).astype(np.uint8)
        self.depth = (0.5 + 8 * smooth(size, random)).astype(np.float32)
        self.depth[smooth(size, random) < 0.1] = 0
        self.regions = (smooth(size, random) * 13).astype(np.int64).clip(-1, 12)
        slope = np.stack([smooth(size, random) - 0.5, smooth(size, random) - 0.5, np.full(size, 0.5)], -1)
        self.normals = slope / np.linalg.norm(slope, axis=2, keepdims=True)
        self.edges = np.zeros(size, np.uint8)
        self.edges[:, 1:] |= self.regions[:, 1:] != self.regions[:, :-1]

    @property
    def coded_normals(self) -> np.ndarray:
        """2 v / 255 - 1."""
        return np.round((self.normals + 1) * 127.5).astype(np.uint8)


def smooth(size: Size, random: np.random.Generator) -> np.ndarray:
    """A random field from 0 to 1."""
    coarse = Image.fromarray(random.random((max(2, size[0] // 24), max(2, size[1] // 24))).astype(np.float32))
    return np.clip(np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC)), 0, 1)


def save(path: Path, array: np.ndarray) -> None:
    """Write a picture, an array or a MATLAB file by the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)


def write_folder(root: Path, split: str, scenes: list[Scene]) -> None:
    """PNG files and a dataset.yaml."""
    for index, scene in enumerate(scenes):
        files = {
            "image": scene.picture,
            "segmentation": scene.regions.astype(np.uint8),
            "depth": np.round(scene.depth * 1000).astype(np.uint16),
            "normals": scene.coded_normals,
        }
        for kind, array in files.items():
            save(root / split / kind / f"{index:04}.png", array)
    tasks = {"segmentation": {"classes": 13, "ignore": 255}, "depth": {"scale": 0.001}, "normals": {}}
    (root / "dataset.yaml").write_text(yaml.safe_dump({"name": "folder", "tasks": tasks}, sort_keys=False))


def write_nyuv2(root: Path, split: str, scenes: list[Scene]) -> None:
    """The layout of the MTAN code."""
    for index, scene in enumerate(scenes):
        save(root / split / "image" / f"{index}.npy", scene.picture / 255.0)
        save(root / split / "label" / f"{index}.npy", scene.regions.astype(np.float64))
        save(root / split / "depth" / f"{index}.npy", scene.depth[..., None].astype(np.float64))
        save(root / split / "normal" / f"{index}.npy", scene.normals)


def write_nyuv2_raw(root: Path, split: str, scenes: list[Scene]) -> None:
    """MATLAB files; both splits have the same rows."""
    root.mkdir(parents=True, exist_ok=True)
    arrays = {
        "images": np.stack([scene.picture for scene in scenes], -1),
        "depths": np.stack([scene.depth for scene in scenes], -1),
        "labels": np.stack([scene.regions + 1 for scene in scenes], -1).astype(np.uint16),
    }
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array.T, compression="gzip", chunks=(1, *array.T.shape[1:]))
    rows = np.arange(1.0, len(scenes) + 1)[:, None]
    savemat(root / "splits.mat", {"trainNdxs": rows, "testNdxs": rows})
    savemat(root / "classMapping40.mat", {"mapClass": (1 + np.arange(894) % 40)[None].astype(np.float64)})


def write_nyud(root: Path, split: str, scenes: list[Scene]) -> None:
    """The multi-task layout, with arrays where there are two variants."""
    keys = [f"{split}{index:04}" for index in range(len(scenes))]
    for key, scene in zip(keys, scenes, strict=True):
        save(root / "images" / f"{key}.jpg", scene.picture)
        save(root / "segmentation" / f"{key}.png", (scene.regions + 1).astype(np.uint8))
        save(root / "depth" / f"{key}.npy", scene.depth)
        save(root / "normals" / f"{key}.npy", scene.normals.astype(np.float32))
        save(root / "edge" / f"{key}.npy", scene.edges.astype(np.float32))
    (root / "gt_sets").mkdir(exist_ok=True)
    (root / "gt_sets" / f"{split}.txt").write_text("\n".join(keys))


def write_cityscapes_mtan(root: Path, split: str, scenes: list[Scene]) -> None:
    """The layout of the MTAN code."""
    for index, scene in enumerate(scenes):
        save(root / split / "image" / f"{index}.npy", scene.picture / 255.0)
        save(root / split / "label_7" / f"{index}.npy", np.minimum(scene.regions, 6).astype(np.float64))
        save(root / split / "label_19" / f"{index}.npy", scene.regions.astype(np.float64))
        save(root / split / "depth" / f"{index}.npy", scene.depth[..., None] * 0.05)


def write_cityscapes(root: Path, split: str, scenes: list[Scene]) -> None:
    """The official layout."""
    labels = np.array(CITY_LABELS, np.uint8)
    for index, scene in enumerate(scenes):
        stem = f"city/city_000000_{index:06}"
        save(root / "leftImg8bit" / split / f"{stem}_leftImg8bit.png", scene.picture)
        save(root / "gtFine" / split / f"{stem}_gtFine_labelIds.png", labels[scene.regions.clip(0, len(labels) - 1)])
        save(root / "disparity" / split / f"{stem}_disparity.png", np.round(scene.depth * 2000).astype(np.uint16))


def write_taskonomy(root: Path, split: str, scenes: list[Scene]) -> None:
    """A folder per task and a list of buildings."""
    for index, scene in enumerate(scenes):
        kinds = {
            "rgb": ("rgb", scene.picture),
            "depth_zbuffer": ("depth_zbuffer", np.round(scene.depth * 512).astype(np.uint16)),
            "normal": ("normal", scene.coded_normals),
            "segment_semantic": ("segmentsemantic", (scene.regions + 1).astype(np.uint8)),
        }
        for folder, (domain, array) in kinds.items():
            save(root / folder / "taskonomy" / split / f"point_{index}_view_0_domain_{domain}.png", array)
    (root / "train_val_test_tiny.csv").write_text("id,train,val,test\ntrain,1,0,0\nval,0,1,0\n")


def write_pascal(root: Path, split: str, scenes: list[Scene]) -> None:
    """The multi-task release; every image shows a person with a head and a torso."""
    keys = [f"{split}_{index:06}" for index in range(len(scenes))]
    fields = [(field, object) for field in ("class", "class_ind", "mask", "parts")]
    for key, scene in zip(keys, scenes, strict=True):
        save(root / "JPEGImages" / f"{key}.jpg", scene.picture)
        save(root / "semseg" / "VOC12" / f"{key}.png", np.where(scene.regions < 0, 255, scene.regions).astype(np.uint8))
        save(root / "normals_distill" / f"{key}.png", scene.coded_normals)
        save(root / "sal_distill" / f"{key}.png", (scene.depth > 4).astype(np.uint8) * 255)
        head, torso = (scene.regions == 3).astype(np.uint8), (scene.regions == 5).astype(np.uint8)
        parts = np.empty((1, 2), [("part_name", object), ("mask", object)])
        parts[0, 0], parts[0, 1] = ("head", head), ("torso", torso)
        persons = np.empty((1, 1), fields)
        persons[0, 0] = ("person", 15.0, head | torso, parts)
        for folder, content in {
            "human_parts": {"anno": {"imname": key, "objects": persons}},
            "pascal-context/trainval": {"LabelMap": (scene.regions + 284).astype(np.uint16)},
        }.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            savemat(root / folder / f"{key}.mat", content, do_compression=True)
    (root / "ImageSets" / "Context").mkdir(parents=True, exist_ok=True)
    (root / "ImageSets" / "Context" / f"{split}.txt").write_text("\n".join(keys))


#: how a tree is written, and its images' usual size
TREES: dict[str, tuple[Callable[[Path, str, list[Scene]], None], Size]] = {
    "folder": (write_folder, (288, 384)),
    "nyuv2": (write_nyuv2, (288, 384)),
    "nyuv2_raw": (write_nyuv2_raw, (480, 640)),
    "nyud": (write_nyud, (480, 640)),
    "cityscapes_mtan": (write_cityscapes_mtan, (128, 256)),
    "cityscapes": (write_cityscapes, (1024, 2048)),
    "taskonomy": (write_taskonomy, (512, 512)),
    "pascal": (write_pascal, (375, 500)),
}


def write_tree(
    root: Path, name: str, count: int, size: Size | None = None, splits: tuple[str, ...] = ("train",)
) -> Path:
    """A tree of a layout with random images."""
    write, usual = TREES[name]
    random = np.random.default_rng(0)
    for split in splits:
        write(root, split, [Scene(size or usual, random) for _ in range(count)])
    return root

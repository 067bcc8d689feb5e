"""Labels that follow from others of the same image: normals from depth and the camera, edges from segmentation.

Open `base.py` first: a `Relation` makes a label of one task from that of another. `description.py` reads what a
dataset.yaml says of it (`normals: {from: depth}`), `views.py` its `camera`; `opened.py` opens both for a split. No
relation knows a data set: which labels may be used is decided in `mtpsl.data.partial`. `depth_normals.py` has the
geometry.
"""

from mtpsl.data.relations.base import Relation
from mtpsl.data.relations.edges import EdgesFromSegmentation
from mtpsl.data.relations.normals import NormalsFromDepth

#: relations by the task type of the label that they make
RELATIONS: dict[str, type[Relation]] = {
    "normals": NormalsFromDepth,
    "edges": EdgesFromSegmentation,
}

__all__ = ["RELATIONS", "EdgesFromSegmentation", "NormalsFromDepth", "Relation"]

"""Predictions of two tasks that have to agree because one follows from the other: what every objective can add.

Open `terms.py` first; `base.py` says what a relation is, `class_edges.py` has edges from segmentation,
`depth_normals.py` normals from depth and `planes.py` their geometry.
"""

from mtpsl.objectives.known_relations.base import KnownRelation
from mtpsl.objectives.known_relations.class_edges import EdgesOfClasses
from mtpsl.objectives.known_relations.depth_normals import NormalsOfDepth
from mtpsl.objectives.known_relations.options import RelationOptions
from mtpsl.objectives.known_relations.terms import RelationTerms

__all__ = ["EdgesOfClasses", "KnownRelation", "NormalsOfDepth", "RelationOptions", "RelationTerms"]

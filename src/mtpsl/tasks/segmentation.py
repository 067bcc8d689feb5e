"""Semantic segmentation."""

from __future__ import annotations

from mtpsl.tasks.class_map import ClassMap


class Segmentation(ClassMap):
    """Semantic segmentation; the arguments are those of `ClassMap`."""

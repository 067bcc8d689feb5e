"""Readers of published data sets as they lie on the disk after unpacking; one file per layout.

Open `nyud.py` first (pictures that a list names), or `nyuv2.py` (numbered arrays): files, classes, a format per task.
`*_classes.py` are the class tables, `numbered.py` reads folders of numbered arrays, `listing.py` finds the files that
a list names, `matlab.py` reads .mat files, and `label_cache.py` keeps labels that take long to compute. A reader turns
a set's own marks for "unknown" into `valid` and knows no other data set.
"""

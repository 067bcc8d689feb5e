"""Readers of published data sets as they lie on the disk after unpacking; one file per layout.

Open `nyuv2.py` first, the shortest: it names its files, its classes and a format per task. `*_classes.py` are the
class tables, `numbered.py` reads folders of numbered arrays, `listing.py` finds the files that a list names,
`matlab.py` reads .mat files, and `label_cache.py` keeps labels that
take long to compute. A reader turns a set's own marks for "unknown" into `valid` and knows no other data set.
"""

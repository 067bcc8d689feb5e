"""Readers of mtpsl's own layouts: folders of one's own, packed sets, sets in shards, and several sets as one.

Open `folder.py` first: a folder of images and folders of labels. `description.py` reads the dataset.yaml that describes
it, with `places.py` (where images and labels lie), `hash_split.py` (splits by a hash of names) and, for the tasks,
`mtpsl.data.formats`; `folder_files.py` finds the files of a split. `packed.py` reads what `mtpsl convert` writes, one
file of bytes per split (`records.py` has the bytes of one image), or `shards.py`, many files of many images
(`shard_index.py`: what lies where, `shard_files.py`: those that are open,
`shard_fetching.py`: those that lie elsewhere); `merged.py` reads a merged.yaml
(`merged_description.py`) that names further sets and matches their tasks. Published sets in the form in which they are
downloaded are in `published/`, and `mtpsl.data.registry` recognizes which layout a folder has.
"""

"""Built-in rooms with exact labels, drawn from a seed: what `mtpsl demo` trains on and `mtpsl scenes` writes.

Open `dataset.py` first. `room.py` draws a room from a generator and sets it up with `furniture.py`; `raycast.py`
and `solids.py` find what each ray of a camera hits; `render.py` turns the hits into an image and its labels, with the
surfaces of `patterns.py`; `files.py` says how labels are stored on disk. Nothing here knows other data sets.
"""

from mtpsl.data.scenes.dataset import ScenesDataset, render_once, write_scenes

__all__ = ["ScenesDataset", "render_once", "write_scenes"]

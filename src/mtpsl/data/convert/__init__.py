"""Data sets written anew in a form that is read quickly: `mtpsl convert`.

Open `converter.py` first: `convert_dataset` reads any layout, split by split, and hands its samples to a writer
(`writers.py`: `packed` or `folder`; `shard_writer.py`: `shards`). What is written reads back as it was to the last bit,
which `formats/lossless.py` sees to, and says what it was made from (`provenance.py`), so that a changed source is
noticed and an interrupted conversion goes on where it was. A new form is a writer here and a reader in `layouts/`.
"""

from mtpsl.data.convert.converter import WRITERS, convert_dataset

__all__ = ["WRITERS", "convert_dataset"]

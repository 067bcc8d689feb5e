"""What a data set holds, what is wrong with it, and what to train on it: `mtpsl check`.

Open `checker.py` first: `check_dataset` reads every file once and returns a `DatasetReport` (`report.py`) with counts,
errors and notes. `statistics.py` has what is counted for each kind of task, `variety.py` finds labels that teach
nothing (one class everywhere), `training_advice.py` makes the notes on sizes and the command to train with. A new kind
of task adds a class to `statistics.py`; all else follows from the registry of tasks.
"""

from mtpsl.data.check.checker import check_dataset
from mtpsl.data.check.report import DatasetReport

__all__ = ["DatasetReport", "check_dataset"]

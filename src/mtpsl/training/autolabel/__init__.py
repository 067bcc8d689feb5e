"""A data set in which the predictions of a run fill labels that are missing.

`write.py` puts the folder together (open this first), `plan.py` decides which labels are missing and which are copied,
`predict.py` predicts and keeps what is sure.
"""

from mtpsl.training.autolabel.write import autolabel

__all__ = ["autolabel"]

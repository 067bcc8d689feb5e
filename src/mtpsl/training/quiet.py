"""Lightning's remarks that do not concern a user of this package."""

from __future__ import annotations

import logging
import warnings

REMARKS = (
    ".*does not have many workers.*",  # cached images need none
    ".*smaller than the logging interval.*",
    ".*overridden `transfer_batch_to_device`.*",
    ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning 2.6 with torch 2.15
    ".*weights_only.*",
    ".*It is recommended to use `self.log.*sync_dist.*",  # metrics are summed over processes before they are logged
    ".*checkpoint directory.*exists and is not empty.*",
)


def quiet_lightning() -> None:
    """Silence remarks about hardware, workers and Lightning's own deprecations; real warnings stay."""
    for message in REMARKS:
        warnings.filterwarnings("ignore", message=message)
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)

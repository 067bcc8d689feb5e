"""From what the rays met to a picture: patterns, light, shadows and a camera's blur and noise."""

from __future__ import annotations

import numpy as np

F = np.ndarray  # shorthand



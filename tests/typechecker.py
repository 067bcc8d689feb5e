"""The checker of types and shapes in tests: beartype, for which a whole number will do where a float is asked for."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))

"""Output where a terminal or a log file cannot show every character."""

from __future__ import annotations

import codecs
import io

PLAIN = {
    "↑": "^",
    "↓": "v",
    "–": "-",
    "—": "-",
    "−": "-",
    "±": "+-",
    "Δ": "D",
    "°": " deg",
    "→": "->",
    "×": "x",
    "…": ".",
}
"""What stands for a character that the output's encoding lacks; a question mark for all others."""


def plain(error: UnicodeError) -> tuple[str, int]:
    """An error handler that writes what cannot be encoded in plain letters.

    >>> codecs.register_error("mtpsl.plain", plain)
    >>> "ΔMTL ↑ 3 ± 1".encode("ascii", "mtpsl.plain")
    b'DMTL ^ 3 +- 1'
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(character, "?") for character in error.object[error.start : error.end]), error.end


def make_safe(*streams: object) -> None:
    """Let streams write any text, whatever their encoding (file names may hold what even UTF-8 cannot write)."""
    codecs.register_error("mtpsl.plain", plain)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="mtpsl.plain")

"""What a request asks for behind `?`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

SWITCH = {"0": False, "1": True, "false": False, "true": True}


@dataclass(frozen=True)
class Query:
    """What an answer should hold.

    Args:
        tasks: their names.
        confidence: also the probability of what was chosen, of tasks that choose.
    """

    tasks: Sequence[str]
    confidence: bool = False


def read_query(given: QueryParams, known: Sequence[str]) -> Query:
    """`?tasks=depth,normals&confidence=1`; by default all tasks, without confidence.

    Raises:
        HTTPException: a name or a value is unknown.
    """
    for name in given:
        if name not in ("tasks", "confidence"):
            raise HTTPException(400, f"{name!r} is unknown: ?tasks=NAME,NAME and confidence=1 can be asked for")
    tasks = given["tasks"].split(",") if "tasks" in given else list(known)
    for name in tasks:
        if name not in known:
            raise HTTPException(400, f"tasks should be among {', '.join(known)}, not {name!r}")
    confidence = given.get("confidence", "0").lower()
    if confidence not in SWITCH:
        raise HTTPException(400, f"confidence should be 0 or 1, not {confidence!r}")
    return Query(tasks, SWITCH[confidence])

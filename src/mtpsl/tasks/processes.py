"""Work on numpy arrays shared out over processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

Result = TypeVar("Result")


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def starmap(function: Callable[..., Result], items: Sequence[tuple[Any, ...]], processes: int) -> list[Result]:
    """`[function(*item) for item in items]`, every process taking each so-manieth item.

    Processes are forked, so `items` need not be copied and nothing is imported again; a child must not use torch. It
    ends with its share, also when its parent was killed. Where forking is not safe (not on Linux, or in a process that
    may have no children) this process does all, and also the share of a child that died.
    """
    processes = min(processes, len(items))
    if processes < 2 or sys.platform != "linux" or multiprocessing.current_process().daemon:
        return [function(*item) for item in items]
    context = multiprocessing.get_context("fork")
    children = []
    for first in range(1, processes):
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_work, args=(function, items[first::processes], receiver, sender), daemon=True)
        with warnings.catch_warnings():  # Python 3.12 warns of threads: the child runs none of their code
            warnings.simplefilter("ignore", DeprecationWarning)
            child.start()
        sender.close()
        children.append((child, receiver))
    shares = [[function(*item) for item in items[::processes]]]
    for first, (child, receiver) in enumerate(children, start=1):
        try:
            shares.append(receiver.recv())
        except EOFError:
            shares.append([function(*item) for item in items[first::processes]])
        receiver.close()
        child.join()
    return [shares[place % processes][place // processes] for place in range(len(items))]


def _work(
    function: Callable[..., Result], items: Sequence[tuple[Any, ...]], receiver: Connection, sender: Connection
) -> None:
    receiver.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says that it was interrupted
    # what the parent would do on SIGTERM is not this process' business
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    results = [function(*item) for item in items]
    with suppress(BrokenPipeError):  # the parent is gone
        sender.send(results)

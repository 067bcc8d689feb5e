"""A progress bar for what is usually quick."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import Progress


class LateProgress:
    """A bar on the error stream that appears once the work has lasted two seconds, and goes when it is done.

    Args:
        title: what is being done.
        total: how many steps there are.
        after: seconds until it appears.
    """

    def __init__(self, title: str, total: int, *, after: float = 2.0) -> None:
        self.title, self.total, self.done = title, total, 0
        self.start = time.monotonic() + after
        self.bar: Progress | None = None

    def advance(self) -> None:
        """One step is done."""
        self.done += 1
        if self.bar is None and time.monotonic() >= self.start:
            self.bar = Progress(console=Console(stderr=True), transient=True)
            self.job = self.bar.add_task(self.title, total=self.total)
            self.bar.start()
        if self.bar is not None:
            self.bar.update(self.job, completed=self.done)

    def __enter__(self) -> LateProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

"""How far work is: bars by tqdm where that is installed (in notebooks too), else lines on stderr."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol, TextIO, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Whoever wants to be told instead: called in the thread that called lowbit; an exception ends the work."""

    def stage(self, name: str, total: "int | None") -> None:
        """Another stage begins, of so many steps."""

    def advance(self, steps: int) -> None:
        """So many more steps of it are done."""

    def say(self, text: str) -> None:
        """How it is doing, such as its loss."""

    def note(self, text: str) -> None:
        """A fact that will be in the report."""

    def finish(self) -> None:
        """The last stage is done."""


@contextlib.contextmanager
def shown(progress: "bool | Progress") -> Iterator["Progress | None"]:
    """Who is told, as ``progress`` says it; what it shows is closed in the end, however that comes."""
    if not isinstance(progress, bool):
        yield progress
        return
    listener = _listener() if progress else None
    try:
        yield listener
    finally:
        if listener is not None:
            listener.finish()


def _listener() -> "Progress | None":
    if sys.stderr is None:
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return Lines(sys.stderr)
    return Bars(tqdm)


class Bars:
    """One bar at a time; it vanishes when its stage is done, since the report lists the stages."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._bar: Any = None

    def stage(self, name: str, total: "int | None") -> None:
        self.finish()
        self._bar = self._tqdm(total=total, desc=name, leave=False)

    def advance(self, steps: int) -> None:
        if self._bar is not None:
            self._bar.update(steps)

    def say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)

    def note(self, text: str) -> None:
        self._tqdm.write(text, file=sys.stderr)

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Lines:
    """A line for each stage that took a while, when it is done."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._stage: "tuple[str, float] | None" = None
        self._done = 0

    def stage(self, name: str, total: "int | None") -> None:
        self.finish()
        self._stage = (name, time.monotonic())

    def advance(self, steps: int) -> None:
        self._done += steps

    def say(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def finish(self) -> None:
        if self._stage is not None:
            name, start = self._stage
            seconds = time.monotonic() - start
            steps = f" {self._done}" if self._done else ""
            if seconds >= 0.5:
                print(f"{name}:{steps} ({seconds:.1f} s)", file=self._out, flush=True)
        self._stage, self._done = None, 0

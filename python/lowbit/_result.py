"""What quantizing and training give back."""

import contextlib
import os
from pathlib import Path

from . import _native
from ._files import write_bytes
from ._report import Report
from ._session import Session


class Result:
    """A network of few bits and what it cost."""

    def __init__(self, model: bytes, report: _native.Report, state: list[str]) -> None:
        self.model = model
        """The ONNX file."""
        self.report = Report(report)
        """What it cost; shows itself in notebooks."""
        self._state = state

    def save(self, path: "str | os.PathLike[str]") -> Path:
        """Writes the ONNX file, whole or not at all; what a killed run would have gone on from is then removed."""
        written = write_bytes(path, self.model)
        for state in self._state:
            with contextlib.suppress(OSError):
                os.remove(state)
        return written

    def session(self, *, threads: "int | None" = None) -> Session:
        """The network in the integer runtime."""
        return Session(self.model, threads=threads)

    def __repr__(self) -> str:
        scores = self.report.scores
        bits = f", {scores[-1].bits}" if scores else ""
        return f"<lowbit.Result: {len(self.model):,} bytes{bits}>"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()

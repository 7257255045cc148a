"""Reports: what a job found, as values, text, a page, or a notebook's cell."""

import html
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _native
from ._errors import InvalidRecipe
from ._files import write_bytes


@dataclass(frozen=True)
class Confusion:
    """Another class that samples are taken for."""

    name: str
    """Its name."""
    more: int
    """How many samples more than with the first network."""


@dataclass(frozen=True)
class ClassScore:
    """What became of the samples of one class."""

    name: str
    """Name of its folder, or the number of its label."""
    samples: int
    """Samples of it."""
    before: int
    """Correct first guesses of the first network."""
    after: int
    """Correct first guesses of this one."""
    taken_for: "Confusion | None" = None
    """What it is taken for more often than by the first network, most of all."""


@dataclass(frozen=True)
class Score:
    """How one network did; shares in percent, ``None`` for what is not known."""

    model: str
    """What it is: ``float``, a recipe, or a file."""
    bits: str
    """Average bits, such as ``W4A4``."""
    samples: int
    """Samples that it was scored on."""
    top1: "float | None"
    """Correct first guesses."""
    top5: "float | None"
    """Label among the first five guesses."""
    agreement: "float | None"
    """Same first guess as the first network."""
    sqnr_db: "float | None"
    """Signal to quantization noise of the outputs against the first network."""
    size_bytes: int
    """Size of the file."""
    engine: "str | None" = None
    """What ran it, where that was chosen."""
    classes: "tuple[ClassScore, ...]" = ()
    """How each class fares, in order of labels; empty for the first network and without labels."""


def _score(found: dict[str, Any]) -> Score:
    classes = tuple(_class(one) for one in found.pop("classes", []))
    return Score(**found, classes=classes)


def _class(found: dict[str, Any]) -> ClassScore:
    other = found.pop("taken_for", None)
    return ClassScore(**found, taken_for=Confusion(other["class"], other["more"]) if other else None)


class Report:
    """What a job found. Shows itself as a page in notebooks; :meth:`save` writes it to a file."""

    def __init__(self, native: _native.Report) -> None:
        self._native = native

    def to_dict(self) -> dict[str, Any]:
        """All of it, as the command line writes JSON."""
        found: dict[str, Any] = json.loads(self._native.json())
        return found

    @property
    def scores(self) -> list[Score]:
        """Networks side by side, the first the one that the others are compared with."""
        return [_score(score) for score in self.to_dict().get("scores", [])]

    @property
    def notes(self) -> list[str]:
        """Facts that a reader should know."""
        return list(self.to_dict()["notes"])

    def text(self, width: "int | None" = None) -> str:
        """For a terminal of ``width`` columns."""
        return self._native.text(width)

    def html(self) -> str:
        """A page of its own, with everything in it."""
        return self._native.html()

    def markdown(self) -> str:
        """For an issue or a wiki."""
        return self._native.markdown()

    def save(self, path: "str | os.PathLike[str]") -> Path:
        """Writes ``.html``, ``.md`` or ``.json``, whole or not at all."""
        forms = {".html": self.html, ".htm": self.html, ".md": self.markdown, ".json": self._native.json}
        suffix = Path(path).suffix.lower()
        if suffix not in forms:
            raise InvalidRecipe(f"cannot write {path}: .html, .md and .json are possible")
        return write_bytes(path, forms[suffix]().encode())

    def _repr_html_(self) -> str:
        # In a frame: the page has styles of its own, and a notebook has others.
        page = html.escape(self.html(), quote=True)
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 640px; border: 0"></iframe>'

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text(100)

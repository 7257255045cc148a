"""``lowbit.search``."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _data, _files, _model, _native
from ._errors import InvalidRecipe
from ._files import write_bytes
from ._progress import Progress, shown
from ._report import Report
from ._session import Session


@dataclass(frozen=True)
class Point:
    """A network that can be had; numbers in pairs are of the samples that decided and of those held out."""

    name: str
    """``w4a8`` where all widths are alike, else average bits."""
    uniform: bool
    """Whether it has one width for all weights and one for all edges."""
    best: "frozenset[str]"
    """In what nothing that is shown is both better and closer to the float network: ``size``, ``time``."""
    bits: "tuple[float, float]"
    """Average bits of weights and edges; float counts as 32."""
    loss: "tuple[float, float]"
    """How far its answers are from those of the float network."""
    drop: "tuple[float, float]"
    """Percentage points of accuracy lost."""
    size_bytes: int
    """Size of the file."""
    predicted_ms: "float | None"
    """Milliseconds for a sample, by the target's costs."""
    measured_ms: "float | None"
    """The same as measured here, on one thread."""
    recipe: str
    """TOML that reproduces it with :func:`lowbit.quantize`, on the same samples."""


class SearchResult:
    """The network that keeps to the limit best, and everything there is to choose from."""

    def __init__(self, model: bytes, recipe: str, report: _native.Report) -> None:
        self.model = model
        """The ONNX file."""
        self.recipe = recipe
        """TOML that reproduces it with :func:`lowbit.quantize`, on the same samples."""
        self.report = Report(report)
        """What was found; as a page, the frontier. Shows itself in notebooks."""

    @property
    def points(self) -> "list[Point]":
        """The frontier and uniform widths beside it, the smallest file first."""
        return [_point(found) for found in self.report.to_dict()["points"]]

    @property
    def chosen(self) -> Point:
        """The point that :attr:`model` is the file of."""
        place: int = self.report.to_dict()["chosen"]
        return self.points[place]

    def save(self, path: "str | os.PathLike[str]") -> Path:
        """Writes the ONNX file, and beside it the recipe as ``.toml``, each whole or not at all."""
        recipe = Path(path).with_suffix(".toml")
        if recipe == Path(path):
            raise InvalidRecipe(f"cannot write {path}: the recipe goes there, beside the network")
        written = write_bytes(path, self.model)
        write_bytes(recipe, self.recipe.encode())
        return written

    def session(self, *, threads: "int | None" = None) -> Session:
        """The network in the integer runtime."""
        return Session(self.model, threads=threads)

    def __repr__(self) -> str:
        return f"<lowbit.SearchResult: {self.chosen.name}, {len(self.model):,} bytes, {len(self.points)} points>"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


def search(
    model: _model.Model,
    data: _data.Samples,
    *,
    max_drop: "float | None" = None,
    max_size: "int | None" = None,
    max_latency: "float | None" = None,
    target: "str | os.PathLike[str]" = "onnxruntime",
    tuner: str = "sensitivity",
    budget: int = 64,
    bits: Sequence[int] = (8, 4, 3, 2),
    offer_float: bool = True,
    clips: Sequence[str] = ("mse", "minmax", "percentile"),
    symmetric: bool = True,
    trials: "str | os.PathLike[str] | None" = None,
    seed: int = 0,
    limit: "int | None" = 1024,
    preprocess: "str | os.PathLike[str] | None" = None,
    threads: "int | None" = None,
    cache_bytes: "int | None" = None,
    timing: bool = True,
    progress: "bool | Progress" = True,
) -> SearchResult:
    """Searches for the best bits of every layer and edge within a limit, as ``lowbit search`` does.

    :param model: the float network: a path, bytes, or an ``onnx.ModelProto``
    :param data: samples to calibrate on and to judge by, best with labels; a quarter is held out to check
    :param max_drop: smallest file that loses at most so many percentage points of accuracy; 0.5 where no limit is given
    :param max_size: most accurate file of at most so many bytes
    :param max_latency: most accurate network that takes at most so many milliseconds for a sample, by the target's costs
    :param target: the name of a built-in target or a TOML file; ``lowbit targets measure`` writes one with the times of a machine
    :param tuner: how strategies are walked through: ``sensitivity``, ``genetic``, ``greedy``, ``batched``, ``annealing``,
        ``random`` or ``default``
    :param budget: trials along a path, or of tuners that do not end by themselves
    :param bits: widths offered for weights and edges
    :param offer_float: whether float is offered
    :param clips: ways of finding ranges that are offered, the default first; fewer make a search shorter
    :param symmetric: whether symmetric edges are offered too
    :param trials: a file that keeps every trial; what a killed search left there is not measured again
    :param seed: seed of everything random
    :param limit: at most so many samples, as in :func:`lowbit.quantize`
    :param preprocess: for pictures, as in :func:`lowbit.quantize`
    :param threads: worker threads; ``None`` for one per core
    :param cache_bytes: memory for values that trials share; ``None`` for a quarter of what is free
    :param timing: whether what is found is timed here
    :param progress: whether to show how far it is, or who is told

    :raises lowbit.Error: or a subclass, by what cannot be used; of a limit that nothing keeps, with the nearest that was found.
        ``KeyboardInterrupt`` leaves nothing behind but ``trials``
    """
    limits = {"max_drop": max_drop, "max_size": max_size, "max_latency": max_latency}
    given = [(name, value) for name, value in limits.items() if value is not None]
    if len(given) > 1:
        raise InvalidRecipe(f"one limit at a time, not {' and '.join(name for name, _ in given)}")
    name, value = given[0] if given else ("max_drop", 0.5)
    if not 0 <= value < float("inf"):
        raise InvalidRecipe(f"{name} is {value}, expected a number from 0")
    if budget < 1:
        raise InvalidRecipe(f"budget is {budget}, at least 1 is needed")
    if not bits or not all(2 <= width <= 8 for width in bits):
        raise InvalidRecipe(f"bits are {list(bits)}, expected widths from 2 to 8")
    network = _model.opened(model)
    samples, limit = _data.opened(data, network, limit)
    with shown(progress) as listener:
        found = _native.search(
            network,
            samples,
            goal=(name, float(value)),
            target=os.fspath(target),
            tuner=tuner,
            budget=budget,
            bits=list(bits),
            offer_float=offer_float,
            clips=list(clips),
            symmetric=symmetric,
            trials=_files.path(trials),
            seed=seed,
            limit=limit,
            threads=threads,
            preprocess=_files.path(preprocess),
            cache_bytes=cache_bytes,
            timing=timing,
            progress=listener,
        )
    return SearchResult(*found)


def _point(found: "dict[str, Any]") -> Point:
    predicted, written = found["bytes"]
    return Point(
        name=found["name"],
        uniform=found["uniform"],
        best=frozenset(what for what, is_best in found["best"].items() if is_best),
        bits=tuple(found["bits"]),
        loss=tuple(found["loss"]),
        drop=tuple(found["drop"]),
        size_bytes=predicted if written is None else written,
        predicted_ms=found["predicted_ms"],
        measured_ms=found["measured_ms"],
        recipe=found["recipe"],
    )

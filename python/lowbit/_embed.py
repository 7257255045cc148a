"""``lowbit.embed`` and ``lowbit.embed_model``."""

import os
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _native
from ._arrays import array
from ._errors import InvalidData, InvalidRecipe
from ._files import write_bytes, write_whole
from ._model import Model, opened
from ._progress import Progress, shown
from ._report import Report

Place = "str | os.PathLike[str]"


class PackedTable:
    """A table of packed rows and what it cost."""

    def __init__(self, native: _native.Embedded, report: _native.Report) -> None:
        self._native = native
        self.report = Report(report)
        """What it cost; shows itself in notebooks."""

    @cached_property
    def rows(self) -> NDArray[np.uint8]:
        """Packed rows, ``[rows, bytes]``: what ``torch.ops.quantized.embedding_bag_4bit_rowwise_offsets`` and FBGEMM take."""
        return self._native.rows()

    def save(self, path: "str | os.PathLike[str]") -> Path:
        """Writes ``.npy`` (rows alone) or ``.safetensors`` (which says what they are), whole or not at all."""
        suffix = Path(path).suffix
        if suffix == ".safetensors":
            return write_whole(path, self._native.copy_to)
        if suffix != ".npy":
            raise InvalidRecipe(f"cannot write {path}: .npy and .safetensors are possible")
        if self.report.to_dict()["method"].startswith("kmeans"):
            raise InvalidRecipe(f"cannot write {path}: rows with codebooks need .safetensors, which says what they are")

        def write(partial: str) -> None:
            with open(partial, "xb") as file:
                np.save(file, self.rows)

        return write_whole(path, write)

    def __repr__(self) -> str:
        found = self.report.to_dict()
        return f"<lowbit.PackedTable: {found['rows']} rows of {found['row_bytes']} bytes, {found['bits']} bits>"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


def embed(
    table: "str | os.PathLike[str] | ArrayLike",
    *,
    bits: int = 4,
    method: str = "greedy",
    compatible: bool = False,
    layout: str = "last",
    tensor: "str | None" = None,
    counts: "str | os.PathLike[str] | ArrayLike | None" = None,
    clusters: "int | None" = None,
    non_finite: str = "refuse",
    threads: "int | None" = None,
    progress: "bool | Progress" = True,
) -> PackedTable:
    """Quantizes an embedding table row by row, as ``lowbit embed`` does.

    :param table: ``[rows, columns]``: an array or tensor, or a path of ``.npy``, ``.safetensors`` or ``.onnx``
    :param bits: width of the codes: 8, 4 or 2
    :param method: ``greedy``, ``asym``, ``aciq``, … (``lowbit embed --help`` lists them)
    :param compatible: PyTorch's search, byte for byte, where the method is greedy
    :param layout: scale and bias ``last`` (PyTorch, FBGEMM) or ``first`` (FBGEMM's table-batched embeddings)
    :param tensor: the name of the table, where the file has several
    :param counts: how often each row is read, for the weighted loss and ``kmeans-cls``
    :param clusters: clusters of ``kmeans-cls``
    :param non_finite: ``refuse`` rows with NaN or infinities, or ``keep`` them
    :param threads: worker threads; ``None`` for one per core
    :param progress: whether to show how far it is, or who is told

    :raises lowbit.Error: or a subclass, by what cannot be used
    """
    source = _table(table, "the table", 2)
    read = None if counts is None else _table(counts, "the counts", 1)
    with shown(progress) as listener:
        made = _native.embed(
            source,
            tensor=tensor,
            bits=bits,
            method=method,
            compatible=compatible,
            layout=layout,
            clusters=clusters,
            counts=read,
            non_finite=non_finite,
            threads=threads,
            progress=listener,
        )
    return PackedTable(*made)


class EmbeddedModel:
    """A network whose tables are packed."""

    def __init__(self, model: bytes, tables: list[str]) -> None:
        self.model = model
        """The ONNX file."""
        self.tables = tables
        """Names of the tables."""

    def save(self, path: "str | os.PathLike[str]") -> Path:
        """Writes the ONNX file, whole or not at all."""
        return write_bytes(path, self.model)


def embed_model(
    model: Model,
    *,
    bits: int = 4,
    method: str = "greedy",
    compatible: bool = False,
    tensor: "str | None" = None,
    non_finite: str = "refuse",
    threads: "int | None" = None,
    progress: "bool | Progress" = True,
) -> EmbeddedModel:
    """Packs the tables that ``Gather`` nodes of a network read, or the one named ``tensor``; the rest as in :func:`embed`."""
    with shown(progress) as listener:
        made = _native.embed_model(
            _native.Table.network(opened(model)),
            tensor=tensor,
            bits=bits,
            method=method,
            compatible=compatible,
            non_finite=non_finite,
            threads=threads,
            progress=listener,
        )
    return EmbeddedModel(*made)


def _table(value: "str | os.PathLike[str] | ArrayLike", name: str, axes: int) -> _native.Table:
    if isinstance(value, str | os.PathLike):
        return _native.Table.path(os.fsdecode(value))
    found = array(value, name)
    if axes == 1 and found.ndim == 1:
        found = found[:, None]
    if found.ndim != 2 or (axes == 2 and found.dtype.kind != "f") or 0 in found.shape:
        wanted = "floats of shape [rows, columns]" if axes == 2 else "numbers of shape [rows]"
        raise InvalidData(f"{name} is {found.dtype} of shape {list(found.shape)}, expected {wanted}")
    rows = np.ascontiguousarray(found, dtype=np.float32)
    return _native.Table.array(rows.reshape(-1), rows.shape[1], f"array {found.dtype} {list(found.shape)}")

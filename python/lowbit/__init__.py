"""Quantizes trained networks (ONNX) to few bits.

Each function does what the command of the same name does, by the same code: the same network, samples, recipe and seed give
the same bytes. ``model`` is a path, bytes, or an ``onnx.ModelProto``; ``data`` is an array, ``(x, y)``, an iterable of batches
such as a PyTorch ``DataLoader``, or a path to what the command line reads (an image folder, ``.npy``, ``.npz``, …).

>>> result = lowbit.quantize("model.onnx", calibration, recipe="w4a4-aciq")  # doctest: +SKIP
>>> result.save("small.onnx")  # doctest: +SKIP
>>> lowbit.Session(result.model).run(x)  # doctest: +SKIP
"""

from ._data import Samples
from ._embed import PackedTable, embed, embed_model
from ._errors import Error, FileError, InvalidData, InvalidModel, InvalidRecipe, MissingFile
from ._evaluate import evaluate
from ._model import Model
from ._native import __version__
from ._progress import Progress
from ._quantize import quantize
from ._report import ClassScore, Confusion, Report, Score
from ._result import Result
from ._search import Point, SearchResult, search
from ._session import Session
from ._train import train

__all__ = [
    "ClassScore",
    "Confusion",
    "Error",
    "FileError",
    "InvalidData",
    "InvalidModel",
    "InvalidRecipe",
    "MissingFile",
    "Model",
    "PackedTable",
    "Point",
    "Progress",
    "Report",
    "Result",
    "Samples",
    "Score",
    "SearchResult",
    "Session",
    "__version__",
    "embed",
    "embed_model",
    "evaluate",
    "quantize",
    "search",
    "train",
]

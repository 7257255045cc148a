"""The compiled part. What the package shows is beside it."""

from typing import final

import numpy as np
from numpy.typing import NDArray

from ._progress import Progress

__version__: str

@final
class Model:
    @staticmethod
    def path(path: str) -> Model: ...
    @staticmethod
    def bytes(bytes: bytes) -> Model: ...

def input_shape(model: Model) -> list[int]: ...
@final
class Data:
    @staticmethod
    def path(path: str) -> Data: ...
    @staticmethod
    def array(
        bytes: NDArray[np.uint8], descr: str, shape: list[int], labels: NDArray[np.int64] | None, name: str
    ) -> Data: ...

@final
class Spool:
    def __init__(self, limit: int) -> None: ...
    def add(self, bytes: NDArray[np.uint8]) -> None: ...
    def finish(self, descr: str, shape: list[int], labels: NDArray[np.int64] | None, name: str) -> Data: ...

@final
class Report:
    def json(self) -> str: ...
    def html(self) -> str: ...
    def markdown(self) -> str: ...
    def text(self, width: int | None = None) -> str: ...

def quantize(
    model: Model,
    data: Data,
    validation: Data | None,
    *,
    recipe: str,
    target: str,
    flavour: str | None,
    seed: int | None,
    limit: int | None,
    threads: int | None,
    preprocess: str | None,
    effort: str,
    cache_bytes: int | None,
    state: str | None,
    fresh: bool,
    detail: bool,
    progress: Progress | None,
) -> tuple[bytes, Report, list[str]]: ...
def train(
    model: Model,
    data: Data,
    validation: Data | None,
    *,
    recipe: str,
    target: str,
    flavour: str | None,
    epochs: int | None,
    steps: int | None,
    batch: int | None,
    learning_rate: float | None,
    best: bool,
    seed: int | None,
    limit: int | None,
    threads: int | None,
    preprocess: str | None,
    cache_bytes: int | None,
    state: str | None,
    fresh: bool,
    progress: Progress | None,
) -> tuple[bytes, Report, list[str]]: ...
def search(
    model: Model,
    data: Data,
    *,
    goal: tuple[str, float],
    target: str,
    tuner: str,
    budget: int,
    bits: list[int],
    offer_float: bool,
    clips: list[str],
    symmetric: bool,
    trials: str | None,
    seed: int,
    limit: int | None,
    threads: int | None,
    preprocess: str | None,
    cache_bytes: int | None,
    timing: bool,
    progress: Progress | None,
) -> tuple[bytes, str, Report]: ...
def evaluate(
    models: list[Model],
    data: Data,
    *,
    engines: list[str],
    limit: int | None,
    skip: int,
    threads: int | None,
    preprocess: str | None,
    seed: int,
    progress: Progress | None,
) -> Report: ...
@final
class Session:
    def __init__(self, model: Model, threads: int | None) -> None: ...
    @property
    def input_shape(self) -> list[int]: ...
    @property
    def outputs(self) -> list[tuple[str, list[int]]]: ...
    @property
    def weight_bytes(self) -> int: ...
    @property
    def float_nodes(self) -> list[str]: ...
    def run(self, x: NDArray[np.float32]) -> list[NDArray[np.float32]]: ...

@final
class Table:
    @staticmethod
    def path(path: str) -> Table: ...
    @staticmethod
    def network(model: Model) -> Table: ...
    @staticmethod
    def array(values: NDArray[np.float32], columns: int, name: str) -> Table: ...

@final
class Embedded:
    def rows(self) -> NDArray[np.uint8]: ...
    def copy_to(self, path: str) -> None: ...

def embed(
    table: Table,
    *,
    tensor: str | None,
    bits: int,
    method: str,
    compatible: bool,
    layout: str,
    clusters: int | None,
    counts: Table | None,
    non_finite: str,
    threads: int | None,
    progress: Progress | None,
) -> tuple[Embedded, Report]: ...
def embed_model(
    model: Table,
    *,
    tensor: str | None,
    bits: int,
    method: str,
    compatible: bool,
    non_finite: str,
    threads: int | None,
    progress: Progress | None,
) -> tuple[bytes, list[str]]: ...

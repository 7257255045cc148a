"""The integer runtime: what a quantized network is run by in a program."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _native
from ._arrays import array, described
from ._errors import InvalidData
from ._model import Model, opened


class Session:
    """A network ready to run, on integers where its file has them. Threads may share it; a forked child opens its own."""

    def __init__(self, model: Model, *, threads: "int | None" = None) -> None:
        """``threads``: how many it starts for itself; ``None`` for one per core."""
        if threads is not None and threads < 1:
            raise ValueError(f"threads is {threads}, at least 1 is needed")
        self._native = _native.Session(opened(model), threads)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Extents of one sample."""
        return tuple(self._native.input_shape)

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Names of the outputs, each with its extents for one sample."""
        return {name: tuple(shape) for name, shape in self._native.outputs}

    @property
    def float_nodes(self) -> list[str]:
        """Nodes that run in float, each with its reason."""
        return self._native.float_nodes

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights in memory."""
        return self._native.weight_bytes

    def run(self, x: ArrayLike) -> NDArray[np.float32]:
        """The first output of samples ``x`` of shape ``[n, *input_shape]``; float32 that is contiguous is not copied."""
        return self._run(x)[0]

    def run_all(self, x: ArrayLike) -> dict[str, NDArray[np.float32]]:
        """All outputs, by name."""
        return dict(zip(self.outputs, self._run(x), strict=True))

    def _run(self, x: ArrayLike) -> list[NDArray[np.float32]]:
        found = array(x, "x")
        if found.dtype.kind != "f":
            raise InvalidData(f"x is {described(found)}; a network takes floats, for pictures preprocessed ones")
        if found.shape[1:] != self.input_shape or len(found) == 0:
            wanted = ["n", *self.input_shape]
            raise InvalidData(f"x has the shape {list(found.shape)}; the network takes [{', '.join(map(str, wanted))}]")
        flat = np.ascontiguousarray(found, dtype=np.float32).reshape(-1)
        return self._native.run(flat)

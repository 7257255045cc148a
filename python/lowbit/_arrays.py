"""Arrays, as the library reads them: plain numbers, one after the other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import InvalidData

Array = NDArray[Any]


def is_array(value: object) -> bool:
    """Whether it is an array or a tensor, rather than a list of numbers or of arrays."""
    return isinstance(value, np.ndarray) or hasattr(value, "__array__") or hasattr(value, "__array_interface__")


def array(value: object, name: str) -> Array:
    """Real numbers of at least one axis; ``name`` is what messages call them."""
    try:
        if hasattr(value, "detach") and hasattr(value, "cpu"):
            value = value.detach().cpu()  # a tensor that has a gradient or lies elsewhere
        found = np.asarray(value)
    except Exception as error:
        raise InvalidData(f"{name} cannot be read as an array: {error}") from error
    if found.dtype.kind not in "biuf":
        raise InvalidData(f"{name}: numbers of type {found.dtype}, expected booleans, integers or floats")
    if found.ndim == 0:
        raise InvalidData(f"{name}: a single number, expected [N, ...]")
    return found


def labels(value: object, name: str) -> NDArray[np.int64]:
    """One integer per sample."""
    found = array(value, f"labels of {name}")
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.dtype.kind not in "iu" or found.ndim != 1:
        shape = list(found.shape)
        raise InvalidData(f"labels of {name} are {found.dtype} of shape {shape}, expected integers of shape [N]")
    return np.ascontiguousarray(found, dtype=np.int64)


def as_bytes(value: Array) -> NDArray[np.uint8]:
    """The same memory where it is contiguous, else a copy."""
    return np.ascontiguousarray(value).reshape(-1).view(np.uint8)


def described(value: Array) -> str:
    """Type and shape, for messages and reports."""
    return f"{value.dtype} {list(value.shape)}"

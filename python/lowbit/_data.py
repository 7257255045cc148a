"""Samples: whatever holds them, as what the library reads.

* An array ``[N, ...]``, or ``(x, y)`` with its labels, counts as the ``.npy`` or ``.npz`` file of it would: bytes are images to
  be preprocessed, other numbers are taken as they are, and ``limit`` is the first of a seeded shuffle. It is lent, not copied.
* An iterable gives batches ``[n, ...]`` or pairs of a batch and its labels, as a ``DataLoader`` does; samples on their own
  where they have the network's shape. ``limit`` ends it early. What it gives is kept, in memory or a temporary file, since
  the samples are read more than once.
* A path is what the command line takes: an image folder, an archive of one, ``.npy``, ``.npz``, CIFAR binary or IDX.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _native
from ._arrays import Array, array, as_bytes, described, is_array, labels
from ._errors import InvalidData

Samples: TypeAlias = "str | os.PathLike[str] | ArrayLike | tuple[ArrayLike, ArrayLike] | Iterable[Any]"
"""An array, ``(x, y)``, an iterable of batches, or a path."""

# Bytes of batches that stay in memory.
KEPT_BYTES = 1 << 28


def opened(data: Samples, model: _native.Model, limit: "int | None") -> "tuple[_native.Data, int | None]":
    """The samples as jobs take them, and the limit that is left to them."""
    if limit is not None and limit < 1:
        raise InvalidData(f"limit is {limit}, at least 1 is needed")
    if isinstance(data, str | os.PathLike):
        return _native.Data.path(os.fsdecode(data)), limit
    if is_array(data):
        return _whole(array(data, "the array"), None), limit
    if isinstance(data, tuple) and len(data) == 2:
        x = array(data[0], "x")
        return _whole(x, labels(data[1], "y")), limit
    if isinstance(data, list) and not any(is_array(item) or isinstance(item, tuple | Mapping) for item in data):
        return _whole(array(data, "the list"), None), limit
    if isinstance(data, Iterable) and not isinstance(data, bytes | bytearray | memoryview | Mapping):
        return _batches(data, lambda: _native.input_shape(model), limit), None
    raise TypeError(f"samples are an array, (x, y), an iterable of batches or a path, not {type(data).__name__}")


def both(
    data: Samples, validation: "Samples | None", model: _native.Model, limit: "int | None"
) -> "tuple[_native.Data, _native.Data | None, int | None]":
    """Samples to work on, those to score on if there are some, and the limit that is left to the former."""
    samples, limit = opened(data, model, limit)
    return samples, None if validation is None else opened(validation, model, None)[0], limit


def _whole(x: Array, y: "NDArray[np.int64] | None") -> _native.Data:
    name = f"array {described(x)}"
    return _native.Data.array(as_bytes(x), x.dtype.str, list(x.shape), y, name)


def _batches(
    batches: Iterable[object], expected: Callable[[], list[int]], limit: "int | None"
) -> _native.Data:
    spool = _native.Spool(KEPT_BYTES)
    found: list[NDArray[np.int64]] = []
    first: "Array | None" = None
    shape: list[int] = []
    count = 0
    for at, batch in enumerate(batches):
        name = f"batch {at}"
        x, y = _pair(batch, name)
        if first is None:
            shape = expected()
        if _is_sample(x, shape):
            x = x[None]
            y = None if y is None else np.reshape(np.asarray(y), -1)
        if first is None:
            first = x
        elif x.shape[1:] != first.shape[1:] or x.dtype != first.dtype:
            raise InvalidData(f"{name} is {described(x)}, the first was {described(first)}")
        if y is not None:
            known = labels(y, name)
            if len(known) != len(x):
                raise InvalidData(f"{name}: {len(known)} labels for {len(x)} samples")
        if (y is None) != (not found) and count > 0:
            raise InvalidData(f"{name} has {'no ' if y is None else ''}labels, unlike those before it")
        keep = len(x) if limit is None else min(len(x), limit - count)
        if keep > 0:
            spool.add(as_bytes(x[:keep]))
            if y is not None:
                found.append(known[:keep])
        count += keep
        if limit is not None and count >= limit:
            break
    if first is None or count == 0:
        raise InvalidData("no samples: the iterable gave no batch (a generator gives its batches only once)")
    whole = [count, *first.shape[1:]]
    name = f"batches {first.dtype} {whole}"
    return spool.finish(first.dtype.str, whole, np.concatenate(found) if found else None, name)


def _pair(batch: object, name: str) -> "tuple[Array, object | None]":
    """A batch and its labels, if it has some."""
    if isinstance(batch, Mapping):
        if len(batch) != 1:
            raise InvalidData(f"{name} has the keys {list(batch)}, expected the batch alone or a pair with its labels")
        return array(next(iter(batch.values())), name), None
    if not isinstance(batch, tuple) and not (isinstance(batch, list) and any(map(is_array, batch))):
        return array(batch, name), None
    items = list(batch)
    if len(items) == 1:
        return array(items[0], name), None
    if len(items) != 2:
        raise InvalidData(f"{name} has {len(items)} parts, expected the batch alone or a pair with its labels")
    return array(items[0], name), items[1]


def _is_sample(x: Array, expected: list[int]) -> bool:
    """Whether it is one sample, without the axis of samples."""
    picture = x.dtype == np.uint8 and x.ndim == len(expected) == 3 and x.shape[-1] in (1, 3, 4)
    return list(x.shape) == expected or picture

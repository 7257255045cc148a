"""Networks: whatever holds an ONNX file."""

import errno
import os
from typing import Protocol, TypeAlias, runtime_checkable

from . import _native
from ._errors import InvalidModel, MissingFile


@runtime_checkable
class ModelProto(Protocol):
    """An ``onnx.ModelProto``."""

    def SerializeToString(self) -> bytes:  # noqa: N802
        """The bytes of its file."""


Model: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | ModelProto"
"""A network: the path of an ONNX file, its bytes, or an ``onnx.ModelProto``."""


def opened(model: Model) -> _native.Model:
    """The network as jobs take it; bytes are lent, not copied."""
    if isinstance(model, str | os.PathLike):
        path = os.fsdecode(model)
        if not os.path.exists(path):
            raise MissingFile(errno.ENOENT, f"{path}: {os.strerror(errno.ENOENT)}")
        return _native.Model.path(path)
    if isinstance(model, bytes):
        return _native.Model.bytes(model)
    if isinstance(model, bytearray | memoryview):
        return _native.Model.bytes(bytes(model))
    if isinstance(model, ModelProto):
        try:
            return _native.Model.bytes(model.SerializeToString())
        except Exception as error:
            raise InvalidModel(f"the network cannot be serialized: {error}") from error
    raise TypeError(f"a network is a path, bytes or an onnx.ModelProto, not {type(model).__name__}")

"""Networks: whatever holds an ONNX file."""

import os
from typing import Protocol, TypeAlias, runtime_checkable

from . import _native
from ._errors import InvalidModel


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
        return _native.Model.path(os.fsdecode(model))
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

"""Cases of the operators that normalize or reduce: batch, layer and LRN, Softmax, ReduceMean."""

import numpy as np

from .case import Const, grid, i64, op

# Sums of rounded quotients, in another order.
CLOSE = 1e-5


def statistics(channels):
    """scale, bias, mean, variance: each [channels]."""
    variance = np.abs(grid(channels, key=4)) + 0.25
    return [Const(v) for v in (grid(channels, key=1), grid(channels, key=2), grid(channels, key=3), variance)]


def batch_normalization():
    x = grid(2, 3, 4, 5)
    for opset in (7, 9, 14, 15):
        note = "onnx.reference takes version 9 for training" if opset == 9 else ""
        settings = {"tolerance": CLOSE, "opset": opset, "note": note}
        yield op(f"batchnormalization-opset-{opset}", "BatchNormalization", x, *statistics(3), **settings)
    wide = {"epsilon": 0.125, "tolerance": CLOSE}
    yield op("batchnormalization-epsilon", "BatchNormalization", x, *statistics(3), **wide)
    yield op("batchnormalization-2d", "BatchNormalization", grid(4, 3), *statistics(3), tolerance=CLOSE)
    yield op("batchnormalization-3d", "BatchNormalization", grid(2, 3, 5), *statistics(3), tolerance=CLOSE)


def layer_normalization():
    x = grid(2, 3, 8)
    yield op(
        "layernormalization", "LayerNormalization", x, Const(grid(8)), Const(grid(8, key=1)), tolerance=CLOSE
    )
    yield op("layernormalization-no-bias", "LayerNormalization", x, Const(grid(8)), tolerance=CLOSE)
    scale, bias = Const(grid(3, 8)), Const(grid(3, 8, key=1))
    yield op("layernormalization-axis-1", "LayerNormalization", x, scale, bias, axis=1, tolerance=CLOSE)
    yield op(
        "layernormalization-axis-negative", "LayerNormalization", x, scale, bias, axis=-2, tolerance=CLOSE
    )
    yield op(
        "layernormalization-epsilon", "LayerNormalization", x, Const(grid(8)), epsilon=0.125, tolerance=CLOSE
    )
    outputs = [np.float32] * 3
    yield op(
        "layernormalization-all-outputs",
        "LayerNormalization",
        x,
        Const(grid(8)),
        tolerance=CLOSE,
        out=outputs,
    )


def lrn():
    # As many images as channels: onnx.reference loops over the one where it means the other.
    x = grid(5, 5, 2, 1)
    yield op("lrn", "LRN", x, size=3, tolerance=CLOSE)
    yield op("lrn-attributes", "LRN", x, size=5, alpha=0.5, beta=0.5, bias=2.0, tolerance=CLOSE)
    yield op("lrn-wider-than-channels", "LRN", x, size=15, alpha=0.5, tolerance=CLOSE, opset=7)


def softmax():
    x = grid(2, 3, 4) * 2
    note = "onnx.reference does not flatten below opset 13"
    yield op("softmax-flattened", "Softmax", x, tolerance=CLOSE, opset=11, note=note)
    yield op("softmax-flattened-axis-2", "Softmax", x, axis=2, tolerance=CLOSE, opset=7)
    yield op("softmax-flattened-axis-0", "Softmax", x, axis=0, tolerance=CLOSE, opset=9, note=note)
    yield op("softmax-flattened-axis-negative", "Softmax", x, axis=-1, tolerance=CLOSE, opset=11)
    yield op("softmax-2d-opset-11", "Softmax", grid(3, 5), tolerance=CLOSE, opset=11)
    yield op("softmax", "Softmax", x, tolerance=CLOSE, opset=13)
    yield op("softmax-axis-1", "Softmax", x, axis=1, tolerance=CLOSE)
    yield op("softmax-axis-0", "Softmax", x, axis=0, tolerance=CLOSE)
    yield op(
        "softmax-large-values",
        "Softmax",
        np.float32([[1000, 999, -1000], [-1e4, -1e4, -1e4]]),
        tolerance=CLOSE,
    )


def reduce_mean():
    x = grid(2, 3, 4, 4)
    yield op("reducemean-all", "ReduceMean", x, tolerance=CLOSE)
    yield op("reducemean-spatial", "ReduceMean", x, axes=[2, 3], tolerance=CLOSE)
    yield op("reducemean-spatial-drop", "ReduceMean", x, axes=[2, 3], keepdims=0, tolerance=CLOSE)
    yield op("reducemean-axis-negative", "ReduceMean", x, axes=[-1], tolerance=CLOSE, opset=11)
    yield op("reducemean-inner", "ReduceMean", x, axes=[1], keepdims=0, tolerance=CLOSE, opset=7)
    yield op("reducemean-input", "ReduceMean", x, i64(2, 3), tolerance=CLOSE, opset=18)
    yield op("reducemean-input-drop", "ReduceMean", x, i64(-1, 0), keepdims=0, tolerance=CLOSE, opset=18)
    yield op("reducemean-input-omitted", "ReduceMean", x, tolerance=CLOSE, opset=18)
    yield op("reducemean-input-empty", "ReduceMean", x, i64(), tolerance=CLOSE, opset=18)
    yield op("reducemean-noop", "ReduceMean", x, i64(), noop_with_empty_axes=1, opset=18)
    yield op("reducemean-noop-omitted", "ReduceMean", x, noop_with_empty_axes=1, opset=18)


def cases():
    for group in (batch_normalization, layer_normalization, lrn, softmax, reduce_mean):
        yield from group()

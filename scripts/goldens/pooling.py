"""Cases of MaxPool, AveragePool and GlobalAveragePool."""

import numpy as np

from .case import grid, ints, op

CLOSE = 1e-6


def windows():
    """Name, input shape and attributes shared by both pools; each has something that the others have not."""
    yield "2d", (2, 3, 6, 5), {"kernel_shape": [2, 2]}
    yield "2d-strides", (2, 3, 6, 5), {"kernel_shape": [2, 3], "strides": [2, 1]}
    yield "2d-pads", (2, 3, 6, 5), {"kernel_shape": [3, 3], "pads": [1, 0, 1, 2], "strides": [2, 2]}
    yield "2d-ceil", (1, 2, 6, 7), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}
    padded = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}
    yield "2d-ceil-pads", (1, 2, 6, 7), padded
    # The last window of a rounded-up output would start inside the end padding: it is left out.
    dropped = {"kernel_shape": [1, 1], "strides": [2, 2], "ceil_mode": 1}
    yield "2d-ceil-window-in-padding", (1, 1, 2, 2), dropped
    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        attributes = {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": auto}
        yield f"2d-{auto.lower().replace('_', '-')}", (1, 2, 6, 5), attributes
    yield "1d", (2, 3, 8), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}


def max_pool():
    for name, shape, attributes in windows():
        note = "onnx.reference rounds the size of SAME_LOWER down" if "lower" in name else ""
        yield op(f"maxpool-{name}", "MaxPool", grid(*shape), opset=12, note=note, **attributes)
    yield op("maxpool-2d-opset-1", "MaxPool", grid(1, 2, 4, 4), opset=7, kernel_shape=[2, 2])
    yield op(
        "maxpool-2d-dilations", "MaxPool", grid(1, 2, 7, 7), kernel_shape=[3, 2], dilations=[2, 3], opset=10
    )
    dilated = {"kernel_shape": [2, 2], "dilations": [2, 2], "strides": [2, 2], "ceil_mode": 1}
    yield op("maxpool-2d-dilations-ceil", "MaxPool", grid(1, 2, 6, 6), **dilated)
    for dtype in (np.int8, np.uint8):
        values = ints(1, 2, 5, 5, lo=0, hi=100, dtype=dtype)
        yield op(
            f"maxpool-2d-{np.dtype(dtype)}", "MaxPool", values, kernel_shape=[3, 3], pads=[1] * 4, opset=12
        )
    negative = -np.abs(grid(1, 1, 4, 4)) - 1
    yield op("maxpool-2d-padding-never-wins", "MaxPool", negative, kernel_shape=[3, 3], pads=[1] * 4)


def average_pool():
    for name, shape, attributes in windows():
        # The rule for windows over the rounded-up edge was settled in opset 19.
        opset = 19 if "ceil" in name else 11
        yield op(
            f"averagepool-{name}", "AveragePool", grid(*shape), tolerance=CLOSE, opset=opset, **attributes
        )
    counted = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1, "tolerance": CLOSE}
    yield op("averagepool-2d-include-pad", "AveragePool", grid(1, 2, 5, 5), opset=7, **counted)
    asymmetric = {**counted, "pads": [0, 1, 2, 1], "strides": [2, 2]}
    yield op("averagepool-2d-include-pad-asymmetric", "AveragePool", grid(1, 2, 5, 5), **asymmetric)
    ceil = {**counted, "strides": [2, 2], "ceil_mode": 1}
    yield op("averagepool-2d-include-pad-ceil", "AveragePool", grid(1, 2, 6, 6), opset=19, **ceil)
    dilated = {"kernel_shape": [2, 2], "dilations": [2, 2], "tolerance": CLOSE}
    yield op("averagepool-2d-dilations", "AveragePool", grid(1, 2, 5, 5), opset=19, **dilated)


def global_average_pool():
    for name, shape in {"2d": (2, 3, 4, 5), "1d": (2, 3, 7), "single": (2, 3, 1, 1)}.items():
        yield op(f"globalaveragepool-{name}", "GlobalAveragePool", grid(*shape), tolerance=CLOSE)
    yield op("globalaveragepool-opset-22", "GlobalAveragePool", grid(1, 2, 3, 3), tolerance=CLOSE, opset=22)


def cases():
    yield from max_pool()
    yield from average_pool()
    yield from global_average_pool()

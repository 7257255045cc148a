"""Cases of the operators that multiply matrices: Conv, ConvTranspose, Gemm, MatMul."""

import numpy as np

from .case import Const, grid, ints, op


def conv():
    x, w, b = grid(2, 3, 6, 5), Const(grid(4, 3, 3, 3)), Const(grid(4))
    yield op("conv-2d", "Conv", x, w, b)
    yield op("conv-2d-opset-1", "Conv", x, w, b, opset=7, kernel_shape=[3, 3])
    yield op("conv-2d-opset-22", "Conv", x, w, b, opset=22)
    yield op("conv-2d-no-bias", "Conv", x, w)
    yield op("conv-2d-computed-weights", "Conv", x, grid(4, 3, 3, 3), grid(4))
    yield op("conv-2d-pads-asymmetric", "Conv", x, w, b, pads=[0, 1, 2, 1])
    yield op("conv-2d-pads-beyond-kernel", "Conv", x, w, b, pads=[4, 4, 4, 4])
    yield op("conv-2d-strides", "Conv", x, w, b, strides=[2, 3], pads=[1, 1, 1, 1])
    yield op("conv-2d-dilations", "Conv", x, w, b, dilations=[2, 1], pads=[1, 1, 1, 1])
    yield op("conv-2d-dilations-strides", "Conv", grid(1, 3, 9, 8), w, b, dilations=[2, 3], strides=[2, 1])
    yield op("conv-2d-kernel-not-square", "Conv", x, Const(grid(2, 3, 1, 4)), pads=[0, 2, 0, 1])
    yield op("conv-2d-pointwise", "Conv", x, Const(grid(5, 3, 1, 1)), Const(grid(5)))
    yield op("conv-2d-pointwise-stride", "Conv", x, Const(grid(5, 3, 1, 1)), strides=[2, 2])
    grouped = grid(1, 4, 5, 5)
    yield op(
        "conv-2d-groups", "Conv", grouped, Const(grid(6, 2, 3, 3)), Const(grid(6)), group=2, pads=[1, 1, 1, 1]
    )
    yield op("conv-2d-depthwise", "Conv", grouped, Const(grid(4, 1, 3, 3)), b, group=4, pads=[1, 1, 1, 1])
    yield op("conv-2d-depthwise-stride", "Conv", grouped, Const(grid(4, 1, 3, 3)), b, group=4, strides=[2, 2])
    yield op("conv-2d-depthwise-multiplier", "Conv", grouped, Const(grid(8, 1, 3, 3)), group=4)
    even = grid(1, 3, 6, 8)
    yield op("conv-2d-same-upper", "Conv", even, w, b, auto_pad="SAME_UPPER", strides=[2, 2])
    yield op("conv-2d-same-lower", "Conv", even, w, b, auto_pad="SAME_LOWER", strides=[2, 2])
    yield op(
        "conv-2d-same-upper-even-kernel", "Conv", even, Const(grid(4, 3, 2, 4)), b, auto_pad="SAME_UPPER"
    )
    yield op(
        "conv-2d-same-lower-even-kernel", "Conv", even, Const(grid(4, 3, 2, 4)), b, auto_pad="SAME_LOWER"
    )
    yield op("conv-2d-valid", "Conv", even, w, b, auto_pad="VALID", strides=[2, 2])
    yield op("conv-2d-notset", "Conv", even, w, b, auto_pad="NOTSET", pads=[1, 0, 1, 0])
    line = grid(2, 3, 9)
    yield op("conv-1d", "Conv", line, Const(grid(4, 3, 3)), b, pads=[1, 1])
    yield op(
        "conv-1d-strides-dilations",
        "Conv",
        line,
        Const(grid(4, 3, 3)),
        b,
        strides=[2],
        dilations=[2],
        pads=[0, 1],
    )
    yield op("conv-1d-depthwise", "Conv", line, Const(grid(3, 1, 5)), group=3, pads=[2, 2])
    yield op("conv-1d-same-upper", "Conv", line, Const(grid(4, 3, 4)), auto_pad="SAME_UPPER", strides=[2])


def conv_transpose():
    x, w, b = grid(2, 3, 4, 3), Const(grid(3, 2, 3, 3)), Const(grid(2))
    yield op("convtranspose-2d", "ConvTranspose", x, w, b)
    yield op("convtranspose-2d-no-bias", "ConvTranspose", x, w)
    yield op("convtranspose-2d-opset-1", "ConvTranspose", x, w, b, opset=7)
    yield op("convtranspose-2d-strides", "ConvTranspose", x, w, b, strides=[2, 3])
    yield op("convtranspose-2d-pads", "ConvTranspose", x, w, b, strides=[2, 2], pads=[0, 1, 2, 1])
    yield op(
        "convtranspose-2d-output-padding", "ConvTranspose", x, w, b, strides=[2, 3], output_padding=[1, 2]
    )
    pads = {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}
    yield op("convtranspose-2d-pads-output-padding", "ConvTranspose", x, w, b, **pads)
    yield op("convtranspose-2d-dilations", "ConvTranspose", x, w, b, dilations=[2, 1])
    grouped = grid(1, 4, 3, 3)
    yield op(
        "convtranspose-2d-groups", "ConvTranspose", grouped, Const(grid(4, 3, 2, 2)), group=2, strides=[2, 2]
    )
    yield op(
        "convtranspose-2d-depthwise",
        "ConvTranspose",
        grouped,
        Const(grid(4, 1, 4, 4)),
        group=4,
        strides=[2, 2],
    )
    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        name = f"convtranspose-2d-{auto.lower().replace('_', '-')}"
        yield op(name, "ConvTranspose", x, w, b, auto_pad=auto, strides=[2, 2])
    yield op("convtranspose-2d-output-shape", "ConvTranspose", x, w, b, strides=[3, 2], output_shape=[10, 8])
    yield op(
        "convtranspose-2d-output-shape-odd", "ConvTranspose", x, w, b, strides=[2, 2], output_shape=[8, 6]
    )
    upper = {"strides": [2, 2], "output_shape": [8, 6], "auto_pad": "SAME_UPPER"}
    yield op("convtranspose-2d-output-shape-same-upper", "ConvTranspose", x, w, b, **upper)
    yield op(
        "convtranspose-1d", "ConvTranspose", grid(2, 3, 5), Const(grid(3, 2, 4)), b, strides=[2], pads=[1, 1]
    )


def gemm():
    a, b = grid(3, 4), Const(grid(4, 5))
    at, bt = grid(4, 3), Const(grid(5, 4))
    yield op("gemm", "Gemm", a, b, Const(grid(5)))
    yield op("gemm-no-c", "Gemm", a, b)
    yield op("gemm-trans-a", "Gemm", at, b, Const(grid(5)), transA=1)
    yield op("gemm-trans-b", "Gemm", a, bt, Const(grid(5)), transB=1)
    yield op("gemm-trans-a-b", "Gemm", at, bt, Const(grid(5)), transA=1, transB=1)
    yield op("gemm-alpha-beta", "Gemm", a, b, Const(grid(3, 5)), alpha=0.5, beta=-2.0)
    yield op("gemm-alpha-no-c", "Gemm", a, b, alpha=0.25, beta=3.0)
    for name, shape in {
        "scalar": (),
        "row": (1, 5),
        "column": (3, 1),
        "full": (3, 5),
        "single": (1,),
    }.items():
        yield op(f"gemm-c-{name}", "Gemm", a, b, Const(grid(*shape)), beta=0.5)
    for opset in (7, 9, 11):
        yield op(f"gemm-opset-{opset}", "Gemm", a, b, Const(grid(5)), opset=opset)
    yield op("gemm-computed", "Gemm", a, grid(4, 5), grid(3, 1))


def matmul():
    shapes = {
        "2d": ((3, 4), (4, 5)),
        "batched": ((2, 3, 4), (2, 4, 5)),
        "broadcast": ((2, 1, 3, 4), (3, 4, 5)),
        "broadcast-weight": ((2, 3, 4), (4, 5)),
        "broadcast-left": ((3, 4), (2, 4, 5)),
        "vector-matrix": ((4,), (4, 5)),
        "matrix-vector": ((3, 4), (4,)),
        "vector-vector": ((4,), (4,)),
        "vector-batched": ((4,), (2, 4, 5)),
        "batched-vector": ((2, 3, 4), (4,)),
    }
    for name, (left, right) in shapes.items():
        yield op(f"matmul-{name}", "MatMul", grid(*left), grid(*right, key=1))
    yield op("matmul-weights", "MatMul", grid(2, 3, 4), Const(grid(4, 5)), opset=9)
    for dtype in (np.int32, np.int64):
        yield op(f"matmul-{np.dtype(dtype)}", "MatMul", ints(3, 4, dtype=dtype), ints(4, 2, dtype=dtype))


def cases():
    yield from conv()
    yield from conv_transpose()
    yield from gemm()
    yield from matmul()

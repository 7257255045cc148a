"""Cases of number formats: Cast, QuantizeLinear, DequantizeLinear."""

import numpy as np
from ml_dtypes import bfloat16, int4, uint4
from onnx import helper

from .case import REFERENCE, Case, Const, grid, ints, model, onnx_type, op

FLOATS = [np.float32, np.float64, np.float16, bfloat16]
SIGNED = [np.int8, np.int16, np.int32, np.int64]
UNSIGNED = [np.uint8, np.uint16, np.uint32, np.uint64]


def name_of(dtype):
    return np.dtype(dtype).name


def cast_from(dtype, values, targets, suffix="", opset=21, **kwargs):
    """One constant cast to every target, one output each; constant, since not every type can be fed."""
    nodes = [helper.make_node("Cast", ["x"], [f"to_{name_of(t)}"], to=onnx_type(t)) for t in targets]
    outputs = [(f"to_{name_of(t)}", onnx_type(t), None) for t in targets]
    built = model(nodes, [], outputs, {"x": np.array(values).astype(dtype)}, opset)
    return Case(f"cast-from-{name_of(dtype)}{suffix}", built, {}, **kwargs)


def cast():
    everything = [*FLOATS, *SIGNED, *UNSIGNED, bool, int4, uint4]
    # Only values that every target holds: what overflows is undefined in ONNX.
    for dtype in (*FLOATS, *SIGNED, *UNSIGNED, int4, uint4):
        yield cast_from(dtype, [0, 1, 2, 3, 5, 7], everything)
    yield cast_from(bool, [True, False], everything)
    for dtype in (*FLOATS, *SIGNED, int4):
        yield cast_from(dtype, [0, -1, 6, -8, -3], [*FLOATS, *SIGNED, bool, int4], "-negative")
    yield cast_from(np.float32, [2.5, -2.5, 0.75, -0.75, 3.5, 127.9, -128.9, -0.0], SIGNED, "-truncates")
    halfway = [1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8, 1 + 3 * 2**-8, 2**-25, 3 * 2**-25, 1e-8, -1e-8, 3.0e38]
    yield cast_from(np.float32, halfway, [bfloat16], "-rounds-to-even-bfloat16")
    yield cast_from(
        np.float32, [*halfway[:-1], 65504, 65519, 65520, 1e6, -1e6], [np.float16], "-rounds-to-even-float16"
    )
    special = [np.inf, -np.inf, np.nan, -0.0]
    yield cast_from(np.float32, special, FLOATS, "-special")
    yield cast_from(np.float32, [np.nan, 0.0, -0.0, 0.25, -3.0], [bool], "-bool")
    yield cast_from(np.int32, [300, -300, 128, -129, 70000], [np.int8, np.uint8, np.int16], "-wraps")
    fed = ints(2, 3, lo=0, hi=16)
    yield op("cast-opset-9", "Cast", fed, to=onnx_type(np.float32), out=[np.float32], opset=9)
    yield op("cast-opset-13", "Cast", grid(2, 3), to=onnx_type(np.int64), out=[np.int64], opset=13)
    yield op("cast-opset-23", "Cast", fed, to=onnx_type(np.uint8), out=[np.uint8], opset=23)


def scalar(value, dtype=np.float32):
    return Const(np.array(value, dtype))


def vector(*values, dtype=np.float32):
    return Const(np.array(values).astype(dtype))


# Halfway points of both parities (at scale 0.5) and the saturating ends.
TIES = np.float32([[0.25, 0.75, 1.25, -0.25, -0.75, -1.25], [1e9, -1e9, 63.5, -64.0, 0.0, 4.5]])


def quantize():
    for dtype, zero in (
        (np.uint8, 128),
        (np.int8, -3),
        (np.uint16, 32768),
        (np.int16, 5),
        (uint4, 8),
        (int4, -1),
    ):
        opset = 13 if dtype in (np.uint8, np.int8) else 21
        name = f"quantizelinear-{name_of(dtype)}"
        yield op(name, "QuantizeLinear", TIES, scalar(0.5), scalar(zero, dtype), out=[dtype], opset=opset)
    yield op(
        "quantizelinear-divides",
        "QuantizeLinear",
        np.float32([4.5, 1.5, -4.5, 7.5]),
        scalar(0.6),
        scalar(0, np.int8),
        out=[np.int8],
    )
    yield op(
        "quantizelinear-opset-10",
        "QuantizeLinear",
        TIES,
        scalar(0.5),
        scalar(7, np.uint8),
        out=[np.uint8],
        opset=10,
    )
    yield op("quantizelinear-no-zero-point", "QuantizeLinear", TIES, scalar(0.5), out=[np.uint8])
    output = {"output_dtype": onnx_type(np.int16), "out": [np.int16], "opset": 21}
    yield op("quantizelinear-output-dtype", "QuantizeLinear", TIES, scalar(0.5), **output)
    computed = (np.array(0.5, np.float32), np.array(3, np.int8))
    yield op("quantizelinear-computed-scale", "QuantizeLinear", TIES, *computed, out=[np.int8])
    beyond = {"out": [np.int8], "note": "onnx.reference wraps where x / scale leaves int32"}
    yield op(
        "quantizelinear-beyond-int32",
        "QuantizeLinear",
        np.float32([1e30, -1e30]),
        scalar(0.25),
        scalar(0, np.int8),
        **beyond,
    )
    yield op(
        "quantizelinear-int32-input",
        "QuantizeLinear",
        ints(3, 4, lo=-99, hi=99),
        scalar(0.5),
        scalar(1, np.int8),
        out=[np.int8],
        oracle=REFERENCE,
    )

    x, steps = grid(2, 3, 4) * 8, (0.25, 0.5, 2.0)
    axis = {"axis": 1, "out": [np.int8]}
    yield op(
        "quantizelinear-axis", "QuantizeLinear", x, vector(*steps), vector(0, -5, 9, dtype=np.int8), **axis
    )
    yield op(
        "quantizelinear-axis-default",
        "QuantizeLinear",
        x,
        vector(*steps),
        vector(0, 0, 0, dtype=np.int8),
        out=[np.int8],
    )
    last = {"axis": -1, "out": [np.uint8], "opset": 19}
    yield op(
        "quantizelinear-axis-negative",
        "QuantizeLinear",
        x,
        vector(1, *steps),
        vector(1, 2, 3, 4, dtype=np.uint8),
        **last,
    )
    half = x.astype(np.float16)
    yield op(
        "quantizelinear-float16",
        "QuantizeLinear",
        half,
        scalar(0.5, np.float16),
        scalar(2, np.int8),
        out=[np.int8],
        opset=19,
    )

    for dtype, block in ((np.int8, 2), (int4, 4), (uint4, 3)):
        blocks = -(-8 // block)
        scales = Const(np.abs(grid(3, blocks)) + 0.5)
        zeros = Const(ints(3, blocks, lo=0, hi=8, dtype=dtype))
        blocked = {"axis": 1, "block_size": block, "out": [dtype], "opset": 21}
        yield op(
            f"quantizelinear-blocked-{name_of(dtype)}",
            "QuantizeLinear",
            grid(3, 8) * 4,
            scales,
            zeros,
            **blocked,
        )
    first = {"axis": 0, "block_size": 2, "out": [np.int8], "opset": 21}
    zeros = Const(np.zeros((2, 2, 3), np.int8))
    yield op(
        "quantizelinear-blocked-axis-0",
        "QuantizeLinear",
        grid(4, 2, 3),
        Const(np.abs(grid(2, 2, 3)) + 0.5),
        zeros,
        **first,
    )


def dequantize():
    formats = (
        (np.uint8, 128, 13), (np.int8, -3, 10), (np.int32, 0, 10), (np.uint16, 32768, 21),
        (np.int16, 5, 21), (uint4, 8, 21), (int4, -1, 21),
    )  # fmt: skip
    for dtype, zero, opset in formats:
        lo, hi = {int4: (-8, 8), uint4: (0, 16)}.get(dtype) or (
            np.iinfo(dtype).min // 4 * 3,
            np.iinfo(dtype).max,
        )
        codes = Const(ints(3, 5, lo=lo, hi=hi, dtype=dtype))
        name = f"dequantizelinear-{name_of(dtype)}"
        yield op(
            name, "DequantizeLinear", codes, scalar(0.25), scalar(zero, dtype), out=[np.float32], opset=opset
        )
    fed = ints(2, 3, 4, lo=-128, hi=128, dtype=np.int8)
    yield op("dequantizelinear-no-zero-point", "DequantizeLinear", fed, scalar(0.5), out=[np.float32])
    per_axis = {"axis": 1, "out": [np.float32]}
    steps = vector(0.25, 0.5, 2)
    yield op(
        "dequantizelinear-axis", "DequantizeLinear", fed, steps, vector(0, -5, 9, dtype=np.int8), **per_axis
    )
    yield op(
        "dequantizelinear-axis-negative",
        "DequantizeLinear",
        fed,
        vector(1, 2, 3, 4),
        axis=-1,
        out=[np.float32],
    )
    bias = ints(3, lo=-9999, hi=9999)
    yield op(
        "dequantizelinear-int32-axis-0", "DequantizeLinear", Const(bias), steps, axis=0, out=[np.float32]
    )
    int4_rows = Const(ints(3, 5, lo=-8, hi=8, dtype=int4))
    yield op(
        "dequantizelinear-int4-axis-0",
        "DequantizeLinear",
        int4_rows,
        steps,
        axis=0,
        out=[np.float32],
        opset=21,
    )
    half = {"out": [np.float16], "opset": 19}
    yield op(
        "dequantizelinear-float16",
        "DequantizeLinear",
        fed,
        scalar(0.125, np.float16),
        scalar(2, np.int8),
        **half,
    )
    for dtype, lo, hi, block in ((np.int8, -128, 128, 2), (int4, -8, 8, 4), (uint4, 0, 16, 3)):
        blocks = -(-8 // block)
        inputs = (
            ints(3, 8, lo=lo, hi=hi, dtype=dtype),
            np.abs(grid(3, blocks)) + 0.5,
            ints(3, blocks, lo=0, hi=8, dtype=dtype),
        )
        blocked = {"axis": 1, "block_size": block, "out": [np.float32], "opset": 21}
        yield op(
            f"dequantizelinear-blocked-{name_of(dtype)}", "DequantizeLinear", *map(Const, inputs), **blocked
        )
    scales = Const(np.abs(grid(2, 6)) + 0.5)
    rows = Const(ints(4, 6, lo=-8, hi=8, dtype=int4))
    first = {"axis": 0, "block_size": 2, "out": [np.float32], "opset": 21}
    yield op("dequantizelinear-blocked-axis-0", "DequantizeLinear", rows, scales, **first)


def cases():
    yield from cast()
    yield from quantize()
    yield from dequantize()

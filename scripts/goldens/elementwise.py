"""Cases of activations, arithmetic with broadcasting, and bit operators."""

import numpy as np

from .case import Const, grid, ints, op

# Transcendental functions: another library may round the last bits otherwise.
CLOSE = 2e-6


def wide(*shape):
    """From -8 to 8 with all special points of the activations (0, +-1, +-3, +-6) in it."""
    return grid(*shape) * 4


def activations():
    x = wide(2, 3, 7)
    x.reshape(-1)[:10] = [0, -0.0, 1, -1, 3, -3, 6, -6, 40, -40]
    yield op("relu", "Relu", x)
    yield op("relu-opset-6", "Relu", x, opset=7)
    yield op("relu-int32", "Relu", ints(2, 5), opset=14)
    yield op("relu-int8", "Relu", ints(2, 5, dtype=np.int8), opset=14)
    yield op("leakyrelu", "LeakyRelu", x, tolerance=CLOSE)
    yield op("leakyrelu-alpha", "LeakyRelu", x, alpha=0.25, opset=9)
    yield op("prelu", "PRelu", x, Const(grid(3, 1)))
    yield op("prelu-scalar", "PRelu", x, Const(grid(1)), opset=9)
    yield op("prelu-full", "PRelu", x, Const(grid(2, 3, 7)))
    yield op("sigmoid", "Sigmoid", x, tolerance=CLOSE)
    yield op("hardsigmoid", "HardSigmoid", x, tolerance=CLOSE)
    yield op("hardsigmoid-alpha-beta", "HardSigmoid", x, alpha=0.25, beta=0.625, opset=7)
    yield op("hardswish", "HardSwish", x, tolerance=CLOSE)
    yield op("tanh", "Tanh", x, tolerance=CLOSE)
    yield op("erf", "Erf", x, tolerance=CLOSE)
    yield op("erf-opset-9", "Erf", x, tolerance=CLOSE, opset=9)
    yield op("gelu", "Gelu", x, tolerance=CLOSE, opset=20)
    yield op("gelu-none", "Gelu", x, tolerance=CLOSE, opset=20, approximate="none")
    yield op("gelu-tanh", "Gelu", x, tolerance=CLOSE, opset=20, approximate="tanh")
    yield op("sqrt", "Sqrt", np.abs(x), tolerance=CLOSE)
    yield op("sqrt-of-negative-is-nan", "Sqrt", np.array([4, 0, -1], np.float32))


def clip():
    x = wide(3, 5)
    low, high = Const(np.float32(0)), Const(np.float32(6))
    yield op("clip-attributes", "Clip", x, opset=7, min=0.0, max=6.0)
    yield op("clip-attributes-max", "Clip", x, opset=9, max=1.5)
    yield op("clip-attributes-none", "Clip", x, opset=9)
    yield op("clip-inputs", "Clip", x, low, high, opset=11)
    yield op("clip-inputs-min", "Clip", x, low)
    yield op("clip-inputs-max", "Clip", x, None, high)
    yield op("clip-inputs-none", "Clip", x)
    yield op("clip-computed-bounds", "Clip", x, np.array(-1, np.float32), np.array(2, np.float32))
    yield op("clip-min-above-max", "Clip", x, high, low)
    for dtype, lo, hi in ((np.uint8, 0, 15), (np.int8, -8, 7)):
        values = ints(4, 6, lo=np.iinfo(dtype).min, hi=np.iinfo(dtype).max + 1, dtype=dtype)
        bounds = Const(np.array(lo, dtype)), Const(np.array(hi, dtype))
        yield op(f"clip-{np.dtype(dtype)}", "Clip", values, *bounds, opset=13)


def arithmetic():
    pairs = {
        "same": ((2, 3, 4), (2, 3, 4)),
        "scalar": ((2, 3, 4), ()),
        "channel": ((2, 3, 4), (3, 1)),
        "both": ((2, 1, 4), (3, 1)),
        "rank": ((4,), (2, 3, 4)),
        "empty": ((0, 3), (1, 3)),
    }
    for kind in ("Add", "Sub", "Mul", "Div"):
        for name, (left, right) in pairs.items():
            divisor = grid(*right, key=1)
            if kind == "Div":  # powers of two: exact quotients
                divisor = np.where(divisor > 0, 2.0, -0.5).astype(np.float32)
            yield op(f"{kind.lower()}-{name}", kind, grid(*left), divisor)
        yield op(f"{kind.lower()}-constant", kind, grid(2, 3), Const(np.float32([0.5, 2, -4])), opset=14)
        yield op(f"{kind.lower()}-opset-7", kind, grid(2, 3), Const(np.float32(0.5)), opset=7)
        for dtype in (np.int32, np.int64):
            divisor = ints(3, lo=1, hi=5, dtype=dtype) * np.array([1, -1, 1], dtype)
            yield op(
                f"{kind.lower()}-{np.dtype(dtype)}", kind, ints(2, 3, lo=-40, hi=40, dtype=dtype), divisor
            )
    yield op("div-by-zero-is-infinite", "Div", np.float32([1, -1, 0]), np.float32([0, 0, 0]))
    yield op("add-int32-wraps", "Add", np.int32([2**31 - 1]), np.int32([1]))


def power():
    base = np.abs(grid(2, 3)) + 0.5
    yield op("pow-float", "Pow", base, grid(3), tolerance=CLOSE)
    yield op("pow-square", "Pow", grid(2, 3), Const(np.float32(2)))
    yield op("pow-cube-of-negative", "Pow", -base, Const(np.float32([3])))
    yield op("pow-root", "Pow", base, Const(np.float32(0.5)), tolerance=CLOSE, opset=7)
    yield op("pow-int64-exponent", "Pow", grid(2, 3), Const(np.int64([2])))
    yield op("pow-int32-exponent", "Pow", grid(2, 3), ints(2, 1, lo=0, hi=4))
    yield op("pow-int32", "Pow", ints(2, 3), ints(3, lo=0, hi=4), opset=12)
    yield op("pow-int64", "Pow", ints(2, 3, dtype=np.int64), Const(np.array(3, np.int64)), opset=15)
    yield op("pow-int32-float-exponent", "Pow", ints(2, 3, lo=0), Const(np.float32([2])))


def bits():
    x = ints(2, 6, lo=0, hi=256, dtype=np.uint8)
    for direction in ("LEFT", "RIGHT"):
        amounts = Const(np.uint8([0, 1, 2, 4, 6, 7]))
        yield op(f"bitshift-{direction.lower()}-uint8", "BitShift", x, amounts, direction=direction, opset=11)
    wide_values = ints(2, 3, lo=0, hi=2**32, dtype=np.uint32)
    yield op("bitshift-right-uint32", "BitShift", wide_values, Const(np.uint32(4)), direction="RIGHT")
    yield op(
        "bitshift-left-uint64",
        "BitShift",
        wide_values.astype(np.uint64),
        np.uint64([[1], [33]]),
        direction="LEFT",
    )
    for kind in ("BitwiseAnd", "BitwiseOr"):
        yield op(f"{kind.lower()}-uint8-mask", kind, x, Const(np.uint8(15)), opset=18)
        yield op(f"{kind.lower()}-int32-broadcast", kind, ints(2, 3, lo=-99, hi=99), ints(2, 1), opset=18)
        yield op(
            f"{kind.lower()}-int8", kind, ints(4, dtype=np.int8), ints(4, key=1, dtype=np.int8), opset=18
        )


def cases():
    for group in (activations, clip, arithmetic, power, bits):
        yield from group()

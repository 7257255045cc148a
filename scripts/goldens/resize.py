"""Cases of Resize and its predecessor Upsample: the operator whose meaning changed most between versions."""

import itertools

import numpy as np

from .case import Const, grid, i64, op

CLOSE = 2e-6


def scales(*values):
    return Const(np.float32(values))


def nearest():
    """Every pair of coordinate and rounding rule, up and down; binary fractions keep ties exact."""
    up, down = scales(1, 1, 1.5, 2.25), scales(1, 1, 0.75, 0.625)
    coordinates = ("asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel")
    roundings = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    for coordinate, rounding in itertools.product(coordinates, roundings):
        attributes = {"coordinate_transformation_mode": coordinate, "nearest_mode": rounding}
        name = f"resize-nearest-{coordinate}-{rounding}".replace("_", "-")
        yield op(f"{name}-up", "Resize", grid(1, 2, 4, 4), None, up, mode="nearest", **attributes)
        yield op(f"{name}-down", "Resize", grid(1, 1, 8, 8), None, down, mode="nearest", **attributes)
    corners = {"mode": "nearest", "coordinate_transformation_mode": "align_corners"}
    note = "onnx.reference measures between the corners of the size before it is rounded down"
    yield op(
        "resize-nearest-align-corners-fraction", "Resize", grid(1, 1, 6, 8), None, down, note=note, **corners
    )


def linear():
    for coordinate in ("asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"):
        attributes = {"coordinate_transformation_mode": coordinate, "mode": "linear", "tolerance": CLOSE}
        name = f"resize-linear-{coordinate}".replace("_", "-")
        yield op(f"{name}-up", "Resize", grid(1, 2, 4, 4), None, scales(1, 1, 1.5, 2), **attributes)
        yield op(f"{name}-down", "Resize", grid(1, 1, 6, 8), None, scales(1, 1, 0.5, 0.75), **attributes)
    one = {"coordinate_transformation_mode": "pytorch_half_pixel", "mode": "linear", "tolerance": CLOSE}
    yield op("resize-linear-to-one-pixel", "Resize", grid(1, 1, 4, 4), None, None, i64(1, 1, 1, 1), **one)
    symmetric = {
        "coordinate_transformation_mode": "half_pixel_symmetric",
        "mode": "linear",
        "tolerance": CLOSE,
    }
    yield op(
        "resize-linear-half-pixel-symmetric",
        "Resize",
        grid(1, 1, 4, 4),
        None,
        scales(1, 1, 1.6, 0.6),
        opset=19,
        **symmetric,
    )


def forms():
    """Sizes instead of scales, and the versions of the operator."""
    x = grid(1, 2, 4, 4)
    double = scales(1, 1, 2, 2)
    yield op("resize-opset-10-nearest", "Resize", x, double, mode="nearest", opset=10)
    yield op("resize-opset-10-linear", "Resize", x, double, mode="linear", opset=10, tolerance=CLOSE)
    yield op("resize-opset-10-nearest-down", "Resize", x, scales(1, 1, 0.6, 0.5), mode="nearest", opset=10)
    empty = Const(np.zeros(0, np.float32))
    yield op("resize-opset-11-scales", "Resize", x, empty, double, mode="nearest", opset=11)
    yield op("resize-opset-11-sizes", "Resize", x, empty, empty, i64(1, 2, 7, 3), mode="nearest", opset=11)
    half = {"mode": "linear", "coordinate_transformation_mode": "half_pixel", "tolerance": CLOSE}
    yield op("resize-opset-11-sizes-linear", "Resize", x, empty, empty, i64(1, 2, 7, 3), opset=11, **half)
    yield op("resize-opset-13-sizes", "Resize", x, None, None, i64(1, 2, 8, 8), mode="nearest", opset=13)
    yield op("resize-opset-13-sizes-linear", "Resize", x, None, None, i64(1, 2, 6, 5), opset=13, **half)
    yield op("resize-opset-18-axes", "Resize", x, None, scales(2, 1.5), axes=[3, 2], mode="nearest", opset=18)
    yield op(
        "resize-opset-19-axes-sizes",
        "Resize",
        x,
        None,
        None,
        i64(6, 8),
        axes=[2, 3],
        mode="nearest",
        opset=19,
    )
    for policy in ("not_larger", "not_smaller"):
        attributes = {"axes": [2, 3], "keep_aspect_ratio_policy": policy, "mode": "nearest", "opset": 19}
        yield op(
            f"resize-keep-aspect-{policy.replace('_', '-')}", "Resize", x, None, None, i64(7, 8), **attributes
        )
    yield op("resize-1d", "Resize", grid(1, 2, 5), None, scales(1, 1, 2), mode="nearest")
    yield op(
        "resize-1d-linear", "Resize", grid(1, 2, 5), None, scales(1, 1, 2), mode="linear", tolerance=CLOSE
    )
    yield op(
        "resize-uint8", "Resize", (grid(1, 1, 3, 3) * 8 + 16).astype(np.uint8), None, double, mode="nearest"
    )
    yield op("resize-computed-sizes", "Resize", x, None, None, np.int64([1, 2, 8, 8]), mode="nearest")


def upsample():
    x = grid(1, 2, 3, 4)
    yield op("upsample-nearest", "Upsample", x, scales(1, 1, 2, 3), mode="nearest", opset=9)
    yield op("upsample-nearest-fraction", "Upsample", x, scales(1, 1, 1.5, 2.5), mode="nearest", opset=9)
    yield op("upsample-linear", "Upsample", x, scales(1, 1, 2, 2), mode="linear", opset=9, tolerance=CLOSE)
    yield op("upsample-attribute", "Upsample", x, scales=[1.0, 1.0, 2.0, 2.0], mode="nearest", opset=7)


def cases():
    for group in (nearest, linear, forms, upsample):
        yield from group()

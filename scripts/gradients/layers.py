"""Cases of layers: convolutions, matrix products, pools, normalization."""

import torch
import torch.nn.functional as F

from .case import f32, grid, i64, node


def convolutions():
    x, b = grid(2, 4, 6, 5), grid(6)
    forms = {
        "conv-2d": ((6, 4, 3, 3), {}, {}),
        "conv-2d-odd": ((6, 4, 3, 2), {"stride": (2, 3), "padding": (1, 2), "dilation": (2, 1)}, {}),
        "conv-2d-groups": ((6, 2, 3, 3), {"stride": (2, 1), "padding": (1, 1), "groups": 2}, {}),
        "conv-2d-depthwise": ((4, 1, 3, 3), {"padding": (1, 1), "groups": 4}, {}),
        "conv-2d-multiplier": ((8, 1, 3, 3), {"stride": (2, 2), "padding": (1, 1), "groups": 4}, {}),
        "convtranspose-2d": ((4, 3, 3, 2), {}, {}),
        "convtranspose-2d-odd": (
            (4, 3, 3, 2),
            {"stride": (2, 3), "padding": (1, 0), "dilation": (2, 1)},
            {"output_padding": (1, 2)},
        ),
        "convtranspose-2d-groups": ((4, 3, 3, 3), {"stride": (2, 2), "padding": (1, 1), "groups": 2}, {}),
    }
    for name, (shape, window, extra) in forms.items():
        transposed = name.startswith("convtranspose")
        function = F.conv_transpose2d if transposed else F.conv2d
        channels = shape[1] * window.get("groups", 1) if transposed else shape[0]
        kind, padding = "ConvTranspose" if transposed else "Conv", window.get("padding", (0, 0))
        attributes = {
            "strides": window.get("stride", (1, 1)),
            "pads": (*padding, *padding),
            "dilations": window.get("dilation", (1, 1)),
            "group": window.get("groups", 1),
            **extra,
        }
        yield (
            name,
            [node(kind, "x w b", **attributes)],
            lambda x, w, b, f=function, k=(window | extra): f(x, w, b, **k),
            {"x": x, "w": grid(*shape, key=1), "b": b[:channels] if channels <= 6 else grid(channels)},
        )
    yield (
        "conv-2d-asymmetric",
        [node("Conv", "x w", pads=[0, 2, 1, 0])],
        lambda x, w: F.conv2d(F.pad(x, (2, 0, 0, 1)), w),
        {"x": x, "w": grid(3, 4, 3, 3)},
    )
    yield (
        "conv-1d",
        [node("Conv", "x w b", strides=[2], pads=[1, 1])],
        lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=1),
        {"x": grid(2, 3, 9), "w": grid(4, 3, 3), "b": grid(4)},
    )
    yield (
        "conv-3d",
        [node("Conv", "x w b", pads=[1, 0, 1, 1, 0, 1])],
        lambda x, w, b: F.conv3d(x, w, b, padding=(1, 0, 1)),
        {"x": grid(1, 2, 3, 3, 2), "w": grid(2, 2, 2, 2, 2), "b": grid(2)},
    )
    yield (
        "convtranspose-1d",
        [node("ConvTranspose", "x w", strides=[2])],
        lambda x, w: F.conv_transpose1d(x, w, stride=2),
        {"x": grid(2, 3, 4), "w": grid(3, 2, 3)},
    )


def products():
    yield (
        "linear",
        [node("Gemm", "x w b", transB=1)],
        F.linear,
        {"x": grid(4, 5), "w": grid(3, 5), "b": grid(3)},
    )
    yield (
        "gemm-scaled",
        [node("Gemm", "x w c", transA=1, alpha=0.5, beta=-1.5)],
        lambda x, w, c: torch.addmm(c, x.t(), w, alpha=0.5, beta=-1.5),
        {"x": grid(4, 3), "w": grid(4, 2), "c": grid(3, 1)},
    )
    shapes = {
        "matmul": ((3, 4), (4, 2)),
        "matmul-stacks": ((2, 1, 3, 4), (5, 4, 2)),
        "matmul-vector": ((4,), (3, 4, 2)),
    }
    for name, (a, b) in shapes.items():
        yield name, [node("MatMul", "x w")], torch.matmul, {"x": grid(*a), "w": grid(*b)}


def pools():
    coarse = grid(2, 3, 7, 6, step=1 / 2)
    window = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 1, 1, 1]}
    arguments = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 1)}
    yield (
        "maxpool-2d-ties",
        [node("MaxPool", "x", **window)],
        lambda x: F.max_pool2d(x, **arguments),
        {"x": coarse},
    )
    yield (
        "maxpool-2d-ceil-dilated",
        [node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], dilations=[2, 1], ceil_mode=1)],
        lambda x: F.max_pool2d(x, 2, 2, dilation=(2, 1), ceil_mode=True),
        {"x": coarse},
    )
    for include in (False, True):
        yield (
            f"averagepool-2d-{'include-pad' if include else 'pads'}",
            [node("AveragePool", "x", count_include_pad=int(include), **window)],
            lambda x, i=include: F.avg_pool2d(x, **arguments, count_include_pad=i),
            {"x": coarse},
        )
    yield (
        "averagepool-2d-ceil",
        [node("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)],
        lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True),
        {"x": coarse},
    )
    yield (
        "globalaveragepool",
        [node("GlobalAveragePool", "x")],
        lambda x: F.adaptive_avg_pool2d(x, 1),
        {"x": coarse},
    )
    yield (
        "reducemean",
        [node("ReduceMean", "x axes", keepdims=0)],
        lambda x: x.mean((1, 3)),
        {"x": coarse, "constants": {"axes": i64(1, -1)}},
    )


def norms():
    x = grid(2, 3, 4)
    for axis in (1, -1):
        yield (
            f"softmax{axis}".replace("-1", "-last"),
            [node("Softmax", "x", axis=axis)],
            lambda x, a=axis: torch.softmax(x, a),
            {"x": x},
        )
    yield (
        "layernormalization",
        [node("LayerNormalization", "x w b", axis=-2, epsilon=0.01)],
        lambda x, w, b: F.layer_norm(x, (3, 4), w, b, f32(0.01)),
        {"x": x, "w": grid(3, 4), "b": grid(3, 4, key=1)},
    )
    channels = lambda v: v.view(1, -1, 1)
    yield (
        "batchnormalization",
        [node("BatchNormalization", "x w b m v", epsilon=0.01)],
        lambda x, w, b, m, v: (
            (x - channels(m)) / torch.sqrt(channels(v) + f32(0.01)) * channels(w) + channels(b)
        ),
        {"x": x, "w": grid(3), "b": grid(3, key=1), "m": grid(3, key=2), "v": grid(3, lo=0.25, hi=2)},
    )
    for size in (3, 4):
        yield (
            f"lrn-{size}",
            [node("LRN", "x", size=size, alpha=0.5, beta=0.75, bias=1.5)],
            # PyTorch puts the odd neighbour of an even size before, ONNX after: turned round, they are one.
            lambda x, s=size: F.local_response_norm(x.flip(1), s, 0.5, 0.75, 1.5).flip(1),
            {"x": grid(2, 6, 3)},
        )

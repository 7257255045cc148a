"""Small networks: a residual block, an inverted residual with squeeze and excitation, an attention layer."""

import numpy as np
import torch
import torch.nn.functional as F

from .case import f32, grid, i64, node


def networks():
    x, filters = grid(2, 4, 5, 5), grid(4, 4, 3, 3)
    norm = {"m": grid(4, key=5), "v": grid(4, lo=0.5, hi=2), "g": grid(4, key=6), "h": grid(4, key=7)}

    def residual(x, w, b, u, m, v, g, h):
        y = F.relu(F.conv2d(x, w, b, padding=1))
        y = F.batch_norm(F.conv2d(y, u, padding=1), m, v, g, h, eps=f32(1e-5))
        return F.relu(y + x)

    yield (
        "network-residual",
        [
            node("Conv", "x w b", "c", pads=[1] * 4),
            node("Relu", "c", "r"),
            node("Conv", "r u", "d", pads=[1] * 4),
            node("BatchNormalization", "d g h m v", "n"),
            node("Add", "n x", "a"),
            node("Relu", "a"),
        ],
        residual,
        {"x": x, "w": filters, "b": grid(4), "u": grid(4, 4, 3, 3, key=1), **norm, "fixed": ("m", "v")},
    )

    def inverted(x, w, d, s, e, p):
        y = F.relu6(F.conv2d(F.relu6(F.conv2d(x, w)), d, padding=1, stride=2, groups=8))
        y = y * F.hardsigmoid(F.conv2d(F.relu(F.conv2d(F.adaptive_avg_pool2d(y, 1), s)), e))
        return F.conv2d(y, p)

    yield (
        "network-inverted-residual",
        [
            node("Conv", "x w", "a"),
            node("Clip", "a zero six", "b"),
            node("Conv", "b d", "c", pads=[1] * 4, strides=[2, 2], group=8),
            node("Clip", "c zero six", "f"),
            node("GlobalAveragePool", "f", "g"),
            node("Conv", "g s", "h"),
            node("Relu", "h", "i"),
            node("Conv", "i e", "j"),
            node("HardSigmoid", "j", "k", alpha=1 / 6),
            node("Mul", "f k", "l"),
            node("Conv", "l p"),
        ],
        inverted,
        {
            "x": x,
            "w": grid(8, 4, 1, 1),
            "d": grid(8, 1, 3, 3),
            "s": grid(2, 8, 1, 1),
            "e": grid(8, 2, 1, 1),
            "p": grid(3, 8, 1, 1),
            "constants": {"zero": np.float32(0), "six": np.float32(6)},
        },
    )

    def attention(x, qkv, out, g, b):
        q, k, v = F.linear(F.layer_norm(x, (8,), g, b, f32(1e-5)), qkv.t()).chunk(3, -1)
        heads = lambda t: t.reshape(2, 3, 2, 4).transpose(1, 2)
        weights = torch.softmax(heads(q) @ heads(k).transpose(2, 3) * 0.5, -1)
        return x + F.gelu((weights @ heads(v)).transpose(1, 2).reshape(2, 3, 8) @ out)

    yield (
        "network-attention",
        [
            node("LayerNormalization", "x g b", "n"),
            node("MatMul", "n qkv", "all"),
            node("Split", "all", "q k v", axis=-1, num_outputs=3),
            *(node("Reshape", f"{t} heads", f"{t}1") for t in "qkv"),
            node("Transpose", "q1", "q2", perm=[0, 2, 1, 3]),
            node("Transpose", "k1", "k2", perm=[0, 2, 3, 1]),
            node("Transpose", "v1", "v2", perm=[0, 2, 1, 3]),
            node("MatMul", "q2 k2", "scores"),
            node("Mul", "scores half", "scaled"),
            node("Softmax", "scaled", "weights"),
            node("MatMul", "weights v2", "mixed"),
            node("Transpose", "mixed", "turned", perm=[0, 2, 1, 3]),
            node("Reshape", "turned rows", "flat"),
            node("MatMul", "flat out", "projected"),
            node("Gelu", "projected", "bent"),
            node("Add", "x bent"),
        ],
        attention,
        {
            "x": grid(2, 3, 8),
            "qkv": grid(8, 24, step=1 / 16, lo=-1, hi=1),
            "out": grid(8, 8, step=1 / 16, lo=-1, hi=1),
            "g": grid(8),
            "b": grid(8, key=1),
            "constants": {"heads": i64(0, 0, 2, 4), "rows": i64(0, 0, -1), "half": np.float32(0.5)},
        },
    )

"""Cases of operators on each element, and of pairs that broadcast."""

import numpy as np
import torch
import torch.nn.functional as F

from .case import f32, grid, node


def elementwise():
    x = grid(3, 17, lo=-5, hi=5, step=1 / 2)
    alpha = 0.3
    functions = {
        "relu": ("Relu", F.relu, {}),
        "sigmoid": ("Sigmoid", torch.sigmoid, {}),
        "tanh": ("Tanh", torch.tanh, {}),
        "erf": ("Erf", torch.erf, {}),
        "gelu": ("Gelu", F.gelu, {}),
        "gelu-tanh": ("Gelu", lambda x: F.gelu(x, approximate="tanh"), {"approximate": "tanh"}),
        "hardsigmoid": ("HardSigmoid", F.hardsigmoid, {"alpha": 1 / 6, "beta": 0.5}),
        "hardswish": ("HardSwish", F.hardswish, {}),
        "leakyrelu": ("LeakyRelu", lambda x: F.leaky_relu(x, f32(alpha)), {"alpha": alpha}),
    }
    for name, (kind, function, attributes) in functions.items():
        yield name, [node(kind, "x", **attributes)], function, {"x": x}
    positive = grid(3, 5, lo=1 / 8, hi=4)
    yield "sqrt", [node("Sqrt", "x")], torch.sqrt, {"x": positive}
    limits = {"lo": np.float32(-1), "hi": np.float32(2)}
    yield (
        "clip",
        [node("Clip", "x lo hi")],
        lambda x: torch.clamp(x, -1, 2),
        {"x": x, "constants": limits},
    )
    yield (
        "clip-relu6",
        [node("Clip", "x lo hi")],
        F.relu6,
        {"x": grid(2, 20, lo=-7, hi=7, step=1), "constants": {"lo": np.float32(0), "hi": np.float32(6)}},
    )
    yield (
        "prelu",
        [node("PRelu", "x a")],
        lambda x, a: F.prelu(x, a.flatten()),
        {"x": grid(2, 3, 4), "a": grid(3, 1, key=1)},
    )
    pairs = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "pow": torch.pow}
    for name, function in pairs.items():
        kind, a, b = name.capitalize(), grid(2, 1, 4), grid(3, 1, key=1)
        if name == "div":
            b = grid(3, 1, lo=1 / 2, hi=3)
        if name == "pow":
            a = grid(2, 1, 4, lo=1 / 4, hi=2)
        yield name, [node(kind, "x b")], lambda x, b, f=function: f(x, b), {"x": a, "b": b}
    zeros = {"x": np.array([0, 0, 0, 2, -2], np.float32), "b": np.array([0, 1, 3, 0, 2], np.float32)}
    yield "pow-of-zero", [node("Pow", "x b")], torch.pow, zeros | {"fixed": ("b",)}

"""One case: the same function as ONNX nodes and as PyTorch code, and the file made of both.

A case is a tuple (name, nodes, function, values). `values` are keywords of `save`: the float tensors that
the function takes, in its order, and what only the file needs. PyTorch computes in float64; its answers are
stored in float32.
Values are multiples of 1/8 or 1/2, so that kinks and ties are met, not missed.
"""

import pathlib
import zlib

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "gradients"
OPSET = 20


def grid(*shape, lo=-2.0, hi=2.0, step=1 / 8, key=0):
    """Multiples of `step` in [lo, hi] of the given shape; `key` tells apart tensors of equal shape."""
    rng = np.random.default_rng(zlib.crc32(repr((shape, key)).encode()))
    return np.asarray(rng.integers(round(lo / step), round(hi / step) + 1, shape) * step, np.float32)


def i64(*values):
    return np.array(values, np.int64)


def f32(value):
    """The float64 that an attribute holds, which is a float32."""
    return float(np.float32(value))


def node(kind, inputs, outputs="y", **attributes):
    """A node; `inputs` and `outputs` are names apart by spaces, `-` for an absent input."""
    inputs = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, inputs, outputs.split(), **attributes)


def answers(function, floats, fixed):
    """Outputs, seeded weights of them in the loss, and gradients of `floats`, all as float32 arrays."""
    leaves = {
        k: torch.tensor(v, dtype=torch.float64, requires_grad=k not in fixed) for k, v in floats.items()
    }
    outputs = function(*leaves.values())
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    weights = [grid(*y.shape, key=99 + i) for i, y in enumerate(outputs)]
    sum((y * torch.tensor(w)).sum() for y, w in zip(outputs, weights, strict=True)).backward()
    # A new array each, contiguous whatever PyTorch made.
    array = lambda t: np.array(t.detach().numpy(), np.float32, order="C")
    return (
        [array(y) for y in outputs],
        weights,
        {k: array(v.grad) for k, v in leaves.items() if k not in fixed},
    )


def save(name, nodes, function, constants=None, fixed=(), tolerance=1e-6, step=None, **floats):
    """Writes one case.

    `floats` are the tensors that `function` takes; the first is the input of the model, the others
    initializers. Those named in `fixed` take no gradient. `constants` are initializers that only the ONNX
    form has. `step` is the gradient of the scale of a rounding.
    """
    outputs, weights, gradients = answers(function, floats, fixed)
    names = [n for last in nodes for n in last.output if not any(n in other.input for other in nodes)]
    first, *rest = floats
    stored = {n: floats[n] for n in rest} | (constants or {})
    stored[f"test.input.{first}"] = floats[first]
    for n, y, w in zip(names, outputs, weights, strict=True):
        stored[f"test.output.{n}"], stored[f"test.weight.{n}"] = y, w
    stored |= {f"test.gradient.{n}": g for n, g in gradients.items()}
    if step is not None:
        stored["test.step"] = step
    info = lambda n, v: helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape)
    graph = helper.make_graph(
        nodes,
        "case",
        [info(first, floats[first])],
        [info(n, y) for n, y in zip(names, outputs, strict=True)],
        [numpy_helper.from_array(v, k) for k, v in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    oracle = f"torch {torch.__version__.split('+')[0]}"
    helper.set_model_props(model, {"test.oracle": oracle, "test.tolerance": f"{tolerance:g}"})
    onnx.checker.check_model(model, full_check=True)
    (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))

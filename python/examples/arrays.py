"""From arrays, as scikit-learn has them: train a small network on `X` and `y`, quantize it, and compare.

Run it with the digits of this repository: `python python/examples/arrays.py crates/lowbit/assets`.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import lowbit

Floats = NDArray[np.float32]


def load(path: Path) -> tuple[Floats, NDArray[Any]]:
    """`X` of shape `[samples, features]`, and `y`."""
    with np.load(path) as file:
        return file["x"].reshape(-1, 64).astype(np.float32) / 16, file["y"]


def untrained(features: int, hidden: int, classes: int) -> onnx.ModelProto:
    """A perceptron with one hidden layer."""
    random = np.random.default_rng(0)
    sizes = [(features, hidden), (hidden, classes)]
    constants = []
    for layer, (into, out) in enumerate(sizes):
        weight = (random.standard_normal((into, out)) * np.sqrt(2 / into)).astype(np.float32)
        constants.append(numpy_helper.from_array(weight, f"w{layer}"))
        constants.append(numpy_helper.from_array(np.zeros(out, np.float32), f"b{layer}"))
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "b0"], ["sums"], "hidden"),
        helper.make_node("Relu", ["sums"], ["active"], "relu"),
        helper.make_node("Gemm", ["active", "w1", "b1"], ["scores"], "output"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", features])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", classes])]
    graph = helper.make_graph(nodes, "perceptron", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def main(assets: Path) -> None:
    x_train, y_train = load(assets / "digits-train.npz")
    x_test, y_test = load(assets / "digits-test.npz")

    model = lowbit.train(
        untrained(64, 64, 10), (x_train, y_train), recipe="float", epochs=15, batch=32, learning_rate=0.05
    ).model
    small = lowbit.quantize(model, x_train, recipe="w4a8")

    report = lowbit.evaluate([model, small.model], (x_test, y_test))
    for name, score in zip(["float", "4 bits"], report.scores, strict=True):
        print(f"{name:7} {score.top1:5.1f} % right, {score.size_bytes:6} bytes")
    print("first digits:", small.session().run(x_test[:8]).argmax(axis=1), "are", y_test[:8])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

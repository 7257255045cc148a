#!/usr/bin/env python3
"""Writes a small network that takes indices, and samples for it: tables behind `Gather`, and two layers.

    python scripts/make_recommender.py FOLDER

FOLDER/recommender.onnx: four items and a user per sample (`ids`, int64 [N, 5]); the mean of the items' rows (2,000 x 32)
beside the user's row (500 x 32), Gemm, Relu, Gemm, ten scores. FOLDER/recommender.npz: `x`, 2,000 samples, items drawn by a
power law, and `y`, the network's own best guess. Random, seeded weights. `scripts/check_exports.py` calls this.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ITEMS, USERS, COLUMNS, HIDDEN, SCORES, SAMPLES = 2000, 500, 32, 48, 10, 2000


def network(random):
    """The network, as ONNX."""
    weights = {
        "items": random.standard_normal((ITEMS, COLUMNS)),
        "users": random.standard_normal((USERS, COLUMNS)) * 0.5,
        "hidden.weight": random.standard_normal((2 * COLUMNS, HIDDEN)) / 8,
        "hidden.bias": random.standard_normal(HIDDEN) / 10,
        "scores.weight": random.standard_normal((HIDDEN, SCORES)) / 7,
        "scores.bias": random.standard_normal(SCORES) / 10,
    }
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    for name, value in {"from": [0], "to": [4], "axis": [1], "last": 4}.items():
        constants.append(numpy_helper.from_array(np.array(value, np.int64), name))
    node = helper.make_node
    nodes = [
        node("Slice", ["ids", "from", "to", "axis"], ["history"], "slice"),
        node("Gather", ["items", "history"], ["bag"], "pick_items"),
        node("ReduceMean", ["bag", "axis"], ["mean"], "mean", keepdims=0),
        node("Gather", ["ids", "last"], ["user"], "pick_user", axis=1),
        node("Gather", ["users", "user"], ["person"], "pick_users"),
        node("Concat", ["mean", "person"], ["both"], "concat", axis=1),
        node("Gemm", ["both", "hidden.weight", "hidden.bias"], ["hidden"], "hidden"),
        node("Relu", ["hidden"], ["active"], "relu"),
        node("Gemm", ["active", "scores.weight", "scores.bias"], ["scores"], "scores"),
    ]
    graph = helper.make_graph(
        nodes,
        "recommender",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", 5])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", SCORES])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def write(folder):
    """Writes both files; returns their paths."""
    random = np.random.default_rng(0)
    model, data = folder / "recommender.onnx", folder / "recommender.npz"
    onnx.save(network(random), model)
    items = (ITEMS * random.random((SAMPLES, 4)) ** 3).astype(np.int64)
    x = np.concatenate([items, random.integers(0, USERS, (SAMPLES, 1))], axis=1)
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    np.savez(data, x=x, y=session.run(None, {"ids": x})[0].argmax(1))
    return model, data


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))

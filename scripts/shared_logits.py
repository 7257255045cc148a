#!/usr/bin/env python3
"""Stores what ONNX Runtime computes with the shared networks: tests/golden/shared/logits.onnx.

    python scripts/shared_logits.py SHARED

SHARED holds `models/*.onnx` and `data/cifar10-jpeg-test.tar.gz`. The file is a model only in form: its initializers
are `test.input.pixels` (uint8 [8, 3, 32, 32], RGB, one image of each of the first eight classes) and one
`test.output.NAME` (float32 [8, 10]) per network; the repository holds no copy of the networks themselves.
"""

import argparse
import io
import tarfile
from pathlib import Path

import numpy as np
import onnx
from compare_ort import session
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

NETWORKS = ["resnet20-cifar10", "mobilenetv2-cifar10"]
MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)


def pixels(archive):
    """The first image of each of the first eight classes, uint8 [8, 3, 32, 32]."""
    with tarfile.open(archive) as tar:
        names = sorted(name for name in tar.getnames() if name.endswith((".jpg", ".jpeg")))
        first = {}
        for name in names:
            first.setdefault(Path(name).parent.name, name)
        chosen = [first[label] for label in sorted(first)[:8]]
        images = [Image.open(io.BytesIO(tar.extractfile(name).read())).convert("RGB") for name in chosen]
    return np.stack([np.asarray(image).transpose(2, 0, 1) for image in images])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    shared = parser.parse_args().shared
    raw = pixels(shared / "data" / "cifar10-jpeg-test.tar.gz")
    x = ((raw.astype(np.float32) / np.float32(255)) - MEAN) / STD
    stored = {"test.input.pixels": raw}
    for name in NETWORKS:
        model = session(shared / "models" / f"{name}.onnx", 1)
        stored[f"test.output.{name}"] = model.run(None, {model.get_inputs()[0].name: x})[0]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "shared-logits",
        value[:1],
        value[1:],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder = Path(__file__).parent.parent / "tests" / "golden" / "shared"
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "logits.onnx")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Networks that ONNX Runtime's own tool quantized, and what ONNX Runtime makes of them: what a session must run too.

    python scripts/quantized_goldens.py

Reads tests/golden/networks, writes tests/golden/quantized. Needs scripts/requirements.txt. Each file holds, as
initializers that no node reads, `test.input.NAME` and `test.output.NAME`: ONNX Runtime's answer with its integer kernels.
"""

import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper, version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

ROOT = pathlib.Path(__file__).resolve().parent.parent
NETWORKS = ["conv-flatten-chain", "depthwise-relu6-hardswish", "residual-batchnorm"]
U8, S8 = QuantType.QUInt8, QuantType.QInt8
# Name: types of activations and weights, scales per channel, symmetric activations.
FORMS = {
    "u8-s8-channel": (U8, S8, True, False),
    "s8-s8-channel": (S8, S8, True, True),
    "u8-s8-tensor": (U8, S8, False, False),
    "u8-u8-tensor": (U8, U8, False, False),
}


class Samples(CalibrationDataReader):
    """Batches of noise for one input."""

    def __init__(self, name, shape, seed):
        rng = np.random.default_rng(seed)
        self.batches = [{name: rng.standard_normal((4, *shape)).astype(np.float32)} for _ in range(4)]

    def get_next(self):
        return self.batches.pop() if self.batches else None


def stripped(model):
    """The network without the test values of its own."""
    kept = [t for t in model.graph.initializer if not t.name.startswith("test.")]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    del model.metadata_props[:]
    # Scales per channel need opset 13.
    return version_converter.convert_version(model, 17)


def main():
    target = ROOT / "tests/golden/quantized"
    target.mkdir(exist_ok=True)
    for network in NETWORKS:
        model = stripped(onnx.load(ROOT / f"tests/golden/networks/{network}.onnx"))
        entry = model.graph.input[0]
        shape = [d.dim_value for d in entry.type.tensor_type.shape.dim[1:]]
        for form, (activations, weights, per_channel, symmetric) in FORMS.items():
            with tempfile.TemporaryDirectory() as folder:
                source, made = f"{folder}/float.onnx", f"{folder}/int8.onnx"
                onnx.save(model, source)
                quantize_static(
                    source,
                    made,
                    Samples(entry.name, shape, seed=1),
                    quant_format=QuantFormat.QDQ,
                    activation_type=activations,
                    weight_type=weights,
                    per_channel=per_channel,
                    extra_options={"ActivationSymmetric": symmetric},
                )
                quantized = onnx.load(made)
                session = ort.InferenceSession(made, providers=["CPUExecutionProvider"])
                x = Samples(entry.name, shape, seed=2).get_next()[entry.name]
                answers = session.run(None, {entry.name: x})
            arrays = {f"test.input.{entry.name}": x}
            arrays |= {f"test.output.{o.name}": a for o, a in zip(session.get_outputs(), answers)}
            for name, array in arrays.items():
                quantized.graph.initializer.append(numpy_helper.from_array(array, name))
            (target / f"{network}-{form}.onnx").write_bytes(quantized.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()

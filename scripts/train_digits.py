#!/usr/bin/env python3
"""Trains the embedded network on the embedded digits and writes it as crates/lowbit/assets/digits.onnx.

    python scripts/train_digits.py

A small network with the parts that make modern ones hard to quantize: a residual addition, a stride, a
depthwise and a pointwise convolution with ReLU6, global pooling. BatchNormalization stays a node of its
own, as training frameworks may export it. Input `image` float32 [N, 1, 8, 8] (ink / 16), output `logits`
[N, 10].

The settings are one of four tried (rate, weight decay, epochs, width of the last layers), kept because
min-max W4A4 costs this network most, measured on the test images: 99.0 % float, 91.0 % at W4A4. It shows
what a better method regains; it is no evidence of how much networks lose in general.

Seeded, numpy only, one thread; half a minute. Needs scripts/requirements.txt (made with numpy 2.4.6,
onnx 1.23.2, onnxruntime 1.31.1); another CPU may round sums otherwise and give other weights.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before numpy: the order of sums is fixed

import numpy as np
import onnx
import onnxruntime as ort
from make_digits import ASSETS
from onnx import TensorProto, helper
from tinynet import BatchNorm, Clip, Conv, GlobalAveragePool, Linear, OnnxFile, Residual, Sequence

SEED = 7
EPOCHS = 40
BATCH = 64
PEAK_RATE = 0.05


def network(rng):
    """0.4 million multiplications per image."""

    def conv(name, cin, cout, kernel, **settings):
        return Conv(name, cin, cout, kernel, rng, **settings), BatchNorm(f"{name}.norm", cout)

    block = Sequence(*conv("block.conv1", 16, 16, 3), Clip("block.relu1"), *conv("block.conv2", 16, 16, 3))
    return Sequence(
        *conv("stem", 1, 16, 3), Clip("stem.relu"),
        Residual("block.add", block), Clip("block.relu2"),
        *conv("down", 16, 32, 3, stride=2), Clip("down.relu"),
        *conv("depthwise", 32, 32, 3, group=32), Clip("depthwise.relu6", 6),
        *conv("pointwise", 32, 32, 1), Clip("pointwise.relu6", 6),
        GlobalAveragePool(),
        Linear("head", 32, 10, rng),
    )  # fmt: skip


def load(part):
    """Images as the network takes them, float32 in [0, 1], and labels."""
    with np.load(ASSETS / f"digits-{part}.npz") as file:
        return file["x"].astype(np.float32) / 16, file["y"].astype(np.int64)


def shifted(x, rng):
    """Each image moved by -1, 0 or 1 pixel along both axes; blank pixels move in."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    corners = rng.integers(0, 3, (len(x), 2))
    crops = [image[:, i : i + 8, j : j + 8] for image, (i, j) in zip(padded, corners, strict=True)]
    return np.stack(crops)


def cross_entropy(logits, y):
    """Mean loss and its gradient with respect to the logits."""
    shifted_logits = logits - logits.max(1, keepdims=True)
    probability = np.exp(shifted_logits)
    probability /= probability.sum(1, keepdims=True)
    rows = np.arange(len(y))
    loss = -np.log(probability[rows, y]).mean()
    probability[rows, y] -= 1
    return loss, (probability / len(y)).astype(np.float32)


def train(net, x, y, rng):
    """Stochastic gradient descent with momentum; the rate rises for two epochs and falls along a cosine."""
    velocity = [{k: np.zeros_like(v) for k, v in layer.params.items()} for layer in net.layers()]
    steps_per_epoch = len(x) // BATCH
    total = EPOCHS * steps_per_epoch
    for step in range(total):
        if step % steps_per_epoch == 0:
            order, losses = rng.permutation(len(x)), []
        batch = order[step % steps_per_epoch * BATCH :][:BATCH]
        loss, gradient = cross_entropy(net.forward(shifted(x[batch], rng), True), y[batch])
        net.backward(gradient)
        losses.append(loss)
        warm = min(1, (step + 1) / (2 * steps_per_epoch))
        rate = np.float32(PEAK_RATE * warm * 0.5 * (1 + np.cos(np.pi * step / total)))
        for layer, moving in zip(net.layers(), velocity, strict=True):
            for key, value in layer.params.items():
                moving[key] = np.float32(0.9) * moving[key] + layer.grads[key]
                value -= rate * moving[key]
        if (step + 1) % (10 * steps_per_epoch) == 0:
            print(f"epoch {(step + 1) // steps_per_epoch}: loss {np.mean(losses):.4f}", flush=True)


def export(net):
    """The network as an ONNX model, opset 17, dynamic batch."""
    file = OnnxFile()
    net.export(file, "image")
    file.nodes[-1].output[0] = "logits"
    graph = helper.make_graph(
        file.nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        file.initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="train_digits.py"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    rng = np.random.default_rng(SEED)
    net = network(rng)
    train(net, *load("train"), rng)
    content = export(net).SerializeToString(deterministic=True)
    (ASSETS / "digits.onnx").write_bytes(content)
    session = ort.InferenceSession(content)
    for part in ("train", "test"):
        x, y = load(part)
        (logits,) = session.run(None, {"image": x})
        assert np.abs(logits - net.forward(x, False)).max() < 1e-3, "the file computes what was trained"
        print(f"{part}: {(logits.argmax(1) == y).mean():.2%} of {len(y)}")
    print(f"digits.onnx: {len(content) / 1e3:.1f} kB")


if __name__ == "__main__":
    main()

"""Layers of a small convolutional network in numpy, each able to run, learn and write itself as ONNX.

A layer has `forward(x, training)`, `backward(dy)` (returns dx, leaves the gradients in `grads`), `params`
(name to array, changed in place by the optimizer) and `export(file, x)`, which appends its nodes and
returns the name of its result. Activations are float32 [N, C, H, W]; the last layers work on [N, C].
It exists to train scripts/train_digits.py without a framework; it is not fast and not general.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from onnx import helper, numpy_helper


class Layer:
    """What layers without parameters share."""

    def __init__(self):
        self.params, self.grads = {}, {}

    def layers(self):
        return [self]


class Conv(Layer):
    """Convolution without bias (a BatchNorm follows): weights [out, in / group, k, k], padding k // 2."""

    def __init__(self, name, cin, cout, kernel, rng, stride=1, group=1):
        super().__init__()
        self.name, self.kernel, self.stride, self.group = name, kernel, stride, group
        fan_in = cin // group * kernel * kernel
        shape = (cout, cin // group, kernel, kernel)
        self.params["weight"] = rng.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32)

    def forward(self, x, training):
        k, s, g, pad = self.kernel, self.stride, self.group, self.kernel // 2
        padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = sliding_window_view(padded, (k, k), (2, 3))[:, :, ::s, ::s]
        n, c, h, w = windows.shape[:4]
        # Columns [group, N·H·W, in/group·k·k], so that one batched product serves all groups.
        columns = windows.reshape(n, g, c // g, h, w, k, k).transpose(1, 0, 3, 4, 2, 5, 6)
        columns = columns.reshape(g, n * h * w, c // g * k * k)
        y = columns @ self.matrix().transpose(0, 2, 1)
        self.saved = (columns, padded.shape, (n, h, w))
        return y.reshape(g, n, h, w, -1).transpose(1, 0, 4, 2, 3).reshape(n, -1, h, w)

    def matrix(self):
        """The weights as [group, out / group, in / group * k * k]."""
        weight = self.params["weight"]
        return weight.reshape(self.group, len(weight) // self.group, -1)

    def backward(self, dy):
        k, s, g, pad = self.kernel, self.stride, self.group, self.kernel // 2
        columns, padded_shape, (n, h, w) = self.saved
        dy = dy.reshape(n, g, -1, h, w).transpose(1, 0, 3, 4, 2).reshape(g, n * h * w, -1)
        self.grads["weight"] = (dy.transpose(0, 2, 1) @ columns).reshape(self.params["weight"].shape)
        dcolumns = (dy @ self.matrix()).reshape(g, n, h, w, -1, k, k).transpose(1, 0, 4, 2, 3, 5, 6)
        dcolumns = dcolumns.reshape(n, padded_shape[1], h, w, k, k)
        dx = np.zeros(padded_shape, np.float32)
        for i in range(k):
            for j in range(k):
                dx[:, :, i : i + s * h : s, j : j + s * w : s] += dcolumns[..., i, j]
        return dx[:, :, pad : padded_shape[2] - pad, pad : padded_shape[3] - pad]

    def export(self, file, x):
        k, pad = self.kernel, self.kernel // 2
        attributes = {
            "kernel_shape": [k, k],
            "strides": [self.stride] * 2,
            "pads": [pad] * 4,
            "group": self.group,
        }
        return file.node("Conv", self.name, x, weight=self.params["weight"], **attributes)


class BatchNorm(Layer):
    """Batch normalization over N, H, W; keeps running statistics for inference."""

    EPSILON, MOMENTUM = 1e-5, 0.1

    def __init__(self, name, channels):
        super().__init__()
        self.name = name
        self.params = {"scale": np.ones(channels, np.float32), "bias": np.zeros(channels, np.float32)}
        self.mean, self.var = np.zeros(channels, np.float32), np.ones(channels, np.float32)

    def forward(self, x, training):
        mean, var = self.mean, self.var
        if training:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
            self.mean += self.MOMENTUM * (mean - self.mean)
            self.var += self.MOMENTUM * (var - self.var)
        inverse = 1 / np.sqrt(var + self.EPSILON)
        normal = (x - over_channels(mean)) * over_channels(inverse)
        self.saved = (normal, inverse)
        return normal * over_channels(self.params["scale"]) + over_channels(self.params["bias"])

    def backward(self, dy):
        normal, inverse = self.saved
        self.grads = {"scale": (dy * normal).sum((0, 2, 3)), "bias": dy.sum((0, 2, 3))}
        count = dy.size // dy.shape[1]
        centred = (
            dy
            - over_channels(self.grads["bias"] / count)
            - normal * over_channels(self.grads["scale"] / count)
        )
        return centred * over_channels(self.params["scale"] * inverse)

    def export(self, file, x):
        constants = {**self.params, "mean": self.mean, "var": self.var}
        return file.node("BatchNormalization", self.name, x, epsilon=self.EPSILON, **constants)


class Clip(Layer):
    """ReLU, or ReLU6 where `high` is 6."""

    def __init__(self, name, high=None):
        super().__init__()
        self.name, self.high = name, high

    def forward(self, x, training):
        y = np.clip(x, 0, self.high)
        self.inside = y == x
        return y

    def backward(self, dy):
        return dy * self.inside

    def export(self, file, x):
        if self.high is None:
            return file.node("Relu", self.name, x)
        return file.node("Clip", self.name, x, min=np.float32(0), max=np.float32(self.high))


class Residual(Layer):
    """x + body(x)."""

    def __init__(self, name, body):
        super().__init__()
        self.name, self.body = name, body

    def layers(self):
        return self.body.layers()

    def forward(self, x, training):
        return x + self.body.forward(x, training)

    def backward(self, dy):
        return dy + self.body.backward(dy)

    def export(self, file, x):
        return file.node("Add", self.name, self.body.export(file, x), x)


class GlobalAveragePool(Layer):
    """[N, C, H, W] to [N, C]."""

    def forward(self, x, training):
        self.shape = x.shape
        return x.mean((2, 3))

    def backward(self, dy):
        return np.broadcast_to(dy[:, :, None, None] / (self.shape[2] * self.shape[3]), self.shape)

    def export(self, file, x):
        return file.node("Flatten", "flatten", file.node("GlobalAveragePool", "pool", x), axis=1)


class Linear(Layer):
    """Fully connected: weights [out, in], bias [out]."""

    def __init__(self, name, cin, cout, rng):
        super().__init__()
        self.name = name
        self.params["weight"] = rng.normal(0, cin**-0.5, (cout, cin)).astype(np.float32)
        self.params["bias"] = np.zeros(cout, np.float32)

    def forward(self, x, training):
        self.x = x
        return x @ self.params["weight"].T + self.params["bias"]

    def backward(self, dy):
        self.grads = {"weight": dy.T @ self.x, "bias": dy.sum(0)}
        return dy @ self.params["weight"]

    def export(self, file, x):
        return file.node("Gemm", self.name, x, transB=1, **self.params)


class Sequence(Layer):
    """One layer after another."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = parts

    def layers(self):
        return [layer for part in self.parts for layer in part.layers()]

    def forward(self, x, training):
        for part in self.parts:
            x = part.forward(x, training)
        return x

    def backward(self, dy):
        for part in reversed(self.parts):
            dy = part.backward(dy)
        return dy

    def export(self, file, x):
        for part in self.parts:
            x = part.export(file, x)
        return x


class OnnxFile:
    """Nodes and initializers collected by `export`."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def node(self, kind, name, *inputs, **settings):
        """Appends a node; arrays among `settings` become further inputs, the rest are attributes."""
        inputs = list(inputs)
        attributes = {}
        for key, value in settings.items():
            if isinstance(value, (np.ndarray, np.float32)):
                self.initializers.append(numpy_helper.from_array(np.asarray(value), f"{name}.{key}"))
                inputs.append(f"{name}.{key}")
            else:
                attributes[key] = value
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}.out"], name=name, **attributes))
        return f"{name}.out"


def over_channels(v):
    """[C] broadcast over [N, C, H, W]."""
    return v[:, None, None]

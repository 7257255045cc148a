"""Six small whole networks with a symbolic batch, each the shape of a family met in practice."""

import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper

from .case import Case, model

# Whole networks round in every layer.
CLOSE = 1e-4


class Net:
    """Nodes and weights in the order of writing; a method appends a node and returns its output's name."""

    def __init__(self, name, opset, **inputs):
        self.name, self.opset, self.inputs = name, opset, inputs
        self.nodes, self.weights = [], {}
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def node(self, kind, *inputs, **attributes):
        output = f"{kind.lower()}_{len(self.nodes)}"
        node = helper.make_node(kind, inputs, [output], name=f"/{kind}_{len(self.nodes)}", **attributes)
        self.nodes.append(node)
        return output

    def const(self, value, dtype=np.int64):
        name = f"const_{len(self.weights)}"
        self.weights[name] = np.array(value, dtype)
        return name

    def weight(self, *shape, fan_in=1, mean=0.0):
        name = f"weight_{len(self.weights)}"
        self.weights[name] = (mean + self.rng.normal(0, (2 / fan_in) ** 0.5, shape)).astype(np.float32)
        return name

    def conv(self, x, cin, cout, *kernel, group=1, bias=True, **attributes):
        fan_in = cin // group * int(np.prod(kernel))
        inputs = [x, self.weight(cout, cin // group, *kernel, fan_in=fan_in)]
        if bias:
            inputs.append(self.weight(cout, fan_in=50))
        attributes.setdefault("pads", [k // 2 for k in kernel] * 2)
        return self.node("Conv", *inputs, group=group, kernel_shape=list(kernel), **attributes)

    def batch_norm(self, x, channels):
        scale, bias, mean = (self.weight(channels, fan_in=20, mean=m) for m in (1.0, 0.0, 0.0))
        variance = self.weight(channels, fan_in=20, mean=1.0)
        self.weights[variance] = np.abs(self.weights[variance]) + np.float32(0.1)
        return self.node("BatchNormalization", x, scale, bias, mean, variance, epsilon=1e-5)

    def linear(self, x, cin, cout):
        """MatMul and Add, the form in which exporters write a linear layer on rank 3."""
        return self.node(
            "Add",
            self.node("MatMul", x, self.weight(cin, cout, fan_in=2 * cin)),
            self.weight(cout, fan_in=50),
        )

    def gemm(self, x, cin, cout):
        """Gemm with weights [out, in], the form in which exporters write a linear layer on rank 2."""
        return self.node(
            "Gemm", x, self.weight(cout, cin, fan_in=cin), self.weight(cout, fan_in=50), transB=1
        )

    def case(self, *shape):
        """The network with the last node's result, [N, *shape], as its output; fed with three samples."""
        values = {k: self.rng.normal(0, 1, [3, *v]).astype(np.float32) for k, v in self.inputs.items()}
        inputs = [(k, TensorProto.FLOAT, ["N", *v]) for k, v in self.inputs.items()]
        self.nodes[-1].output[0] = "output"
        outputs = [("output", TensorProto.FLOAT, ["N", *shape])]
        built = model(self.nodes, inputs, outputs, self.weights, self.opset)
        onnx.checker.check_model(built, full_check=True)
        return Case(self.name, built, values, tolerance=CLOSE)


def flatten_chain():
    """Convolutions, then a flattening as older exporters write it: Shape, Gather, Concat, Reshape."""
    net = Net("conv-flatten-chain", 11, image=[3, 12, 12])
    x = net.node("Relu", net.conv("image", 3, 8, 3, 3))
    x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("Relu", net.conv(x, 8, 12, 3, 3, strides=[2, 2]))
    size = net.node("Gather", net.node("Shape", x), net.const(0), axis=0)
    shape = net.node("Concat", net.node("Unsqueeze", size, axes=[0]), net.const([-1]), axis=0)
    x = net.node("Reshape", x, shape)
    x = net.node("Relu", net.gemm(x, 108, 16))
    x = net.node("Dropout", x)
    net.gemm(x, 16, 5)
    return net.case(5)


def residual():
    """Two residual blocks, one with a projection; BatchNormalization not folded."""
    net = Net("residual-batchnorm", 17, image=[3, 10, 10])

    def conv_bn(x, cin, cout, kernel, stride):
        strides = [stride, stride]
        return net.batch_norm(net.conv(x, cin, cout, kernel, kernel, bias=False, strides=strides), cout)

    x = net.node("Relu", conv_bn("image", 3, 8, 3, 1))
    for cin, cout, stride in ((8, 8, 1), (8, 16, 2)):
        y = conv_bn(net.node("Relu", conv_bn(x, cin, cout, 3, stride)), cout, cout, 3, 1)
        skip = x if stride == 1 else conv_bn(x, cin, cout, 1, stride)
        x = net.node("Relu", net.node("Add", y, skip))
    x = net.node("Flatten", net.node("GlobalAveragePool", x))
    net.gemm(x, 16, 10)
    return net.case(10)


def depthwise():
    """MobileNet parts: depthwise separable, ReLU6 by Clip, HardSwish, squeeze and excitation."""
    net = Net("depthwise-relu6-hardswish", 14, image=[3, 12, 12])
    zero, six = net.const(0, np.float32), net.const(6, np.float32)

    def relu6(x):
        return net.node("Clip", x, zero, six)

    x = relu6(net.conv("image", 3, 8, 3, 3, strides=[2, 2]))
    y = relu6(net.conv(x, 8, 24, 1, 1))
    y = relu6(net.batch_norm(net.conv(y, 24, 24, 3, 3, group=24, bias=False), 24))
    x = net.node("Add", x, net.conv(y, 24, 8, 1, 1))
    y = net.node("HardSwish", net.conv(x, 8, 16, 1, 1))
    y = net.node("HardSwish", net.conv(y, 16, 16, 5, 5, group=16, strides=[2, 2]))
    gate = net.node("Relu", net.conv(net.node("GlobalAveragePool", y), 16, 4, 1, 1))
    gate = net.node("HardSigmoid", net.conv(gate, 4, 16, 1, 1))
    x = net.conv(net.node("Mul", y, gate), 16, 12, 1, 1)
    x = net.node("ReduceMean", x, axes=[2, 3], keepdims=0)
    net.gemm(x, 12, 10)
    return net.case(10)


def transformer():
    """Two encoder layers: 6 tokens of width 16, two heads."""
    tokens, width, heads = 6, 16, 2
    net = Net("transformer-encoder", 20, tokens=[tokens, width])

    def norm(x):
        scale, bias = net.weight(width, fan_in=50, mean=1.0), net.weight(width, fan_in=50)
        return net.node("LayerNormalization", x, scale, bias, axis=-1)

    split_shape, join_shape = net.const([0, tokens, heads, width // heads]), net.const([0, tokens, width])

    def split(x, perm):
        return net.node("Transpose", net.node("Reshape", x, split_shape), perm=perm)

    x = "tokens"
    for _ in range(2):
        normed = norm(x)
        q = split(net.linear(normed, width, width), [0, 2, 1, 3])
        k = split(net.linear(normed, width, width), [0, 2, 3, 1])
        v = split(net.linear(normed, width, width), [0, 2, 1, 3])
        scores = net.node("Div", net.node("MatMul", q, k), net.const((width / heads) ** 0.5, np.float32))
        mixed = net.node("MatMul", net.node("Softmax", scores, axis=-1), v)
        mixed = net.node("Reshape", net.node("Transpose", mixed, perm=[0, 2, 1, 3]), join_shape)
        x = net.node("Add", x, net.linear(mixed, width, width))
        hidden = net.node("Gelu", net.linear(norm(x), width, 2 * width))
        x = net.node("Add", x, net.linear(hidden, 2 * width, width))
    pooled = net.node("ReduceMean", norm(x), net.const([1]), keepdims=0)
    net.gemm(pooled, width, 4)
    return net.case(4)


def signal():
    """A one-dimensional network as used for audio and sensors."""
    net = Net("conv-1d-signal", 17, signal=[2, 40])
    x = net.node(
        "LeakyRelu", net.batch_norm(net.conv("signal", 2, 8, 5, strides=[2], bias=False), 8), alpha=0.125
    )
    y = net.node("Relu", net.conv(x, 8, 8, 3, group=8, dilations=[2], pads=[2, 2]))
    x = net.node("Concat", x, net.conv(y, 8, 8, 1), axis=1)
    x = net.node("AveragePool", x, kernel_shape=[2], strides=[2])
    x = net.node("Tanh", net.conv(x, 16, 12, 3, strides=[2]))
    x = net.node("Squeeze", net.node("GlobalAveragePool", x), net.const([2]))
    net.node("Sigmoid", net.gemm(x, 12, 3))
    return net.case(3)


def unet():
    """Down and up again: Resize on one level, ConvTranspose on the other, skips joined by Concat."""
    net = Net("unet-resize-transpose", 13, image=[2, 12, 16])
    top = net.node("Relu", net.conv("image", 2, 6, 3, 3))
    middle = net.node(
        "Relu", net.conv(net.node("MaxPool", top, kernel_shape=[2, 2], strides=[2, 2]), 6, 10, 3, 3)
    )
    bottom = net.node("Relu", net.conv(middle, 10, 12, 3, 3, strides=[2, 2]))
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    up = net.node("Resize", bottom, "", net.const([1, 1, 2, 2], np.float32), **nearest)
    x = net.node("Relu", net.conv(net.node("Concat", up, middle, axis=1), 22, 10, 3, 3))
    transposed = net.weight(10, 6, 2, 2, fan_in=10)
    x = net.node("ConvTranspose", x, transposed, net.weight(6, fan_in=50), strides=[2, 2])
    x = net.node("Relu", net.conv(net.node("Concat", x, top, axis=1), 12, 6, 3, 3))
    net.node("Sigmoid", net.conv(x, 6, 1, 1, 1))
    return net.case(1, 12, 16)


def cases():
    for build in (flatten_chain, residual, depthwise, transformer, signal, unet):
        yield build()

"""Trains ResNet-20 in float with PyTorch, by the recipe of `lowbit train --recipe float`, to compare the accuracy.

    lowbit zoo resnet20 --seed 0 -o untrained.onnx
    python scripts/train_torch.py untrained.onnx train.tar.gz test.tar.gz --epochs 3 --seed 0

The same weights to begin with, batches of 128 without the rest, SGD with Nesterov momentum 0.9, half a cosine, decay on
weights only, crops by up to 4 pixels and flips, normalization with ImageNet's mean and deviation. Only the order of the
images and their crops are drawn by another generator. Needs PyTorch, onnx and Pillow (requirements-figures.txt).
"""

import argparse
import io
import math
import tarfile
import time

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from PIL import Image
from time_training import resnet20
from torch import nn

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def images(path):
    """All images of an archive of class folders, [n, 3, 32, 32], and their classes in the order of the folders' names."""
    found = []
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                pixels = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB")
                found.append((member.name.split("/")[-2], np.asarray(pixels)))
    classes = sorted({name for name, _ in found})
    x = (np.stack([pixels for _, pixels in found]) / 255.0 - MEAN) / DEVIATION
    y = [classes.index(name) for name, _ in found]
    return torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float32), torch.tensor(y)


def begin(model, path):
    """Gives a model the weights of an ONNX file, layer by layer."""
    graph = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    modules = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == len(modules), (len(layers), len(modules))
    with torch.no_grad():
        for node, module in zip(layers, modules):
            weight = torch.tensor(constants[node.input[1]])
            assert weight.shape == module.weight.shape, (node.name, weight.shape, module.weight.shape)
            module.weight.copy_(weight)
            if module.bias is not None:
                module.bias.copy_(torch.tensor(constants[node.input[2]]))


def augmented(x, draw):
    """Each image moved by up to 4 pixels, black (0) coming in, and mirrored every other time."""
    n, padded = len(x), F.pad(x, (4, 4, 4, 4))
    down, right = torch.randint(0, 9, (2, n, 1), generator=draw)
    column = torch.arange(32).expand(n, 32)
    mirrored = torch.rand((n, 1), generator=draw) < 0.5
    column = torch.where(mirrored, 31 - column, column) + right
    rows = (torch.arange(32) + down)[:, None, :, None]
    return padded[torch.arange(n)[:, None, None, None], torch.arange(3)[:, None, None], rows, column[:, None, None, :]]


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        right = sum((model(a).argmax(1) == b).sum().item() for a, b in zip(x.split(500), y.split(500)))
    model.train()
    return 100 * right / len(y)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start")
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--decay", type=float, default=5e-4)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    draw = torch.Generator().manual_seed(args.seed)
    model = resnet20().to(memory_format=torch.channels_last)
    begin(model, args.start)
    weights = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": weights, "weight_decay": args.decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, args.rate, momentum=0.9, nesterov=True)
    (x, y), test = images(args.train), images(args.test)
    per_epoch = len(x) // 128
    steps, step, begun = args.epochs * per_epoch, 0, time.time()
    model.train()
    for epoch in range(args.epochs):
        order, total = torch.randperm(len(x), generator=draw), 0.0
        for chosen in order[: per_epoch * 128].split(128):
            for group in optimizer.param_groups:
                group["lr"] = args.rate * 0.5 * (1 + math.cos(math.pi * step / steps))
            batch = augmented(x[chosen], draw).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(model(batch), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, step = total + loss.item(), step + 1
        top1, seconds = accuracy(model, *test), time.time() - begun
        print(f"epoch {epoch + 1}/{args.epochs}: loss {total / per_epoch:.4f} · test {top1:.2f} % · {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()

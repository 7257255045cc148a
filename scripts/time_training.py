"""One training step: lowbit's, and PyTorch eager's in both memory layouts, step by step in turn.

    python scripts/time_training.py [ROUNDS]

Needs PyTorch with onnx (opt-in: scripts/requirements-figures.txt) and a release build of the example `training_step`.
Prints milliseconds per step (least and median over the rounds) at 1 and 2 threads, of forward, backward and optimizer,
and the ratio of lowbit to the better layout: of the least, and the median over the rounds of each round's own.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("forward", "backward", "optimizer")


class Basic(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.a = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.b = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.na, self.nb = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.short = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.short = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return F.relu(self.nb(self.b(F.relu(self.na(self.a(x))))) + self.short(x))


def resnet20():
    layers, channels = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for width in (16, 32, 64):
        for block in range(3):
            layers.append(Basic(channels, width, 2 if block == 0 and width > 16 else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def resnet18():
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for width in (64, 128, 256, 512):
        for block in range(2):
            layers.append(Basic(channels, width, 2 if block == 0 and width > 64 else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, stride, expand):
        super().__init__()
        hidden, layers = inputs * expand, []
        if expand > 1:
            layers = [nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6()]
        layers += [nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden)]
        layers += [nn.ReLU6(), nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.body, self.adds = nn.Sequential(*layers), stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.adds else self.body(x)


def mobilenetv2():
    """For 32×32 images: the first two strides of the original are 1."""
    layers, channels = [nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()], 32
    plan = [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expand, width, count, stride in plan:
        for block in range(count):
            layers.append(Inverted(channels, width, stride if block == 0 else 1, expand))
            channels = width
    layers += [nn.Conv2d(channels, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 10))


CASES = [("resnet20", resnet20, 128, 32), ("mobilenetv2", mobilenetv2, 128, 32), ("resnet18", resnet18, 8, 224)]


def export(model, size, path):
    """With batch normalization as it is, and N rows."""
    model.eval()
    torch.onnx.export(
        model,
        torch.randn(2, 3, size, size),
        path,
        dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {0: "N"}, "y": {0: "N"}},
    )
    model.train()


def pytorch(model, batch, size, layout):
    """A function that runs one step and returns the seconds of its parts."""
    model.to(memory_format=layout)
    x = torch.randn(batch, 3, size, size).contiguous(memory_format=layout)
    classes = model[-1].out_features
    labels = torch.arange(batch) % classes
    sgd = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)

    def step():
        times = [time.perf_counter()]
        sgd.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        times.append(time.perf_counter())
        loss.backward()
        times.append(time.perf_counter())
        sgd.step()
        times.append(time.perf_counter())
        return [after - before for before, after in zip(times, times[1:])]

    return step


def lowbit(path, batch, threads):
    """The same of the example, which waits for its turn."""
    binary = ROOT / "target/release/examples/training_step"
    command = [sys.argv[2] if len(sys.argv) > 2 else binary, path, str(batch), str(threads), "-"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def step():
        process.stdin.write("\n")
        answer = json.loads(process.stdout.readline())
        return [answer[part] for part in PARTS]

    return step, process


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    only = sys.argv[3:]
    print(f"torch {torch.__version__}, {rounds} rounds in turn, ms: least (median)")
    for name, build, batch, size in CASES:
        if only and name not in only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/{name}.onnx"
            export(build(), size, path)
            for threads in (1, 2):
                torch.set_num_threads(threads)
                ours, process = lowbit(path, batch, threads)
                runners = {
                    "lowbit": ours,
                    "contiguous": pytorch(build(), batch, size, torch.contiguous_format),
                    "channels_last": pytorch(build(), batch, size, torch.channels_last),
                }
                for step in runners.values():
                    [step() for _ in range(2)]
                times = {runner: [] for runner in runners}
                for _ in range(rounds):
                    for runner, step in runners.items():
                        times[runner].append(step())
                process.stdin.close()
                process.wait()
                print(f"{name}, batch {batch}, {threads} thread(s)")
                sums = {runner: [sum(parts) for parts in steps] for runner, steps in times.items()}
                for runner, steps in times.items():
                    columns = [[sum(parts) for parts in steps], *zip(*steps)]
                    cells = [f"{min(c) * 1e3:8.1f} ({statistics.median(c) * 1e3:.1f})" for c in columns]
                    print(f"  {runner:14} step {cells[0]}  " + "  ".join(f"{p} {c}" for p, c in zip(PARTS, cells[1:])))
                best = min(("contiguous", "channels_last"), key=lambda r: min(sums[r]))
                each = [a / b for a, b in zip(sums["lowbit"], sums[best])]
                least = min(sums["lowbit"]) / min(sums[best])
                print(f"  ratio to {best}: {least:.2f} of the least, median of rounds {statistics.median(each):.2f}")


if __name__ == "__main__":
    main()

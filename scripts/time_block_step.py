"""One iteration of block reconstruction: lowbit's, and the same step written in PyTorch, one thread each, in turn.

    python scripts/time_block_step.py [ROUNDS]

Needs PyTorch (opt-in: scripts/requirements-figures.txt) and a release build of the example `block_step`. Prints seconds
per step of both and their ratio, for the three block shapes of ResNet-20 at batch 32.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parent.parent
SHAPES = [(16, 32), (32, 16), (64, 8)]
BATCH, SAMPLES, STEPS = 32, 64, 200


class SoftConv(torch.nn.Module):
    """A 3×3 convolution whose rounding is learned, as AdaRound's authors write it."""

    def __init__(self, channels):
        super().__init__()
        w = torch.randn(channels, channels, 3, 3) / (3 * channels**0.5)
        self.bias = torch.randn(channels) * 0.1
        self.step = w.abs().amax((1, 2, 3), keepdim=True) / 7
        self.floor = torch.floor(w / self.step)
        rest = w / self.step - self.floor
        self.v = torch.nn.Parameter(-torch.log(1.2 / (rest + 0.1) - 1))

    def h(self):
        return torch.clamp(torch.sigmoid(self.v) * 1.2 - 0.1, 0, 1)

    def forward(self, x):
        w = torch.clamp(self.floor + self.h(), -8, 7) * self.step
        return F.conv2d(x, w, self.bias, padding=1)


def pytorch(channels, size):
    """Seconds per step: gather, forward, loss with regulariser, backward, Adam."""
    a, b = SoftConv(channels), SoftConv(channels)
    inputs = torch.randn(SAMPLES, channels, size, size).relu()
    targets = torch.randn(SAMPLES, channels, size, size).relu()
    adam = torch.optim.Adam([a.v, b.v], lr=1e-3)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(STEPS // 5):
            index = torch.randperm(SAMPLES)[:BATCH]
            x, t = inputs[index], targets[index]
            adam.zero_grad()
            y = F.relu(b(F.relu(a(x))) + x)
            loss = (y - t).abs().pow(2).sum(1).mean()
            for layer in (a, b):
                loss = loss + 0.01 * (1 - (2 * layer.h() - 1).abs().pow(11)).sum()
            loss.backward()
            adam.step()
        best = min(best, (time.perf_counter() - start) / (STEPS // 5))
    return best


def lowbit(channels, size):
    binary = ROOT / "target/release/examples/block_step"
    out = subprocess.run([binary, str(channels), str(size), str(STEPS)], check=True, capture_output=True, text=True)
    return float(out.stdout)


def main():
    torch.set_num_threads(1)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"torch {torch.__version__}, batch {BATCH}, one thread, best of 5 in each of {rounds} rounds in turn")
    for channels, size in SHAPES:
        pairs = [(lowbit(channels, size), pytorch(channels, size)) for _ in range(rounds)]
        ratios = [ours / theirs for ours, theirs in pairs]
        ours, theirs = (statistics.median(column) * 1e3 for column in zip(*pairs))
        print(
            f"{channels:3} channels {size:2}x{size:<2}  lowbit {ours:7.2f} ms  pytorch {theirs:7.2f} ms  "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()

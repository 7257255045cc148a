"""Ctrl-C at any time: KeyboardInterrupt, soon, with the interpreter whole and no file left."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = """
import pathlib, signal, sys
import numpy as np
import lowbit

# What a shell starts in the background ignores Ctrl-C, and so do its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

verb, network, data, place = sys.argv[1:5]
with np.load(data) as file:
    x, y = file["x"], file["y"]


def batches():
    while True:
        yield x[:64], y[:64]


options = {"preprocess": "digits", "progress": False}
jobs = {
    "quantize": lambda: lowbit.quantize(network, (x, y), recipe="w2a4-brecq", effort="best", **options),
    "bars": lambda: lowbit.quantize(network, (x, y), recipe="w2a4-brecq", effort="best", preprocess="digits"),
    "train": lambda: lowbit.train(network, (x, y), recipe="w2a2-lcq", epochs=100000, **options),
    "generator": lambda: lowbit.quantize(network, batches(), **options),
    "embed": lambda: lowbit.embed(np.random.default_rng(0).random((400_000, 64), np.float32), method="kmeans", progress=False),
    "save": lambda: [lowbit.quantize(network, x, **options).save(place + "/out.onnx") for _ in range(10**6)],
}
print("ready", flush=True)
try:
    jobs[verb]()
except KeyboardInterrupt:
    # Whole enough to go on.
    result = lowbit.quantize(network, x[:64], **options)
    print("interrupted", len(result.model) > 1000, [f.name for f in pathlib.Path(place).iterdir()], flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
@pytest.mark.parametrize("verb", ["quantize", "bars", "train", "generator", "embed", "save"])
def test_ctrl_c(verb: str, network: Path, digits: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=digits[0], y=digits[1])
    wait = random.Random(verb)
    for nth in range(2):
        place = tmp_path / str(nth)
        place.mkdir()
        command = [sys.executable, "-c", SCRIPT, verb, str(network), str(tmp_path / "x.npz"), str(place)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=place)
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            time.sleep(wait.uniform(0.0, 1.2))
            process.send_signal(signal.SIGINT)
            sent = time.monotonic()
            out, err = process.communicate(timeout=60)
            took = time.monotonic() - sent
        finally:
            process.kill()
        assert process.returncode == 0, err
        left = "['out.onnx']" if verb == "save" and "out.onnx" in out else "[]"
        assert out == f"interrupted True {left}\n", (out, err)
        assert took < 20, f"{took:.1f} s until it stopped"

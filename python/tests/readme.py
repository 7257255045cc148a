"""Runs the Python example of README.md, as it is there, in an environment that has lowbit and nothing else.

Its network is the one that is built in, and its samples are the built-in digits.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "crates" / "lowbit" / "assets"


def main() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks, "README.md has no Python example"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        shutil.copy(ASSETS / "digits.onnx", "model.onnx")
        for name in ("train", "test"):
            with np.load(ASSETS / f"digits-{name}.npz") as file:
                np.savez(f"{name}.npz", x=file["x"].astype(np.float32) / 16, y=file["y"])
        for block in blocks:
            print(block)
            exec(compile(block, "README.md", "exec"), {})
        assert Path("small.onnx").stat().st_size > 1000
        os.chdir(ROOT)


if __name__ == "__main__":
    main()

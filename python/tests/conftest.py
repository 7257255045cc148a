"""The embedded network and digits, and the command line to compare with."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "crates" / "lowbit" / "assets"


@pytest.fixture(scope="session")
def network() -> Path:
    return ASSETS / "digits.onnx"


@pytest.fixture(scope="session")
def digits() -> tuple[Any, Any]:
    """Pictures `[N, 1, 8, 8]` of bytes, and their labels."""
    with np.load(ASSETS / "digits-train.npz") as file:
        return file["x"], file["y"]


@pytest.fixture(scope="session")
def floats(digits: tuple[Any, Any]) -> Any:
    """The same as the network takes them."""
    return digits[0].astype(np.float32) / 16


@pytest.fixture(scope="session")
def cli() -> Callable[..., str]:
    """Runs the command line, whose program `LOWBIT` names."""
    program = os.environ.get("LOWBIT")
    if program is None:
        pytest.skip("LOWBIT does not name the program to compare with")

    def run(*arguments: object) -> str:
        command = [program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run

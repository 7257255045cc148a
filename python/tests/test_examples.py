"""The examples run, and a type checker agrees with them."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "python" / "examples"


def run(name: str, *arguments: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_arrays(monkeypatch: Any, capsys: Any) -> None:
    run("arrays.py", str(ROOT / "crates" / "lowbit" / "assets"), monkeypatch=monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    float_line, few_line = lines[0].split(), lines[1].split()
    assert float_line[0] == "float" and float(float_line[1]) > 93
    assert float(few_line[2]) > float(float_line[1]) - 2 and int(few_line[5]) < int(float_line[4]) / 2


@pytest.mark.torch
def test_pytorch(monkeypatch: Any, capsys: Any) -> None:
    run("pytorch.py", monkeypatch=monkeypatch)
    out = capsys.readouterr().out
    assert "W4A8" in out
    noise = float(out.split("noise of few bits: ")[1].split()[0])
    assert noise < -15
    assert float(out.split("by at most ")[1]) < 0.05


@pytest.mark.torch
def test_recommendation(monkeypatch: Any, capsys: Any) -> None:
    run("recommendation.py", monkeypatch=monkeypatch)
    assert "of the size" in capsys.readouterr().out


def test_types() -> None:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file", str(ROOT / "pyproject.toml")]
    done = subprocess.run([*command, str(EXAMPLES)], capture_output=True, text=True, check=False, cwd=EXAMPLES)
    assert done.returncode == 0, done.stdout + done.stderr

#!/usr/bin/env python3
"""Losses of all methods on tables of known distributions, as Markdown rows.

    scripts/embedding_losses.py target/release/lowbit [--rows 2000] [--bits 4] [--real table.npy]

Seeded numpy tables of 8 to 128 columns; `--real` adds a table of a file.
"""

import argparse
import functools
import json
import pathlib
import subprocess
import tempfile

import numpy as np


def losses(program: pathlib.Path, table: pathlib.Path, bits: int, rows: int, methods: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        command = [program, "embed", table, "--bits", str(bits)]
        command += ["--compare", methods, "--compare-rows", str(rows)]
        subprocess.run([*command, "--report", report], check=True, stdout=subprocess.DEVNULL)
        return {entry["method"]: entry["loss"] for entry in json.loads(report.read_text())["compared"]}


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    arguments.add_argument("program", type=pathlib.Path)
    arguments.add_argument("--rows", type=int, default=2000)
    arguments.add_argument("--bits", type=int, default=4)
    arguments.add_argument("--methods", default="sym,gss,asym,hist-apprx,aciq,greedy,kmeans")
    arguments.add_argument("--real", type=pathlib.Path)
    given = arguments.parse_args()
    columns = [8, 16, 32, 64, 128]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "table.npy"
        for kind in ("normal", "uniform", "laplace"):
            found = []
            for count in columns:
                random = np.random.default_rng(count)
                draw = {
                    "normal": random.standard_normal,
                    "uniform": functools.partial(random.uniform, -1, 1),
                    "laplace": functools.partial(random.laplace, 0, 1),
                }[kind]
                np.save(path, draw(size=(given.rows, count)).astype(np.float32))
                found.append(losses(given.program, path, given.bits, given.rows, given.methods))
            print(f"\n| {kind}, {given.bits} bits |" + "".join(f" d={count} |" for count in columns))
            print("|---|" + "--:|" * len(columns))
            for method in found[0]:
                print(f"| {method} |" + "".join(f" {loss[method]:.4f} |" for loss in found))
    if given.real:
        for method, loss in losses(given.program, given.real, given.bits, given.rows, given.methods).items():
            print(f"{given.real.name}: {method} {loss:.5f}")


if __name__ == "__main__":
    main()

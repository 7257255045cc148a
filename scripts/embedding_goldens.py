#!/usr/bin/env python3
"""Packed rows as PyTorch makes them: small goldens, and the whole comparison against a built `lowbit`.

    scripts/embedding_goldens.py --write tests/golden/embedding      # what the tests read
    scripts/embedding_goldens.py --check target/release/lowbit       # 10,000 rows of 16 to 512 columns, byte by byte

Rows come from numpy's PCG64 with the seed below, as float32: normal, uniform, Laplace, of many magnitudes, constant, with a
far value, of few values. Needs numpy and torch (made with 2.15.0).
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch

SEED = 20191104
COLUMNS = [16, 24, 32, 48, 64, 96, 100, 128, 200, 256, 384, 512]
FORMS = {
    "asym-8": ("embedding_bag_byte_prepack", {}),
    "asym-4": ("embedding_bag_4bit_prepack", {}),
    "asym-2": ("embedding_bag_2bit_prepack", {}),
    "greedy-4": ("embedding_bag_4bit_prepack", {"optimized_qparams": True}),
    "greedy-2": ("embedding_bag_2bit_prepack", {"optimized_qparams": True}),
}


def rows(columns: int, count: int) -> np.ndarray:
    """`count` rows of all the kinds."""
    random = np.random.default_rng([SEED, columns])
    kinds = [
        lambda: random.standard_normal(columns),
        lambda: random.uniform(-1, 1, columns),
        lambda: random.laplace(size=columns),
        lambda: random.standard_normal(columns) * 10.0 ** random.uniform(-6, 4),
        lambda: random.uniform(0, 1, columns) + random.uniform(-3, 3),
        lambda: np.where(random.uniform(size=columns) < 0.02, 40.0, 0.5) * random.standard_normal(columns),
        lambda: np.round(random.standard_normal(columns) * 2) / 4,
        lambda: np.full(columns, random.standard_normal()),
        lambda: np.maximum(random.standard_normal(columns), 0),
    ]
    table = np.stack([kinds[i % len(kinds)]() for i in range(count)]).astype(np.float32)
    return np.clip(table, -60000, 60000)


def packed(table: np.ndarray, form: str) -> np.ndarray:
    name, options = FORMS[form]
    return getattr(torch.ops.quantized, name)(torch.from_numpy(table), **options).numpy()


def write(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for columns in (16, 64, 100):
        table = rows(columns, 18)
        np.save(folder / f"rows-{columns}.npy", table)
        for form in FORMS:
            np.save(folder / f"rows-{columns}-{form}.npy", packed(table, form))
    print(f"torch {torch.__version__}, numpy {np.__version__}, seed {SEED}")


def check(program: pathlib.Path, count: int) -> int:
    each = -(-count // len(COLUMNS))
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for columns in COLUMNS:
            table = rows(columns, each)
            np.save(folder / "table.npy", table)
            for form in FORMS:
                method, bits = form.split("-")
                command = [program, "embed", folder / "table.npy", "--method", method, "--bits", bits]
                command += ["--force", "-o", folder / "out.npy"]
                if method == "greedy":
                    command.append("--compatible")
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                differ = np.flatnonzero((np.load(folder / "out.npy") != packed(table, form)).any(axis=1))
                wrong += len(differ)
                if len(differ):
                    print(f"{columns} columns, {form}: {len(differ)} rows differ, the first is {differ[0]}")
    columns = f"{COLUMNS[0]} to {COLUMNS[-1]} columns"
    print(f"{each * len(COLUMNS)} rows of {columns}, {len(FORMS)} forms: {wrong} rows differ")
    return wrong


if __name__ == "__main__":
    formatter = argparse.RawDescriptionHelpFormatter
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    arguments.add_argument("--write", type=pathlib.Path)
    arguments.add_argument("--check", type=pathlib.Path)
    arguments.add_argument("--rows", type=int, default=10_000)
    given = arguments.parse_args()
    if given.write:
        write(given.write)
    if given.check:
        sys.exit(bool(check(given.check, given.rows)))

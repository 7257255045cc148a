#!/usr/bin/env python3
"""Writes the embedded data set: UCI handwritten digits, as shipped in scikit-learn, split once and for all.

    python scripts/make_digits.py

Writes crates/lowbit/assets/digits-train.npz (1,297 images) and digits-test.npz (500), each with
`x` uint8 [N, 1, 8, 8], ink from 0 to 16, and `y` uint8 [N], the digit; and the attribution beside them.
Needs scripts/requirements.txt (made with numpy 2.4.6, scikit-learn 1.9.1). A rerun gives the same bytes.
"""

import pathlib

import numpy as np
from sklearn.datasets import load_digits

ASSETS = pathlib.Path(__file__).resolve().parent.parent / "crates" / "lowbit" / "assets"
TEST_IMAGES = 500
SEED = 7
ATTRIBUTION = """\
digits-train.npz and digits-test.npz hold the test part of

  E. Alpaydin and C. Kaynak (1998). Optical Recognition of Handwritten Digits.
  UCI Machine Learning Repository. https://doi.org/10.24432/C50P49

licensed under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/), as shipped in scikit-learn.
Changes: stored as 8-bit integers and split into 1,297 training and 500 test images by scripts/make_digits.py.

digits.onnx is a network trained on the training images by scripts/train_digits.py.
"""


def stratified(labels, rng):
    """Indices of TEST_IMAGES test images and of the rest, each class in proportion; both in random order."""
    order = rng.permutation(len(labels))
    # Rank each image within its class, then take the images of the lowest relative rank.
    rank = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    chosen = np.argsort(rank, kind="stable")
    return rng.permutation(chosen[:TEST_IMAGES]), rng.permutation(chosen[TEST_IMAGES:])


def main():
    digits = load_digits()
    x = digits.images.astype(np.uint8)[:, None]
    y = digits.target.astype(np.uint8)
    assert np.array_equal(x[:, 0], digits.images), "the ink levels are integers"
    ASSETS.mkdir(parents=True, exist_ok=True)
    test, train = stratified(y, np.random.default_rng(SEED))
    for name, index in (("train", train), ("test", test)):
        path = ASSETS / f"digits-{name}.npz"
        np.savez_compressed(path, x=x[index], y=y[index])
        counts = np.bincount(y[index])
        print(f"{path.name}: {path.stat().st_size / 1e3:.1f} kB, images per class {counts.tolist()}")
    (ASSETS / "DIGITS.txt").write_text(ATTRIBUTION)


if __name__ == "__main__":
    main()

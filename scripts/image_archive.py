"""Images of a `.tar.gz` with one folder per class, as the CIFAR-10 reference networks take them."""

import io
import tarfile

import numpy as np
from PIL import Image

MEAN = np.float32([0.485, 0.456, 0.406])
STD = np.float32([0.229, 0.224, 0.225])


def read(path, limit=None, seed=7):
    """x float32 [N, 3, H, W], normalized, and y int64 [N]: class folders in alphabetical order.

    `limit` takes that many images of a seeded shuffle; without it all come, in the order of their names.
    """
    with tarfile.open(path) as archive:
        members = sorted((m for m in archive if m.isfile()), key=lambda m: m.name)
        classes = sorted({m.name.split("/")[-2] for m in members})
        if limit is not None:
            chosen = np.sort(np.random.default_rng(seed).permutation(len(members))[:limit])
            members = [members[i] for i in chosen]
        pixels = np.stack([decode(archive.extractfile(m).read()) for m in members])
    labels = np.array([classes.index(m.name.split("/")[-2]) for m in members])
    x = (pixels.astype(np.float32) / 255 - MEAN) / STD
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), labels


def decode(content):
    """uint8 [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

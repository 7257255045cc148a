#!/usr/bin/env python3
"""Writes tests/golden/jpeg: tiny JPEG files, and beside each a PNG of the pixels that Pillow decodes.

    python scripts/jpeg_goldens.py

Needs scripts/requirements.txt (the files were made with numpy 2.4.6 and Pillow 13.0.0, libjpeg-turbo 3.2.0). Seeded:
a rerun with the same versions gives the same bytes.
"""

import io
import pathlib

import numpy as np
from PIL import Image

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "jpeg"
MODES = {1: "L", 3: "RGB", 4: "CMYK"}
FULL, WIDE, QUARTER = 0, 1, 2  # Pillow's names of 4:4:4, 4:2:2, 4:2:0


def cases():
    """Name and file. Odd sizes end inside a block and inside a chroma sample; chroma of at most two samples across
    is where libjpeg-turbo leaves its filter."""
    yield "gray-odd", jpeg(11, 5, 1)
    yield "ycc-444-odd", jpeg(9, 7, 3, subsampling=FULL)
    yield "ycc-422-odd", jpeg(15, 9, 3, subsampling=WIDE)
    yield "ycc-422-narrow", jpeg(4, 6, 3, subsampling=WIDE)
    yield "ycc-420-odd", jpeg(13, 17, 3, subsampling=QUARTER)
    yield "ycc-420-whole", jpeg(32, 32, 3, subsampling=QUARTER)
    yield "ycc-420-narrow", jpeg(3, 20, 3, subsampling=QUARTER)
    yield "ycc-420-pixel", jpeg(1, 1, 3, subsampling=QUARTER)
    yield "ycc-420-progressive", jpeg(33, 17, 3, subsampling=QUARTER, progressive=True)
    yield "ycc-420-restarts", jpeg(35, 19, 3, subsampling=QUARTER, restart_marker_blocks=2)
    yield "ycc-440-whole", resampled(jpeg(16, 16, 3, subsampling=WIDE), 0x12)
    yield "ycc-411-whole", resampled(jpeg(32, 32, 3, subsampling=QUARTER), 0x41)
    yield "rgb-kept", jpeg(10, 6, 3, keep_rgb=True)
    yield "cmyk-odd", jpeg(9, 7, 4)


def jpeg(width, height, channels, **options):
    """Waves and noise: every rounding of the decoder is met, and its clamps at both ends."""
    seed = np.random.default_rng([7, width, height, channels])
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 100 * np.sin(x / 3 + c) + 60 * np.cos(y / (2 + c)) for c in range(channels)]
    pixels = np.stack(waves, axis=-1) + seed.normal(0, 25, (height, width, channels))
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels if channels > 1 else pixels[..., 0], MODES[channels])
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85, **options)
    return file.getvalue()


def resampled(content, factors):
    """The same blocks under other sampling factors of luma, which Pillow does not write: as many blocks in each
    group and as many groups, so the file stays whole; the picture becomes another."""
    at = content.index(b"\xff\xc0") + 11
    return content[:at] + bytes([factors]) + content[at + 1 :]


def main():
    GOLDEN.mkdir(exist_ok=True)
    for name, content in cases():
        (GOLDEN / f"{name}.jpg").write_bytes(content)
        image = Image.open(io.BytesIO(content))
        image = image if image.mode == "L" else image.convert("RGB")
        image.save(GOLDEN / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()

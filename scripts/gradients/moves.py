"""Cases of operators that move data, and of resizing."""

import torch
import torch.nn.functional as F

from .case import grid, i64, node


def moves():
    x = grid(2, 3, 4)
    yield "transpose", [node("Transpose", "x", perm=[2, 0, 1])], lambda x: x.permute(2, 0, 1), {"x": x}
    constants = {"s": i64(1, 0), "e": i64(3, 4), "a": i64(1, 2), "t": i64(1, 2)}
    yield (
        "slice",
        [node("Slice", "x s e a t")],
        lambda x: x[:, 1:3, 0:4:2],
        {"x": x, "constants": constants},
    )
    yield (
        "gather-repeats",
        [node("Gather", "x i", axis=1)],
        lambda x: x[:, [2, 0, 2, 2]],
        {"x": x, "constants": {"i": i64(2, 0, -1, 2)}},
    )
    yield (
        "expand",
        [node("Expand", "x s")],
        lambda x: x.expand(2, 3, 4),
        {"x": grid(3, 1), "constants": {"s": i64(2, 3, 4)}},
    )
    yield (
        "concat-split",
        [node("Concat", "x w", "c", axis=1), node("Split", "c s", "y z", axis=1)],
        lambda x, w: torch.cat((x, w), 1).split((1, 4), 1),
        {"x": x, "w": grid(2, 2, 4), "constants": {"s": i64(1, 4)}},
    )
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    for mode, name in modes.items():
        yield (
            f"pad-{mode}",
            [node("Pad", "x p", mode=mode)],
            lambda x, m=name: F.pad(x, (2, 1), m),
            {"x": x, "constants": {"p": i64(0, 0, 2, 0, 0, 1)}},
        )
    picture = grid(1, 2, 3, 4)
    for size in ((6, 8), (5, 7), (2, 2)):
        constants = {"size": i64(*size)}
        common = {"x": picture, "constants": constants}
        name = f"{size[0]}x{size[1]}"
        for align in (False, True):
            kind = "align_corners" if align else "pytorch_half_pixel"
            attributes = {"mode": "linear", "coordinate_transformation_mode": kind, "axes": [2, 3]}
            yield (
                f"resize-bilinear-{'corners-' if align else ''}{name}",
                [node("Resize", "x - - size", **attributes)],
                lambda x, s=size, a=align: F.interpolate(x, s, mode="bilinear", align_corners=a),
                # Coordinates are float32 with us, as in the runtimes.
                common | {"tolerance": 3e-6},
            )
        attributes = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
            "axes": [2, 3],
        }
        yield (
            f"resize-nearest-{name}",
            [node("Resize", "x - - size", **attributes)],
            lambda x, s=size: F.interpolate(x, s, mode="nearest"),
            common,
        )

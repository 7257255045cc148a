"""Cases of rounding to a code, straight through."""

import numpy as np
import torch

from .case import grid, node


def rounding():
    """Codes of 4 bits with even zero points; the step's gradient is that of the learnable kind."""
    chain = lambda axis: [
        node("QuantizeLinear", "x s z", "q", axis=axis),
        node("Clip", "q lo hi", "c"),
        node("DequantizeLinear", "c s z", "y", axis=axis),
    ]
    limits = {"lo": np.uint8(0), "hi": np.uint8(15)}
    x = grid(2, 3, 16, lo=-3, hi=3, step=1 / 16)
    weight = torch.tensor(grid(*x.shape, key=99))

    def step(learnable, scale, zero, *axis):
        scale = torch.tensor(scale, requires_grad=True)
        zero = torch.tensor(zero, dtype=torch.float32)
        (learnable(torch.tensor(x), scale, zero, *axis, 0, 15, 1.0) * weight).sum().backward()
        return scale.grad.numpy().copy()

    scale, zero = np.array([0.25], np.float32), np.array([6], np.int32)
    one = {"s": scale.reshape(()), "z": np.uint8(6)}
    yield (
        "fakequantize-tensor",
        chain(1),
        lambda x: torch.fake_quantize_per_tensor_affine(x.float(), 0.25, 6, 0, 15),
        {
            "x": x,
            "constants": one | limits,
            "step": step(torch._fake_quantize_learnable_per_tensor_affine, scale, zero),
        },
    )
    scale, zero = np.array([0.25, 0.125, 0.5], np.float32), np.array([6, 0, 8], np.int32)
    yield (
        "fakequantize-channel",
        chain(1),
        lambda x: torch.fake_quantize_per_channel_affine(
            x.float(), torch.tensor(scale), torch.tensor(zero), 1, 0, 15
        ),
        {
            "x": x,
            "constants": {"s": scale, "z": zero.astype(np.uint8)} | limits,
            "step": step(torch._fake_quantize_learnable_per_channel_affine, scale, zero, 1),
        },
    )

"""With PyTorch (opt-in: `cargo xtask test --torch`): tensors, loaders and its own operators."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowbit

pytestmark = pytest.mark.torch


def test_loaders_and_tensors_are_the_arrays_they_hold(network: Path, floats: Any, digits: Any) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    x, y = floats[:100], digits[1][:100].astype(np.int64)
    expected = lowbit.quantize(network, x, recipe="w4a4-aciq", progress=False)
    tensor = torch.from_numpy(x)
    loader = DataLoader(TensorDataset(tensor, torch.from_numpy(y)), batch_size=32)
    with_gradient = tensor.clone().requires_grad_()
    forms: list[Any] = [loader, tensor, with_gradient, (tensor, torch.from_numpy(y)), list(tensor), DataLoader(tensor)]
    for data in forms:
        assert lowbit.quantize(network, data, recipe="w4a4-aciq", progress=False).model == expected.model
    assert (expected.session().run(tensor) == expected.session().run(x)).all()


def test_a_loader_with_workers_can_be_forked_after_lowbit_ran(network: Path, floats: Any) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    first = lowbit.quantize(network, floats[:64], progress=False).model
    loader = DataLoader(TensorDataset(torch.from_numpy(floats[:64])), batch_size=16, num_workers=2)
    assert lowbit.quantize(network, loader, progress=False).model == first


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_rows_are_pytorchs(bits: int) -> None:
    import torch

    table = torch.from_numpy(np.random.default_rng(0).standard_normal((200, 64)).astype(np.float32))
    prepack: Any = {
        8: lambda: torch.ops.quantized.embedding_bag_byte_prepack(table),
        4: lambda: torch.ops.quantized.embedding_bag_4bit_prepack(table, True),
        2: lambda: torch.ops.quantized.embedding_bag_2bit_prepack(table, True),
    }[bits]
    options: dict[str, Any] = {"method": "asym"} if bits == 8 else {"compatible": True}
    assert (lowbit.embed(table, bits=bits, progress=False, **options).rows == prepack().numpy()).all()

"""A recommendation table: packed by lowbit, looked up by PyTorch's own operator, with no conversion in between."""

import numpy as np
import torch

import lowbit


def main() -> None:
    # What a model has learned of 50,000 items: 64 numbers each.
    table = torch.nn.EmbeddingBag(50_000, 64, mode="sum")
    packed = lowbit.embed(table.weight, bits=4)
    print(packed.report)

    # What three users looked at, one after the other.
    items = torch.tensor([3, 14, 159, 2653, 5, 8979, 32384, 6])
    users = torch.tensor([0, 3, 5])
    rows = torch.from_numpy(packed.rows)
    few_bits = torch.ops.quantized.embedding_bag_4bit_rowwise_offsets(rows, items, users)
    with torch.no_grad():
        full = table(items, users)
    error = (few_bits - full).norm() / full.norm()
    print(f"{rows.nbytes / table.weight.nbytes:.1%} of the size, {error:.1%} away from float")
    assert error < 0.15 and np.isfinite(few_bits.numpy()).all()


if __name__ == "__main__":
    main()

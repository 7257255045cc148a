"""From PyTorch: export a network, quantize it on batches of a `DataLoader`, run it in ONNX Runtime and on integers."""

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lowbit


def network() -> nn.Module:
    """A network of your own, trained; this one is not."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    ).eval()


def main() -> None:
    model = network()
    images = torch.randn(256, 3, 32, 32)
    labels = torch.randint(10, (256,))
    calibration = DataLoader(TensorDataset(images, labels), batch_size=32)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        batch = torch.export.Dim("batch")
        torch.onnx.export(
            model, (images[:2],), path, input_names=["image"], dynamic_shapes=({0: batch},), dynamo=True,
            external_data=False,
        )  # fmt: skip
        result = lowbit.quantize(path, calibration, recipe="w4a8")
        print(result.report)

        runtime = onnxruntime.InferenceSession(result.model, providers=["CPUExecutionProvider"])
        theirs = runtime.run(None, {"image": images.numpy()})[0]
        ours = result.session().run(images)
        with torch.no_grad():
            float_scores = model(images).numpy()
        noise = np.square(float_scores - ours).mean() / np.square(float_scores - float_scores.mean()).mean()
        print(f"noise of few bits: {10 * np.log10(noise):.1f} dB")
        print(f"ONNX Runtime and lowbit differ by at most {np.abs(theirs - ours).max():.4f}")


if __name__ == "__main__":
    main()

"""Stored answers of other implementations: small ONNX files that carry their own test values."""

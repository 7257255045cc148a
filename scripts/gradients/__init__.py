"""The cases of gradient_goldens.py."""

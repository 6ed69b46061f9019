"""Random streams by name."""

import hashlib

import torch


def stream(seed: int, *names: int) -> torch.Generator:
    """A stream that follows from its names alone, not from what was drawn before: a resumed run draws the same."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))

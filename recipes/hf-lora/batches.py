"""Which rows a step sees, and how they become tensors."""

import torch
from torch import Tensor

#: Batches whose rows are sorted by length together: enough to find neighbours, few enough to stay random.
_BUCKET_BATCHES = 16


def length_buckets(lengths: list[int], batch_size: int, random: torch.Generator) -> list[list[int]]:
    """The batches of one epoch: rows in random order, sorted by length within every so many batches, because a batch costs as
    much as its longest row; then the batches in random order. All rows come once."""
    order = torch.randperm(len(lengths), generator=random).tolist()
    batches: list[list[int]] = []
    for start in range(0, len(order), batch_size * _BUCKET_BATCHES):
        bucket = sorted(order[start : start + batch_size * _BUCKET_BATCHES], key=lambda row: (lengths[row], row))
        batches += [bucket[at : at + batch_size] for at in range(0, len(bucket), batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=random).tolist()]


def padded(ids: list[list[int]], pad_token_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and mask, int64[rows, longest]."""
    width = max(len(row) for row in ids)
    tokens = torch.tensor([row + [pad_token_id] * (width - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
    return tokens.to(device), mask.to(device)

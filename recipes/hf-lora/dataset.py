"""The rows as the model sees them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from base import Base
from failure import TrainingFailure
from hyperparameters import Hyperparameters
from rows import Row, class_names, is_validated, texts_of


@dataclass(frozen=True)
class Dataset:
    #: In output order.
    classes: list[str]
    #: Token ids of each row, special tokens included.
    ids: list[list[int]]
    #: What the loss compares with, float32[rows, classes], and how much each row counts, float32[rows].
    targets: Tensor
    row_weights: Tensor
    labels: Tensor
    #: Rows to train on and rows to validate on.
    trained: list[int]
    validated: list[int]


def make_dataset(rows: list[Row], base: Base, hyperparameters: Hyperparameters) -> Dataset:
    """Raises TrainingFailure `badData` that names what is wrong."""
    classes = class_names(rows, hyperparameters)
    texts = texts_of(rows, hyperparameters["features"])
    base.tokenizer.enable_truncation(min(hyperparameters["maxTokens"], base.max_tokens))
    ids = [encoding.ids for encoding in base.tokenizer.encode_batch_fast(texts)]
    largest = max(max(row) for row in ids)
    if largest >= base.encoder.config.vocab_size:
        raise TrainingFailure("userError", f"base: the tokenizer knows token {largest}, the encoder does not")
    trained = [i for i, row in enumerate(rows) if not is_validated(row, hyperparameters["validation"])]
    if not trained:
        raise TrainingFailure("badData", f"all {len(rows)} rows fell to the validation")
    labels = torch.tensor([classes.index(row.label) for row in rows])
    smoothing = hyperparameters["labelSmoothing"]
    targets = torch.nn.functional.one_hot(labels, len(classes)) * (1 - smoothing) + smoothing / len(classes)
    return Dataset(
        classes=classes,
        ids=ids,
        targets=targets.float(),
        row_weights=_class_weights(labels, len(classes), hyperparameters["classBalance"])[labels].float(),
        labels=labels,
        trained=trained,
        validated=[i for i, row in enumerate(rows) if is_validated(row, hyperparameters["validation"])],
    )


def _class_weights(labels: Tensor, classes: int, balance: float) -> Tensor:
    """(rows / rows of the class) to the power of `classBalance`, scaled so that the rows' mean is 1."""
    counts = torch.bincount(labels, minlength=classes).double()
    weights = torch.where(counts > 0, (len(labels) / counts.clamp(min=1)) ** balance, 0.0)
    return weights / ((weights * counts).sum() / len(labels))

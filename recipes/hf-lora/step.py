"""Loss and gradients of a batch, in parts as large as the memory allows."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from batches import padded
from classifier import Classifier
from dataset import Dataset
from events import log
from failure import TrainingFailure
from progress import Progress
from streams import stream


@dataclass(frozen=True)
class Numbers:
    """Of some rows: the sum of their weighted losses, and how many are right."""

    loss: float
    correct: int


class BatchRunner:
    def __init__(
        self,
        model: Classifier,
        data: Dataset,
        progress: Progress,
        *,
        pad_token_id: int,
        device: torch.device,
        is_bf16: bool,
        dropout: float,
        seed: int,
    ) -> None:
        self._model = model
        self._data = data
        self._progress = progress
        self._pad_token_id = pad_token_id
        self._device = device
        self._is_bf16 = is_bf16
        self._dropout = dropout
        self._seed = seed

    def gradients(self, rows: list[int], step: int) -> Numbers:
        """Adds to the gradients of the trained parameters those of the mean loss of `rows`. How many rows go at once decides
        nothing but the order of sums: dropout is drawn for the whole batch."""
        mask = self._dropout_mask(len(rows), step)

        def run(size: int) -> Numbers:
            self._model.zero_grad(set_to_none=True)
            loss, correct = 0.0, 0
            for at in range(0, len(rows), size):
                part = rows[at : at + size]
                total, right = self._forward(part, None if mask is None else mask[at : at + size])
                (total / len(rows)).backward()
                loss += total.item()
                correct += right
            return Numbers(loss, correct)

        return self._in_memory(len(rows), run)

    @torch.no_grad()
    def evaluate(self, rows: list[int]) -> Numbers:
        def run(size: int) -> Numbers:
            parts = [self._forward(rows[at : at + size], None) for at in range(0, len(rows), size)]
            return Numbers(sum(total.item() for total, _ in parts), sum(right for _, right in parts))

        return self._in_memory(len(rows), run)

    def _in_memory(self, rows: int, run: Callable[[int], Numbers]) -> Numbers:
        """Runs it again in halves when the device's memory is too small. What it learns stays known to the checkpoint."""
        while True:
            size = min(rows, self._progress.microBatchSize)
            try:
                return run(size)
            except torch.OutOfMemoryError as error:
                reason = str(error)
            # Outside of the handler: the error holds the frames, and they the tensors.
            self._model.zero_grad(set_to_none=True)
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            if size == 1:
                raise TrainingFailure("userError", f"one row at a time does not fit into memory: {reason}")
            self._progress.microBatchSize = (size + 1) // 2
            log("microBatchHalved", rows=self._progress.microBatchSize)

    def _forward(self, rows: list[int], dropout_mask: Tensor | None) -> tuple[Tensor, int]:
        ids, mask = padded([self._data.ids[row] for row in rows], self._pad_token_id, self._device)
        dropped = None if dropout_mask is None else dropout_mask.to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._is_bf16):
            logits = self._model(ids, mask, dropped).float()
        per_row = -(self._data.targets[rows].to(self._device) * logits.log_softmax(1)).sum(1)
        total = (per_row * self._data.row_weights[rows].to(self._device)).sum()
        correct = int((logits.argmax(1).cpu() == self._data.labels[rows]).sum())
        return total, correct

    def _dropout_mask(self, rows: int, step: int) -> Tensor | None:
        if self._dropout == 0:
            return None
        drawn = torch.rand(rows, self._model.classifier.in_features, generator=stream(self._seed, 5, step))
        return (drawn >= self._dropout).float() / (1 - self._dropout)

"""A device whose memory ends at three rows: gradients of the halved parts beside those of the whole batch.

There is no GPU here, so the error is raised by a stand-in of the model, where a GPU would raise it: in the middle of a forward
pass, after an earlier part has left gradients. Prints {"whole", "halved", "microBatchSize", "difference", …}, how far bfloat16 is from it, and the failure of a
device that does not hold a single row. Usage: memory.py RECIPE_FOLDER"""

import json
import sys

sys.path.insert(0, sys.argv[1])

import torch
from torch import nn

from dataset import Dataset
from failure import TrainingFailure
from progress import Progress
from step import BatchRunner

torch.manual_seed(1)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        self.classifier = nn.Linear(16, 2)
        self.capacity = 100
        self.calls = 0

    def forward(self, ids, mask, dropped):
        self.calls += 1
        # At first the second part fails: the first has left its gradients.
        if len(ids) > self.capacity and (self.calls > 1 or self.capacity == 0):
            raise torch.OutOfMemoryError("out of memory")
        weights = mask.unsqueeze(-1).float()
        return self.classifier((self.embedding(ids) * weights).sum(1) / weights.sum(1) * dropped)


ids = [[1 + (row * 7 + place) % 19 for place in range(3 + row % 4)] for row in range(10)]
labels = torch.tensor([row % 2 for row in range(10)])
data = Dataset(
    classes=["a", "b"],
    ids=ids,
    targets=nn.functional.one_hot(labels, 2).float(),
    row_weights=torch.linspace(0.5, 1.5, 10),
    labels=labels,
    trained=list(range(10)),
    validated=[],
)
model = Small()


def gradients(capacity, first, is_bf16=False):
    model.capacity, model.calls = capacity, 0
    progress = Progress(microBatchSize=first)
    runner = BatchRunner(
        model, data, progress, pad_token_id=0, device=torch.device("cpu"), is_bf16=is_bf16, dropout=0.3, seed=4
    )
    numbers = runner.gradients(list(range(10)), 7)
    return numbers, torch.cat([p.grad.flatten().clone() for p in model.parameters()]), progress.microBatchSize


whole, expected, _ = gradients(100, 4_096)
halved, found, size = gradients(3, 6)
_, rounded, _ = gradients(100, 4_096, is_bf16=True)
try:
    gradients(0, 4)
    failure = None
except TrainingFailure as error:
    failure = str(error)
print(
    json.dumps(
        {
            "whole": [whole.loss, whole.correct],
            "halved": [halved.loss, halved.correct],
            "microBatchSize": size,
            "difference": (found - expected).abs().max().item(),
            "inBfloat16": ((rounded - expected).norm() / expected.norm()).item(),
            "norm": expected.norm().item(),
            "failure": failure,
        }
    )
)

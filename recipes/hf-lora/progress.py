"""Where a training stands between two steps; with weights and moments it makes a resumed run exact."""

import math
from dataclasses import dataclass

#: A loss this many times that of guessing, over some steps, does not come back.
_EXPLOSION = 10


@dataclass
class Progress:
    #: Steps done.
    step: int = 0
    #: Of the running epoch: sum of the losses by row, rows seen, rows right.
    loss: float = 0.0
    rows: int = 0
    correct: int = 0
    #: The losses of the last steps, the newest counting a tenth.
    recentLoss: float = 0.0
    #: Of the last validation.
    validationLoss: float | None = None
    validationAccuracy: float | None = None
    bestLoss: float | None = None
    bestEpoch: int | None = None
    #: Epochs since then.
    waited: int = 0
    isOver: bool = False
    #: Rows that fit into memory at once, as far as this training knows.
    microBatchSize: int = 4_096

    def begin_epoch(self) -> None:
        self.loss, self.rows, self.correct = 0.0, 0, 0

    def count_step(self, loss: float, rows: int, correct: int) -> None:
        self.step += 1
        self.recentLoss = loss if self.step == 1 else self.recentLoss * 0.9 + loss * 0.1
        self.loss += loss * rows
        self.rows += rows
        self.correct += correct

    def count_validation(self, epoch: int, loss: float, accuracy: float) -> bool:
        """Whether its weights are the best so far."""
        self.validationLoss, self.validationAccuracy = loss, accuracy
        if self.bestLoss is not None and not loss < self.bestLoss:
            self.waited += 1
            return False
        self.bestLoss, self.bestEpoch, self.waited = loss, epoch, 0
        return True

    def metrics(self) -> dict[str, float | int | None]:
        return {
            "loss": self.loss / max(1, self.rows),
            "accuracy": self.correct / max(1, self.rows),
            "validationLoss": self.validationLoss,
            "validationAccuracy": self.validationAccuracy,
        }


def divergence(progress: Progress, loss: float, gradient_norm: float, classes: int) -> str | None:
    """Why a training has to end with this step, if it has."""
    if not math.isfinite(loss):
        return f"the loss is {loss}"
    if not math.isfinite(gradient_norm):
        return f"the norm of the gradients is {gradient_norm}"
    guessing = math.log(classes)
    if progress.recentLoss > _EXPLOSION * guessing:
        return f"the loss exploded: {progress.recentLoss:.3g} lately, {guessing:.3g} is guessing"
    return None

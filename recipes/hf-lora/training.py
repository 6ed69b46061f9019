"""The loop over the steps."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from batches import length_buckets
from checkpoint import Checkpoints
from classifier import trained_parameters
from dataset import Dataset
from events import report_progress
from failure import TrainingFailure, TrainingStopped
from hyperparameters import Hyperparameters
from progress import Progress, divergence
from schedule import learning_rate_at
from step import BatchRunner
from streams import stream

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class State:
    """What a training changes."""

    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.AdamW
    progress: Progress
    #: Weights of the epoch with the lowest validation loss.
    best: dict[str, Tensor]

    def tensors(self) -> dict[str, Tensor]:
        all_of = {f"weight:{name}": parameter.data for name, parameter in self.parameters.items()}
        for name, parameter in self.parameters.items():
            for moment in _MOMENTS:
                all_of[f"{moment}:{name}"] = self.optimizer.state[parameter][moment]
        return all_of | {f"best:{name}": weight for name, weight in self.best.items()}

    @torch.no_grad()
    def fill(self, tensors: dict[str, Tensor], progress: dict[str, object]) -> None:
        """The same training has the same tensors, so a good checkpoint of the same identity has them all."""
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[f"weight:{name}"])
            moments = {moment: tensors[f"{moment}:{name}"].to(parameter.device) for moment in _MOMENTS}
            self.optimizer.state[parameter] = {"step": torch.tensor(float(progress["step"])), **moments}
            if f"best:{name}" in tensors:
                self.best[name] = tensors[f"best:{name}"]
        for field, value in progress.items():
            setattr(self.progress, field, value)


def start_state(model: nn.Module, hyperparameters: Hyperparameters) -> State:
    parameters = trained_parameters(model)
    matrices = [parameter for parameter in parameters.values() if parameter.dim() > 1]
    vectors = [parameter for parameter in parameters.values() if parameter.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": hyperparameters["weightDecay"]},
            {"params": vectors, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.999),
        eps=1e-8,
    )
    return State(parameters, optimizer, Progress(microBatchSize=hyperparameters["microBatchSize"]), {})


def train(
    data: Dataset,
    runner: BatchRunner,
    state: State,
    checkpoints: Checkpoints,
    hyperparameters: Hyperparameters,
    should_stop: Callable[[], bool],
) -> None:
    """Trains from `state.progress` on. Each epoch's order and each step's dropout follow from the seed, the epoch and the step
    alone, so a run that was killed and resumed ends with the same bits as one that was not. At the end the parameters are the
    best ones by validation, if there was one. Raises TrainingFailure `diverged`; TrainingStopped when `should_stop` says so."""
    progress = state.progress
    batch_size, epochs, seed = (hyperparameters[name] for name in ("batchSize", "epochs", "seed"))
    per_epoch = -(-len(data.trained) // batch_size)
    steps = epochs * per_epoch
    lengths = [len(data.ids[row]) for row in data.trained]
    is_save_due = _stopwatch(hyperparameters["checkpointSeconds"])
    is_report_due = _stopwatch(hyperparameters["progressSeconds"])
    order: tuple[int, list[list[int]]] | None = None

    while progress.step < steps and not progress.isOver:
        epoch, in_epoch = divmod(progress.step, per_epoch)
        if in_epoch == 0:
            progress.begin_epoch()
        if order is None or order[0] != epoch:
            order = (epoch, length_buckets(lengths, batch_size, stream(seed, 3, epoch)))
        rows = [data.trained[place] for place in order[1][in_epoch]]
        norm = _train_step(data, runner, state, rows, steps, hyperparameters)

        is_epoch_end = in_epoch == per_epoch - 1
        if is_epoch_end and data.validated:
            _validate(data, runner, state, epoch + 1, hyperparameters["patience"])
        is_last = progress.step == steps or progress.isOver
        if is_last or is_epoch_end or is_report_due():
            report_progress(
                1 if is_last else progress.step / steps,
                {"epoch": epoch + 1, "step": progress.step, "gradientNorm": norm, **progress.metrics()},
            )
        is_stopping = should_stop()
        if is_last or is_stopping or is_save_due():
            checkpoints.save(progress.step, state.tensors(), asdict(progress))
        if is_stopping and not is_last:
            raise TrainingStopped(f"stopped after step {progress.step} of {steps}")
    _take_best(state)


def _train_step(
    data: Dataset,
    runner: BatchRunner,
    state: State,
    rows: list[int],
    steps: int,
    hyperparameters: Hyperparameters,
) -> float:
    """One update of all parameters; returns the norm of the gradients."""
    step = state.progress.step + 1
    rate = learning_rate_at(
        step, steps, hyperparameters.learning_rate, hyperparameters["schedule"], hyperparameters["warmup"]
    )
    numbers = runner.gradients(rows, step)
    norm = nn.utils.clip_grad_norm_(state.parameters.values(), hyperparameters["maxGradientNorm"]).item()
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    loss = numbers.loss / len(rows)
    state.progress.count_step(loss, len(rows), numbers.correct)
    trouble = divergence(state.progress, loss, norm, len(data.classes))
    if trouble is not None:
        raise TrainingFailure("diverged", f"{trouble} at step {step} of {steps}, learning rate {rate}")
    state.optimizer.step()
    return norm


def _validate(data: Dataset, runner: BatchRunner, state: State, epoch: int, patience: int) -> None:
    rows = sorted(data.validated, key=lambda row: (len(data.ids[row]), row))
    numbers = runner.evaluate(rows)
    progress = state.progress
    if progress.count_validation(epoch, numbers.loss / len(rows), numbers.correct / len(rows)):
        state.best = {name: parameter.detach().cpu().clone() for name, parameter in state.parameters.items()}
    progress.isOver = 0 < patience <= progress.waited


@torch.no_grad()
def _take_best(state: State) -> None:
    for name, weight in state.best.items():
        state.parameters[name].copy_(weight)
    for name, parameter in state.parameters.items():
        if not bool(torch.isfinite(parameter).all()):
            raise TrainingFailure("diverged", f'"{name}" holds a number that is not finite')


def _stopwatch(seconds: float) -> Callable[[], bool]:
    """True at most once in so many seconds; with 0, always."""
    last = time.monotonic()

    def is_due() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < seconds:
            return False
        last = now
        return True

    return is_due

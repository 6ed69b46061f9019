"""A training from its channels to its model."""

import hashlib
import json
from collections.abc import Callable

import torch

from base import open_base
from checkpoint import Checkpoints, publish
from classifier import build_classifier
from container import Container
from dataset import make_dataset
from events import log
from export import export_model
from failure import TrainingFailure
from hyperparameters import Hyperparameters
from rows import Row, digest_of_rows
from step import BatchRunner
from training import State, start_state, train


def fine_tune(
    container: Container, rows: list[Row], hyperparameters: Hyperparameters, should_stop: Callable[[], bool]
) -> None:
    torch.set_num_threads(hyperparameters["threads"])
    torch.use_deterministic_algorithms(True)
    device, is_bf16 = _device(hyperparameters)
    base = open_base(container.base)
    data = make_dataset(rows, base, hyperparameters)
    model = build_classifier(base, len(data.classes), hyperparameters).to(device)
    state = start_state(model, hyperparameters)
    checkpoints = Checkpoints(
        container.checkpoint_folder,
        {
            "base": base.digest,
            "baseRevision": hyperparameters["baseRevision"] or "",
            "rows": digest_of_rows(rows),
            "hyperparameters": hashlib.sha256(json.dumps(hyperparameters.decisive()).encode()).hexdigest(),
            # bfloat16 and float32 do not continue each other.
            "precision": "bf16" if is_bf16 else "fp32",
        },
    )
    found = checkpoints.restore()
    if found is not None:
        state.fill(*found)
        log("resumed", step=state.progress.step)
    resumed_from = state.progress.step
    runner = BatchRunner(
        model,
        data,
        state.progress,
        pad_token_id=base.pad_token_id,
        device=device,
        is_bf16=is_bf16,
        dropout=hyperparameters["dropout"],
        seed=hyperparameters["seed"],
    )
    train(data, runner, state, checkpoints, hyperparameters, should_stop)
    export_model(container.model_folder, model, base, data.classes, hyperparameters)
    _write_metrics(container, hyperparameters, state, {"rows": len(rows), "resumedFrom": resumed_from})


def _device(hyperparameters: Hyperparameters) -> tuple[torch.device, bool]:
    """Where it runs, and whether matrices are multiplied in bfloat16: on a GPU that has it, unless told otherwise."""
    has_gpu = torch.cuda.is_available()
    if hyperparameters["device"] == "cuda" and not has_gpu:
        raise TrainingFailure("userError", 'device: expected a GPU for "cuda", there is none')
    is_gpu = has_gpu and hyperparameters["device"] != "cpu"
    precision = hyperparameters["precision"]
    is_bf16 = precision == "bf16" or (precision == "auto" and is_gpu and torch.cuda.is_bf16_supported())
    return torch.device("cuda" if is_gpu else "cpu"), is_bf16


def _write_metrics(
    container: Container, hyperparameters: Hyperparameters, state: State, more: dict[str, int]
) -> None:
    progress = state.progress
    metrics = {
        "mode": hyperparameters["mode"],
        "steps": progress.step,
        "recentLoss": progress.recentLoss,
        **progress.metrics(),
        "bestLoss": progress.bestLoss,
        "bestEpoch": progress.bestEpoch,
        "waited": progress.waited,
        "microBatchSize": progress.microBatchSize,
        **more,
    }
    publish(container.data_folder, "metrics.json", (json.dumps(metrics, indent=2) + "\n").encode())

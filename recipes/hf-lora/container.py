"""Where a training program finds its input and leaves its output: the SageMaker container contract. The training toolkit and
our runners set `SM_*`; a bare SageMaker image has only the files under /opt/ml, so those are the fallback."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from failure import TrainingFailure


@dataclass(frozen=True)
class Container:
    train: Path
    #: Folder of the `base` channel: the encoder to start from.
    base: Path
    hyperparameters: dict[str, Any]
    model_folder: Path
    #: Extra results: metrics.
    data_folder: Path
    checkpoint_folder: Path


def read_container(env: Mapping[str, str]) -> Container:
    given = Path(env.get("SM_INPUT_DIR", "/opt/ml/input"))
    output = Path(env.get("SM_OUTPUT_DIR", "/opt/ml/output"))

    def channel(name: str) -> Path:
        return Path(env.get(f"SM_CHANNEL_{name.upper()}", given / "data" / name))

    return Container(
        train=channel("train"),
        base=channel("base"),
        hyperparameters=_read_hyperparameters(env.get("SM_HPS"), given / "config" / "hyperparameters.json"),
        model_folder=Path(env.get("SM_MODEL_DIR", "/opt/ml/model")),
        data_folder=Path(env.get("SM_OUTPUT_DATA_DIR", output / "data")),
        checkpoint_folder=Path(env.get("SM_CHECKPOINT_DIR", "/opt/ml/checkpoints")),
    )


def failure_file(env: Mapping[str, str]) -> Path:
    return Path(env.get("SM_OUTPUT_DIR", "/opt/ml/output")) / "failure"


def _read_hyperparameters(variable: str | None, file: Path) -> dict[str, Any]:
    text = variable if variable is not None else file.read_text("utf-8") if file.exists() else "{}"
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise TrainingFailure("userError", "hyperparameters: expected a JSON object")
    return value

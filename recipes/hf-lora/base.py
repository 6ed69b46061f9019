"""The encoder on the `base` channel, laid out as the hub keeps it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer
from transformers import AutoModel, PreTrainedModel
from transformers.utils import logging as transformers_logging

from failure import TrainingFailure

#: Those whose inputs are token ids and a mask, and that the encoders of src/onnx/encoder know too.
FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert")
#: Files that decide about token ids; they go out with the model.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "config.json", "sentence_bert_config.json")
_POOLING_FILES = ("modules.json", "1_Pooling/config.json")


@dataclass(frozen=True)
class Base:
    folder: Path
    encoder: PreTrainedModel
    tokenizer: Tokenizer
    pooling: Literal["mean", "cls"]
    pad_token_id: int
    #: Longest sequence that the encoder has positions for.
    max_tokens: int
    #: Over all files that decide what it computes.
    digest: str


def open_base(folder: Path) -> Base:
    """Raises TrainingFailure `userError` when there is none, or when it is of a family that is not built. Pickled weights
    and code from the folder are never run."""
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise TrainingFailure("userError", f"base: it has no {name}; expected an encoder as the hub keeps it")
    config = _read(folder, "config.json")
    family = config.get("model_type")
    if family not in FAMILIES:
        raise TrainingFailure("userError", f'base: model_type "{family}" is not supported; expected {", ".join(FAMILIES)}')
    weights = sorted(file.name for file in folder.glob("*.safetensors"))
    if not weights:
        raise TrainingFailure("userError", "base: it has no *.safetensors; pickled weights are never read")
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        encoder, loading = AutoModel.from_pretrained(
            folder,
            output_loading_info=True,
            attn_implementation="eager",  # the one with a deterministic backward pass on every device
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            dtype="float32",
        )
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # what they raise is not documented; whatever it is, the folder caused it
        raise TrainingFailure("userError", f"base: {error}") from error
    missing = sorted(name for name in loading["missing_keys"] if not name.startswith("pooler."))
    if missing:  # they would start at random, without a word
        raise TrainingFailure("userError", f"base: its weights lack {', '.join(missing[:3])}")
    encoder.pooler = None  # we pool ourselves
    tokenizer.no_padding()
    return Base(
        folder=folder,
        encoder=encoder,
        tokenizer=tokenizer,
        pooling=_pooling(folder),
        pad_token_id=config.get("pad_token_id") or 0,
        max_tokens=_max_tokens(folder, config),
        digest=_digest(folder, [*weights, *TOKENIZER_FILES, *_POOLING_FILES]),
    )


def _pooling(folder: Path) -> Literal["mean", "cls"]:
    if not (folder / "modules.json").exists():
        return "mean"
    modes = _read(folder, "1_Pooling/config.json") if (folder / "1_Pooling/config.json").exists() else {}
    chosen = [name for name, value in modes.items() if name.startswith("pooling_mode_") and value is True]
    if chosen == ["pooling_mode_mean_tokens"]:
        return "mean"
    if chosen == ["pooling_mode_cls_token"]:
        return "cls"
    raise TrainingFailure("userError", f"base: expected mean or cls pooling, found {', '.join(chosen) or 'none'}")


def _max_tokens(folder: Path, config: dict[str, Any]) -> int:
    positions = config["max_position_embeddings"]
    if config["model_type"] not in ("bert", "distilbert"):
        positions -= (config.get("pad_token_id") or 0) + 1  # RoBERTa counts positions from there
    limits = [positions]
    for name, field in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        if (folder / name).exists():
            limits.append(_read(folder, name).get(field) or positions)
    return int(min(limits))


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads((folder / name).read_bytes())
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise TrainingFailure("userError", f"base: {name}: expected a JSON object")
    return value


def _digest(folder: Path, names: list[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        if (folder / name).exists():
            with (folder / name).open("rb") as file:
                digest.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return f"sha256:{digest.hexdigest()}"

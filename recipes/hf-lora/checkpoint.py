"""Checkpoints of one training in one folder, as safetensors: weights, moments, best weights; identity, progress and a digest
over all of it in the metadata. Each appears whole or not at all; the one before stays until the next, so there is a good one
at every instant."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from events import log
from failure import TrainingFailure

_FORMAT = "goto3/hf-lora-checkpoint/v1"
#: Not the names of recipes/encoder: what that one wrote is neither read nor removed.
_NAME = re.compile(r"torch-step-\d{9}\.safetensors")
_WRITING = ".torch-writing"

Tensors = Mapping[str, torch.Tensor]


class Checkpoints:
    def __init__(self, folder: Path, identity: Mapping[str, str]) -> None:
        """`identity`: what this training is, by name: digests of its base, its rows, its hyperparameters."""
        self._folder = folder
        self._identity = dict(identity)
        #: Own files that are known to be good, oldest first.
        self._good: list[str] = []

    def save(self, step: int, tensors: Tensors, progress: Mapping[str, object]) -> None:
        still = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        texts = {"format": _FORMAT, "identity": json.dumps(self._identity), "progress": json.dumps(progress)}
        content = save(still, {**texts, "digest": _digest(still, texts)})
        name = f"torch-step-{step:09d}.safetensors"
        publish(self._folder, name, content)
        self._good = [*(other for other in self._good if other != name), name][-2:]
        for other in os.listdir(self._folder):
            if (_NAME.fullmatch(other) or other.startswith(_WRITING)) and other not in self._good:
                (self._folder / other).unlink(missing_ok=True)

    def restore(self) -> tuple[dict[str, torch.Tensor], dict[str, object]] | None:
        """Tensors and progress of the newest good checkpoint; damaged ones are told and passed over. Raises TrainingFailure
        `userError` for a good one of another training: nothing is overwritten."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in sorted(filter(_NAME.fullmatch, os.listdir(self._folder)), reverse=True):
            found = self._read(name)
            if not isinstance(found, str):
                self._good = [name]
                return found
            log("checkpointDamaged", file=name, reason=found)
        return None

    def _read(self, name: str) -> tuple[dict[str, torch.Tensor], dict[str, object]] | str:
        path = self._folder / name
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}
        except (SafetensorError, OSError, ValueError) as error:
            return str(error)
        texts = {key: metadata.get(key, "") for key in ("format", "identity", "progress")}
        if texts["format"] != _FORMAT or _digest(tensors, texts) != metadata.get("digest"):
            return "its content does not match its digest"
        theirs = json.loads(texts["identity"])
        differs = sorted(key for key in {*theirs, *self._identity} if theirs.get(key) != self._identity.get(key))
        if differs:
            raise TrainingFailure(
                "userError", f"{path}: it belongs to another training: its {', '.join(differs)} differ"
            )
        return tensors, json.loads(texts["progress"])


def publish(folder: Path, name: str, content: bytes) -> None:
    """The file appears by rename, after its bytes are on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{_WRITING}-{os.getpid()}"
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / name)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(tensors: Tensors, texts: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(dict(sorted(texts.items()))).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, list(tensor.shape), str(tensor.dtype)]).encode())
        digest.update(tensor.numpy().data)
    return f"sha256:{digest.hexdigest()}"

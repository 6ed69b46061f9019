"""What is served and what is kept."""

import json
import logging
import shutil
import tempfile
import warnings
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch import Tensor, nn

from base import TOKENIZER_FILES, Base
from classifier import Classifier
from hyperparameters import Hyperparameters

#: A protobuf message ends at 2 GiB; larger weights lie beside the graph.
_LARGEST_FILE_BYTES = 1_900_000_000


class _Probabilities(nn.Module):
    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids, attention_mask).softmax(1)


def export_model(
    folder: Path, model: Classifier, base: Base, classes: list[str], hyperparameters: Hyperparameters
) -> None:
    """Writes `model.onnx` (float32, adapters merged: token ids and mask in, `probabilities` float32[batch, classes] out), the
    tokenizer's files, `labels.json`, and of a LoRA training `adapter/` in PEFT's layout with the head beside it. Changes
    `model`: its adapters are merged."""
    folder.mkdir(parents=True, exist_ok=True)
    model.cpu()
    if isinstance(model.encoder, PeftModel):
        _save_adapter(folder / "adapter", model.encoder, model.classifier, hyperparameters)
        model.encoder = model.encoder.merge_and_unload(safe_merge=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".exporting-") as temporary:
        _save_onnx(Path(temporary) / "model.onnx", model)
        for file in Path(temporary).iterdir():
            file.replace(folder / file.name)
    for name in TOKENIZER_FILES:
        if (base.folder / name).exists():
            shutil.copyfile(base.folder / name, folder / name)
    (folder / "labels.json").write_text(json.dumps(classes, ensure_ascii=False) + "\n", "utf-8")


def _save_adapter(folder: Path, encoder: PeftModel, head: nn.Linear, hyperparameters: Hyperparameters) -> None:
    config = encoder.peft_config["default"]
    config.base_model_name_or_path = hyperparameters["baseName"]
    config.revision = hyperparameters["baseRevision"]
    encoder.get_base_model().name_or_path = None  # else PEFT takes this machine's path for a missing name
    encoder.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink()  # a card of nothing but blanks
    weights = {f"classifier.{name}": value.detach().contiguous() for name, value in head.named_parameters()}
    save_file(weights, folder / "head.safetensors", {"format": "pt"})
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)  # safetensors makes them the owner's alone


def _save_onnx(path: Path, model: Classifier) -> None:
    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    # Two rows of several tokens: an exporter takes sizes of 0 and 1 for constants.
    example = (torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64))
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):
        program = torch.onnx.export(
            _Probabilities(model).eval(),
            example,
            dynamo=True,
            input_names=["input_ids", "attention_mask"],
            output_names=["probabilities"],
            dynamic_shapes=({0: batch, 1: sequence}, {0: batch, 1: sequence}),
            verbose=False,
        )
    assert program is not None
    for part in (program.model.graph, *program.model.functions.values()):
        for node in part.all_nodes():
            node.metadata_props.clear()  # stack traces with this machine's paths, larger than a small model
    program.save(path, external_data=size > _LARGEST_FILE_BYTES)

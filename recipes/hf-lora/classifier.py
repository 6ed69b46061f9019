"""An encoder with a head on its pooled token states; with LoRA adapters or without."""

import math

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from base import Base
from failure import TrainingFailure
from hyperparameters import Hyperparameters


class Classifier(nn.Module):
    """`encoder` is a PeftModel when LoRA is trained. The base's own dropout stays off, as in recipes/encoder."""

    def __init__(self, encoder: nn.Module, hidden_size: int, classes: int, pooling: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(hidden_size, classes)
        self.pooling = pooling
        self.eval()

    def forward(self, ids: Tensor, mask: Tensor, dropout_mask: Tensor | None = None) -> Tensor:
        """int64[rows, tokens] twice, float32[rows, hidden] → logits[rows, classes]."""
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        if self.pooling == "cls":
            pooled = states[:, 0]
        else:
            weights = mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * weights).sum(1) / weights.sum(1)
        return self.classifier(pooled if dropout_mask is None else pooled * dropout_mask)


def build_classifier(base: Base, classes: int, hyperparameters: Hyperparameters) -> Classifier:
    """The start follows from the seed alone. Raises TrainingFailure `userError` for targets that the base does not have."""
    torch.manual_seed(hyperparameters["seed"])
    encoder: nn.Module = base.encoder
    if hyperparameters["mode"] == "lora":
        dense = {name.rsplit(".", 1)[-1] for name, module in encoder.named_modules() if isinstance(module, nn.Linear)}
        for target in hyperparameters["targets"]:
            if target not in dense:
                raise TrainingFailure(
                    "userError", f'lora: no dense layer is called "{target}"; there are {", ".join(sorted(dense))}'
                )
        encoder = get_peft_model(
            base.encoder,
            LoraConfig(
                r=hyperparameters["rank"],
                lora_alpha=hyperparameters["alpha"],
                lora_dropout=0.0,
                target_modules=list(hyperparameters["targets"]),
                task_type="FEATURE_EXTRACTION",
            ),
        )
    hidden_size = base.encoder.config.hidden_size
    model = Classifier(encoder, hidden_size, classes, base.pooling)
    limit = 1 / math.sqrt(hidden_size)
    nn.init.uniform_(model.classifier.weight, -limit, limit)
    nn.init.zeros_(model.classifier.bias)
    return model


def trained_parameters(model: Classifier) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}

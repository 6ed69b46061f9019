"""What PyTorch says about texts of given token ids, from what a training left: the adapter as PEFT reads it and the head
beside it, or all weights from a checkpoint of a training of all weights. Knows nothing of the recipe's code.

Usage: judge.py BASE MODEL CHECKPOINT_OR_DASH < {"ids": [[…], …]}; prints the probabilities."""

import json
import pathlib
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel

base, model, checkpoint = sys.argv[1:]
encoder = AutoModel.from_pretrained(base).eval()
if checkpoint == "-":
    encoder = PeftModel.from_pretrained(encoder, str(pathlib.Path(model) / "adapter")).eval()
    head = load_file(pathlib.Path(model) / "adapter" / "head.safetensors")
else:
    saved = load_file(checkpoint)
    kind = "best" if any(name.startswith("best:") for name in saved) else "weight"
    weights = {name[len(kind) + 1 :]: value for name, value in saved.items() if name.startswith(f"{kind}:")}
    head = {name: value for name, value in weights.items() if name.startswith("classifier.")}
    encoder.pooler = None
    encoder.load_state_dict({n[len("encoder.") :]: v for n, v in weights.items() if n.startswith("encoder.")})

answers = []
with torch.no_grad():
    for ids in json.load(sys.stdin)["ids"]:  # one by one: padding must not matter
        states = encoder(input_ids=torch.tensor([ids])).last_hidden_state
        logits = torch.nn.functional.linear(states.mean(1), head["classifier.weight"], head["classifier.bias"])
        answers.append(logits.softmax(1)[0].tolist())
print(json.dumps(answers))

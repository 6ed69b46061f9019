"""The judge of our training steps: the same steps by PyTorch, transformers and PEFT, from the same weights and batches.

Reads a folder that test/torch/train/curve.test.ts wrote (task.json, start.safetensors), prints {"losses": [...], "norms":
[...]} and, for LoRA, checks that PEFT reads the adapter that we exported.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModel

folder = pathlib.Path(sys.argv[1])
task = json.loads((folder / "task.json").read_text())
start = load_file(folder / "start.safetensors")
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

encoder = AutoModel.from_pretrained(task["base"], attn_implementation="eager")
encoder.eval()  # no dropout; the graph has none either
core = encoder
# Our graphs have token type 0 in the position table.
with torch.no_grad():
    embeddings = core.embeddings
    embeddings.position_embeddings.weight += embeddings.token_type_embeddings.weight[0]
    embeddings.token_type_embeddings.weight.zero_()
embeddings.token_type_embeddings.weight.requires_grad_(False)
if core.pooler is not None:
    for parameter in core.pooler.parameters():
        parameter.requires_grad_(False)

if task["mode"] == "lora":
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=task["rank"], lora_alpha=task["alpha"], lora_dropout=0.0, target_modules=task["targets"])
    encoder = get_peft_model(encoder, config)
    encoder.eval()
    names = dict(encoder.named_parameters())
    with torch.no_grad():
        for name, value in start.items():
            if ".lora_" in name:
                module, matrix = name.rsplit(".", 1)
                names[f"base_model.model.{module}.{matrix}.default.weight"].copy_(value.T)

head = torch.nn.Linear(start["classifier.weight"].shape[0], start["classifier.weight"].shape[1])
with torch.no_grad():
    head.weight.copy_(start["classifier.weight"].T)
    head.bias.copy_(start["classifier.bias"])

trained = [p for p in [*encoder.parameters(), *head.parameters()] if p.requires_grad]
optimizer = torch.optim.AdamW(
    [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": task["weightDecay"]},
        {"params": [p for p in trained if p.dim() == 1], "weight_decay": 0.0},
    ],
    betas=(0.9, 0.999),
    eps=1e-8,
)

losses, norms = [], []
for batch in task["batches"]:
    for group in optimizer.param_groups:
        group["lr"] = batch["learningRate"]
    ids = torch.tensor(batch["ids"])
    mask = torch.tensor(batch["mask"])
    hidden = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = mask.unsqueeze(-1).float()
    logits = head((hidden * weights).sum(1) / weights.sum(1))
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(batch["labels"]))
    optimizer.zero_grad()
    loss.backward()
    norms.append(torch.nn.utils.clip_grad_norm_(trained, task["maxGradientNorm"]).item())
    optimizer.step()
    losses.append(loss.item())

result = {"losses": losses, "norms": norms}
if task["mode"] == "lora":
    from peft import PeftModel

    base = AutoModel.from_pretrained(task["base"], attn_implementation="eager")
    ours = PeftModel.from_pretrained(base, str(folder / "adapter")).eval()
    batch = task["batches"][0]
    with torch.no_grad():
        states = ours(input_ids=torch.tensor(batch["ids"]), attention_mask=torch.tensor(batch["mask"]))
    result["adapted"] = states.last_hidden_state[:, 0, :8].flatten().tolist()
print(json.dumps(result))

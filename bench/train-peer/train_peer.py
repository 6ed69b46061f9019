"""The peer of bench/train.ts: PyTorch + transformers + PEFT on the same rows, batches, threads; one JSON line at the end."""

import json
import resource
import sys
import time

begun = time.time()
import torch  # noqa: E402
from transformers import AutoModel  # noqa: E402

task = json.load(open(sys.argv[1]))
torch.set_num_threads(task["threads"])
torch.manual_seed(task["seed"])


def usage():
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


encoder = AutoModel.from_pretrained(task["base"])  # SDPA attention, as transformers chooses
width = encoder.config.hidden_size
if task["mode"] == "lora":
    from peft import LoraConfig, get_peft_model

    encoder = get_peft_model(
        encoder, LoraConfig(r=task["rank"], lora_alpha=task["alpha"], target_modules=["query", "value"])
    )
else:
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
encoder.eval()
head = torch.nn.Linear(width, 2)
trained = [p for p in [*encoder.parameters(), *head.parameters()] if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=task["learningRate"], weight_decay=0.01)


def pooled(batch):
    length = max(len(task["ids"][row]) for row in batch)
    ids = torch.tensor([task["ids"][row] + [0] * (length - len(task["ids"][row])) for row in batch])
    mask = torch.tensor([[int(i < len(task["ids"][row])) for i in range(length)] for row in batch])
    hidden = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = mask.unsqueeze(-1).float()
    return (hidden * weights).sum(1) / weights.sum(1)


if task["mode"] == "head":
    with torch.no_grad():
        chunks = [list(range(i, min(i + 32, len(task["ids"])))) for i in range(0, len(task["ids"]), 32)]
        features = torch.cat([pooled(chunk) for chunk in chunks])

first, times, loss = None, [], 0.0
cpu = usage()
for number, batch in enumerate(task["batches"]):
    start = time.time()
    x = features[batch] if task["mode"] == "head" else pooled(batch)
    loss = torch.nn.functional.cross_entropy(head(x), torch.tensor([task["labels"][row] for row in batch]))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    loss.item()
    times.append(time.time() - start)
    if first is None:
        first = time.time() - begun
cpu = usage() - cpu

correct = 0
with torch.no_grad():
    for start in range(0, len(task["test"]), 32):
        batch = task["test"][start : start + 32]
        answers = head(pooled(batch)).argmax(1)
        correct += sum(int(a) == task["labels"][row] for a, row in zip(answers, batch))
print(
    json.dumps(
        {
            "firstStepSeconds": first,
            "stepSeconds": times,
            "cpuSeconds": cpu,
            "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "accuracy": correct / len(task["test"]),
            "versions": {"torch": torch.__version__},
        }
    )
)

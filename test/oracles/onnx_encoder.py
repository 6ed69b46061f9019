"""Independent oracle for src/onnx/encoder (see onnx-encoder.test.ts): BERT, RoBERTa and DistilBERT written out in numpy at
float64 from the papers (Vaswani 2017, Devlin 2018, Liu 2019, Sanh 2019) and the documentation of transformers; Hugging Face's
own tokenizers and safetensors packages. Every text is computed alone, without padding.

  reference FOLDER    reads cases.json: a list of {name, model, texts, maxTokens, task}; prints for each the token ids and the
                      outputs of every text
  safetensors FOLDER  checks that the safetensors package reads ours.safetensors, and writes theirs.safetensors with the same
                      tensors; prints names, types and shapes
  large FOLDER        checks with onnx that large.onnx (more than 2 GiB with external data) is sound; prints the sum of the
                      first row of every weight
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy.special import erf
from tokenizers import Tokenizer


class Checkpoint:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        with safe_open(folder / "model.safetensors", "numpy") as file:
            self.tensors = {name: file.get_tensor(name).astype(np.float64) for name in file.keys() if "position_ids" not in name}
        self.family = self.config["model_type"]
        prefix = self.family + "."
        self.prefix = prefix if any(name.startswith(prefix) for name in self.tensors) else ""

    def __getitem__(self, name):
        return self.tensors[self.prefix + name]

    def linear(self, x, layer):
        return x @ self[layer + ".weight"].T + self[layer + ".bias"]

    def head(self, x, layer):
        return x @ self.tensors[layer + ".weight"].T + self.tensors[layer + ".bias"]

    def norm(self, x, layer):
        epsilon = self.config.get("layer_norm_eps", 1e-12)
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * self[layer + ".weight"] + self[layer + ".bias"]


def activation(name):
    if name == "gelu":
        return lambda x: x * 0.5 * (1 + erf(x / np.sqrt(2)))
    if name == "gelu_new":
        return lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return lambda x: np.maximum(x, 0)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(query, key, value, heads):
    length, width = query.shape
    split = lambda x: x.reshape(length, heads, width // heads).swapaxes(0, 1)
    q, k, v = split(query), split(key), split(value)
    weights = softmax(q @ k.swapaxes(1, 2) / np.sqrt(width // heads))
    return (weights @ v).swapaxes(0, 1).reshape(length, width)


def hidden_states(c, ids):
    """[tokens, hidden] of one text."""
    ids = np.array(ids)
    if c.family == "roberta":
        pad = c.config["pad_token_id"]
        positions = pad + np.cumsum(ids != pad) * (ids != pad)
    else:
        positions = np.arange(len(ids))
    x = c["embeddings.word_embeddings.weight"][ids] + c["embeddings.position_embeddings.weight"][positions]
    if c.family != "distilbert":
        x = x + c["embeddings.token_type_embeddings.weight"][0]
    x = c.norm(x, "embeddings.LayerNorm")
    if c.family == "distilbert":
        act = activation(c.config["activation"])
        for i in range(c.config["n_layers"]):
            at = f"transformer.layer.{i}."
            q, k, v = (c.linear(x, at + f"attention.{name}_lin") for name in "qkv")
            x = c.norm(x + c.linear(attention(q, k, v, c.config["n_heads"]), at + "attention.out_lin"), at + "sa_layer_norm")
            x = c.norm(x + c.linear(act(c.linear(x, at + "ffn.lin1")), at + "ffn.lin2"), at + "output_layer_norm")
        return x
    act = activation(c.config["hidden_act"])
    for i in range(c.config["num_hidden_layers"]):
        at = f"encoder.layer.{i}."
        q, k, v = (c.linear(x, at + f"attention.self.{name}") for name in ("query", "key", "value"))
        mixed = attention(q, k, v, c.config["num_attention_heads"])
        x = c.norm(x + c.linear(mixed, at + "attention.output.dense"), at + "attention.output.LayerNorm")
        inner = act(c.linear(x, at + "intermediate.dense"))
        x = c.norm(x + c.linear(inner, at + "output.dense"), at + "output.LayerNorm")
    return x


def answer(c, x, task):
    if task["kind"] == "tokens":
        return x.ravel()
    if task["kind"] == "embedding":
        pooled = x[0] if task["pooling"] == "cls" else x.mean(0)
        return pooled / np.linalg.norm(pooled) if task["normalize"] else pooled
    if c.family == "bert":
        logits = c.head(np.tanh(c.head(x[0], "bert.pooler.dense")), "classifier")
    elif c.family == "roberta":
        logits = c.head(np.tanh(c.head(x[0], "classifier.dense")), "classifier.out_proj")
    else:
        logits = c.head(np.maximum(c.head(x[0], "pre_classifier"), 0), "classifier")
    return logits if task["output"] == "logits" else softmax(logits)


def reference(folder):
    results = []
    for case in json.loads((folder / "cases.json").read_text()):
        checkpoint = Checkpoint(Path(case["model"]))
        tokenizer = Tokenizer.from_file(str(Path(case["model"]) / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(case["maxTokens"])
        ids = [tokenizer.encode(text).ids for text in case["texts"]]
        outputs = [answer(checkpoint, hidden_states(checkpoint, row), case["task"]).tolist() for row in ids] if case["task"] else []
        results.append({"name": case["name"], "ids": ids, "outputs": outputs})
    print(json.dumps(results))


def safetensors(folder):
    tensors = load_file(folder / "ours.safetensors")
    save_file(tensors, folder / "theirs.safetensors", metadata={"format": "pt"})
    print(json.dumps({name: [str(tensor.dtype), list(tensor.shape)] for name, tensor in sorted(tensors.items())}))


def large(folder):
    import onnx

    path = str(folder / "large.onnx")
    onnx.checker.check_model(path)
    model = onnx.load(path, load_external_data=False)
    sums = {}
    for tensor in model.graph.initializer:
        onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        sums[tensor.name] = float(onnx.numpy_helper.to_array(tensor)[0].astype(np.float64).sum())
        tensor.ClearField("raw_data")
    print(json.dumps(sums))


if __name__ == "__main__":
    {"reference": reference, "safetensors": safetensors, "large": large}[sys.argv[1]](Path(sys.argv[2]))

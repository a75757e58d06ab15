#!/usr/bin/env python3
"""Writes worker/rank/model/testing/family_cases.json: small models of every family, run by transformers in float64.

usage: family_cases.py > family_cases.json     (needs torch and transformers: .deps/parity/bin/python)

A case holds config.json, three sequences of token ids, their mean-pooled embeddings, and of each parameter's gradient
the norm and the product with fixed numbers. Weights are not part of it: element e of a tensor is a function of the
tensor's name and e, here and in family_cases_test.cc.
"""
import json
import sys

import numpy as np
import torch
import transformers

COMMON = dict(vocab_size=60, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24)
LENGTHS = [3, 9, 14]
CASES = {
    "bert": dict(**COMMON, max_position_embeddings=20, type_vocab_size=2),
    "bert-relu-odd-heads": dict(COMMON, max_position_embeddings=20, type_vocab_size=2, hidden_act="relu",
                                hidden_size=21, num_attention_heads=3),
    "roberta": dict(**COMMON, max_position_embeddings=20, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5),
    "xlm-roberta": dict(**COMMON, max_position_embeddings=22, type_vocab_size=1, pad_token_id=1, hidden_act="gelu_new"),
    "distilbert": dict(vocab_size=60, dim=16, n_layers=3, n_heads=2, hidden_dim=24, max_position_embeddings=20),
    "mpnet": dict(**COMMON, max_position_embeddings=20),
    "modernbert": dict(**COMMON, max_position_embeddings=20, local_attention=8, pad_token_id=0, bos_token_id=1,
                       eos_token_id=2, cls_token_id=1, sep_token_id=2),
    "modernbert-biases": dict(**COMMON, max_position_embeddings=20, local_attention=5, norm_bias=True,
                              attention_bias=True, mlp_bias=True, hidden_activation="silu", pad_token_id=0,
                              bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2,
                              layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
    "qwen3": dict(COMMON, num_attention_heads=4, num_key_value_heads=2, head_dim=6, max_position_embeddings=20),
    "qwen3-biases": dict(COMMON, num_attention_heads=3, num_key_value_heads=1, head_dim=8, attention_bias=True,
                         max_position_embeddings=20),
}
WITH_PADDING = "xlm-roberta"  # has the padding token within a text, which shifts positions
MODELS = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "distilbert": "DistilBert",
          "mpnet": "MPNet", "modernbert": "ModernBert", "qwen3": "Qwen3"}


def uniform(name, size):
    """Numbers in [0, 1) that are a function of a name and a place."""
    seed = np.uint64(sum((i + 1) * byte for i, byte in enumerate(name.encode())))
    with np.errstate(over="ignore"):
        z = (np.arange(size, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z += seed * np.uint64(0xBF58476D1CE4E5B9)
        z ^= z >> np.uint64(31)
        z *= np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(29)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def fill(model):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.from_numpy(uniform(name, parameter.numel()) - 0.5).view(parameter.shape)
            is_norm = "norm" in name.lower() and name.endswith(".weight")
            parameter.copy_(1 + 0.2 * values if is_norm else 0.8 * values)


def case(name):
    kind = name if name in MODELS else name.split("-")[0]
    config = getattr(transformers, MODELS[kind] + "Config")(**CASES[name])
    config._attn_implementation = "eager"
    options = {} if kind in ("distilbert", "modernbert", "qwen3") else {"add_pooling_layer": False}
    model = getattr(transformers, MODELS[kind] + "Model")(config, **options).double().eval()
    fill(model)
    draw = uniform("tokens", 100)
    sequences, row, total = [], 0, torch.zeros((), dtype=torch.float64)
    pooled = []
    for i, length in enumerate(LENGTHS):
        ids = [3 + int(57 * u) for u in draw[row:row + length]]
        row += length
        if name == WITH_PADDING and i == 2:
            ids[5] = config.pad_token_id
        sequences.append(ids)
        hidden = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        pooled.append(hidden.mean(0))
        total = total + pooled[-1] @ torch.from_numpy(uniform(f"cotangent {i}", hidden.shape[1]) - 0.5)
    total.backward()
    gradients = {}
    for parameter_name, parameter in model.named_parameters():
        if name == WITH_PADDING and "embeddings.weight" in parameter_name:
            continue  # torch leaves the padding token's row out of the gradient; Muster trains it like any other
        grad = parameter.grad.reshape(-1)
        weights = torch.from_numpy(uniform("gradient " + parameter_name, grad.numel()) - 0.5)
        gradients[parameter_name] = [float(grad.norm()), float(grad @ weights)]
    return {"name": name, "config": json.loads(config.to_json_string()), "sequences": sequences,
            "embeddings": [p.tolist() for p in pooled], "gradients": gradients}


if __name__ == "__main__":
    cases = [case(name) for name in CASES]
    body = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    sys.stdout.write(f'{{"transformers":"{transformers.__version__}","cases":[\n{body}\n]}}\n')

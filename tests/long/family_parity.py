#!/usr/bin/env python3
"""Random small models of every family against transformers, in float32.

usage: family_parity.py MUSTER_ENCODE [MODELS_PER_FAMILY] [SEED]
needs: requirements.txt in this folder and torch (requirements-torch.txt, or on the module path)

For each family, models of random sizes with random weights (heads that share keys and values, odd head sizes, windows
shorter than a text, biases, activations, both kinds of layers) are written as folders on the spot. 24 ragged sequences of
random token ids are packed into one batch by muster-encode, and padded into one batch here, in float64. Exit code 1 if an
embedding differs by more than 1e-4, or a parameter's gradient by more than 1e-4 of its norm. Gradients that are 0 in
theory (biases of keys) may be 1e-4 of the largest gradient's norm.
"""
import math
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file

LAST = {"qwen3"}  # pooled at the last token, the others by the mean


def sizes(draw, odd_heads=True):
    heads = draw.choice([1, 2, 3, 4])
    head_size = draw.choice([5, 7, 8, 13] if odd_heads else [6, 8, 10])
    return heads, head_size, dict(vocab_size=draw.randint(40, 200), hidden_size=heads * head_size,
                                  num_hidden_layers=draw.randint(1, 4), num_attention_heads=heads,
                                  intermediate_size=draw.randint(9, 60))


def bert(draw, **more):
    return dict(sizes(draw)[2], max_position_embeddings=draw.randint(70, 90), type_vocab_size=draw.randint(1, 3),
                layer_norm_eps=draw.choice([1e-12, 1e-5]),
                hidden_act=draw.choice(["gelu", "gelu_new", "relu", "silu", "gelu_pytorch_tanh"]), **more)


def distilbert(draw):
    heads, head_size, common = sizes(draw)
    return dict(vocab_size=common["vocab_size"], dim=heads * head_size, n_heads=heads,
                n_layers=common["num_hidden_layers"], hidden_dim=common["intermediate_size"],
                max_position_embeddings=80, activation=draw.choice(["gelu", "relu"]))


def mpnet(draw):
    config = bert(draw)
    del config["type_vocab_size"]
    return dict(config, max_position_embeddings=200, relative_attention_num_buckets=32)


def modernbert(draw):
    _, _, common = sizes(draw, odd_heads=False)
    layers = common["num_hidden_layers"]
    return dict(common, max_position_embeddings=80, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1,
                sep_token_id=2, local_attention=draw.choice([2, 7, 16]), norm_bias=draw.random() < 0.5,
                attention_bias=draw.random() < 0.5, mlp_bias=draw.random() < 0.5,
                hidden_activation=draw.choice(["gelu", "silu"]),
                layer_types=[draw.choice(["full_attention", "sliding_attention"]) for _ in range(layers)],
                rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 160000.0},
                                 "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}})


def qwen3(draw):
    _, head_size, common = sizes(draw, odd_heads=False)
    shared = draw.choice([1, 2])
    return dict(common, num_attention_heads=shared * draw.randint(1, 3), num_key_value_heads=shared, head_dim=head_size,
                max_position_embeddings=80, attention_bias=draw.random() < 0.5,
                rope_parameters={"rope_type": "default", "rope_theta": draw.choice([1e4, 1e6])})


FAMILIES = {
    "bert": ("Bert", bert),
    "distilbert": ("DistilBert", distilbert),
    "mpnet": ("MPNet", mpnet),
    "roberta": ("Roberta", lambda draw: bert(draw, pad_token_id=1)),
    "xlm-roberta": ("XLMRoberta", lambda draw: bert(draw, pad_token_id=draw.choice([1, 3]))),
    "modernbert": ("ModernBert", modernbert),
    "qwen3": ("Qwen3", qwen3),
}


def make_model(name, draw, folder):
    class_name, configure = FAMILIES[name]
    config = getattr(transformers, class_name + "Config")(**configure(draw))
    config._attn_implementation = "eager"
    options = {"add_pooling_layer": False} if name in ("bert", "mpnet", "roberta", "xlm-roberta") else {}
    torch.manual_seed(draw.randrange(1 << 30))
    model = getattr(transformers, class_name + "Model")(config, **options)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            is_norm = "norm" in parameter_name.lower() and parameter_name.endswith(".weight")
            parameter.copy_(1 + 0.1 * noise if is_norm else 0.2 * noise)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(f"t{i}" for i in range(config.vocab_size)) + "\n")
    return model.double().eval()


def ours(binary, folder, lines):
    file = folder / "gradients.safetensors"
    result = subprocess.run([binary, str(folder), "--gradients", str(file)], capture_output=True, text=True, check=False,
                            input="".join(" ".join(map(str, line)) + "\n" for line in lines))
    if result.returncode != 0:
        sys.exit(f"{binary} failed: {result.stderr}")
    rows = [[float(x) for x in line.split()] for line in result.stdout.splitlines()]
    return torch.tensor(rows, dtype=torch.float64), load_file(file)


def reference(name, model, lines):
    """All lines in one batch, padded on the right; one at a time for ModernBERT."""
    longest, pad = max(map(len, lines)), 0
    pad = model.config.pad_token_id or 0
    tokens = torch.tensor([line + [pad] * (longest - len(line)) for line in lines])
    mask = torch.tensor([[1] * len(line) + [0] * (longest - len(line)) for line in lines])
    if name == "modernbert":
        # Padding outside of every window gives NaN in transformers' eager attention, and so in every gradient.
        hidden = [model(input_ids=torch.tensor([line])).last_hidden_state[0] for line in lines]
    else:
        hidden = model(input_ids=tokens, attention_mask=mask).last_hidden_state
    rows = []
    for i, line in enumerate(lines):
        own = hidden[i][:len(line)]
        pooled = own[-1] if name in LAST else own.mean(0)
        rows.append(pooled / pooled.norm())
    embeddings = torch.stack(rows)
    cotangent = torch.tensor([[math.cos(i + 0.37 * c) for c in range(embeddings.shape[1])] for i in range(len(lines))],
                             dtype=torch.float64)
    embeddings.backward(cotangent)
    return embeddings.detach(), {key: p.grad for key, p in model.named_parameters()}


def compare(binary, name, draw, scratch):
    """The largest differences of one model: embeddings, gradients, and gradients that are 0 in theory."""
    model = make_model(name, draw, scratch)
    first = 5  # no special token: family_cases.py covers padding within a text
    lines = [[draw.randrange(first, model.config.vocab_size) for _ in range(draw.randint(1, 3 * i + 1))]
             for i in range(24)]
    embeddings, gradients = ours(binary, scratch, lines)
    expected, expected_gradients = reference(name, model, lines)
    if set(gradients) != set(expected_gradients):
        sys.exit(f"{name}: the models' parameters differ: {sorted(set(gradients) ^ set(expected_gradients))}")
    norms = {key: float(g.norm()) for key, g in expected_gradients.items()}
    largest = max(norms.values())
    worst = zero = 0.0
    for key, gradient in expected_gradients.items():
        error = float((gradients[key].double() - gradient).norm())
        if norms[key] < 1e-6 * largest:
            zero = max(zero, error / largest)
        else:
            worst = max(worst, error / norms[key])
    difference = float((embeddings - expected).abs().max())
    if any(math.isnan(x) for x in (difference, *norms.values(), *(float(g.norm()) for g in gradients.values()))):
        sys.exit(f"{name}: an embedding or a gradient is not a number")
    return difference, worst, zero


def main(binary, models=8, seed=17):
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, seed {seed}, {models} models per family")
    print("| family | embeddings | gradients | gradients that are 0 in theory |\n|---|---|---|---|")
    passed = True
    for name in FAMILIES:
        draw = random.Random(f"{seed} {name}")
        worst = [0.0, 0.0, 0.0]
        for _ in range(models):
            with tempfile.TemporaryDirectory() as scratch:
                worst = [max(a, b) for a, b in zip(worst, compare(binary, name, draw, pathlib.Path(scratch)))]
        print(f"| {name} | {worst[0]:.1e} | {worst[1]:.1e} | {worst[2]:.1e} |", flush=True)
        passed = passed and all(difference <= 1e-4 for difference in worst)
    return 0 if passed else 1


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))

"""sentence-transformers' training step on the batch of the `speed` part: BERT-base's shape with random weights, queries of 8 to
24 tokens, passages of 64 to 192. tests/gpu/run starts it where sentence-transformers is installed.

usage: peer_speed.py gpu|cpu

Prints a line of JSON per test, as muster-gpu-test writes them.
"""
import json
import random
import sys
import tempfile
import time

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast

GPU = sys.argv[1] == "gpu"
DEVICE = "cuda" if GPU else "cpu"
ROWS = 512 if GPU else 4  # queries, each with a positive and a negative: as many texts as in the speed part
SHAPE = {} if GPU else {"num_hidden_layers": 3, "hidden_size": 96, "num_attention_heads": 3, "intermediate_size": 200}


def model_of(folder, attention):
    with open(f"{folder}/vocab.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(30517))]))
    torch.manual_seed(1)
    BertModel(BertConfig(**SHAPE)).save_pretrained(folder)
    BertTokenizerFast(f"{folder}/vocab.txt").save_pretrained(folder)
    transformer = Transformer(folder, max_seq_length=192, model_kwargs={"attn_implementation": attention})
    return SentenceTransformer(modules=[transformer, Pooling(transformer.get_embedding_dimension())], device=DEVICE)


def texts(draw, least, most):
    return [" ".join(f"w{draw.randrange(30517)}" for _ in range(draw.randint(least, most) - 2)) for _ in range(ROWS)]


def measure(attention, bfloat16):
    draw = random.Random(17)
    with tempfile.TemporaryDirectory() as folder:
        model = model_of(folder, attention)
    columns = [model.preprocess(texts(draw, *lengths)) for lengths in ((8, 24), (64, 192), (64, 192))]
    columns = [{name: value.to(DEVICE) if hasattr(value, "to") else value for name, value in column.items()}
               for column in columns]
    loss = losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=128)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    model.train()

    def step():
        with torch.autocast(DEVICE, torch.bfloat16, enabled=bfloat16):
            value = loss([dict(column) for column in columns], None)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if GPU:
            torch.cuda.synchronize()

    step()
    seconds = []
    for _ in range(3):
        start = time.monotonic()
        step()
        seconds.append(time.monotonic() - start)
    return {"queries": ROWS, "milliseconds": 1e3 * min(seconds), "queries_per_second": ROWS / min(seconds),
            "unpadded": bool(model[0].can_flatten_inputs), "attention": attention}


def main():
    for bfloat16 in (True, False):
        start = time.monotonic()
        test = {"name": f"peer.{'bfloat16' if bfloat16 else 'float32'}", "passed": True, "figures": {}, "message": ""}
        try:
            attention = "flash_attention_2" if GPU and bfloat16 else "sdpa"
            try:
                test["figures"] = measure(attention, bfloat16)
            except ImportError:  # flash-attn is not installed
                test["figures"] = measure("sdpa", bfloat16)
        except Exception as error:  # one that the report must show
            test.update(passed=False, message=f"{type(error).__name__}: {error}"[:500])
        print(json.dumps({**test, "seconds": time.monotonic() - start}), flush=True)


if __name__ == "__main__":
    main()
